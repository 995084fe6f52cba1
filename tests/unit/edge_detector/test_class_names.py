"""Labels of people: each becomes one folder, never another place, and none of the folders with a meaning of their own."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.class_names import label_problem, slug_of


@pytest.mark.parametrize("label", ["beep", "Door bell", "Küchenuhr (neu) [2]", "a" * 64, "3", "no. 1"])
def test_a_label_is_one_line_with_a_letter_or_digit(label: str) -> None:
    assert label_problem(label) is None


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("", "cannot be a label"),
        ("!", "cannot be a label"),
        ("時計", "with a letter a to z or digit"),
        (".hidden", "a leading dot"),
        ("../beep", "without /"),
        ("two\nlines", "one line"),
        ("right\u202eto left", "one line"),
        ("a\udcff", "one line"),
        ("a" * 65, "at most 64 characters"),
        ("ﬃ" * 64, "at most 64 characters"),
        ("Back-ground", "is kept for the room"),
        ("bäckground", "is kept for the room"),
        ("Not!", "is kept for wrong detections"),
        ("ⓝⓞⓣ", "is kept for wrong detections"),
    ],
)
def test_another_label_is_refused_with_a_remedy(label: str, problem: str) -> None:
    sentence = label_problem(label)
    assert sentence is not None
    assert problem in sentence
    assert "give" in sentence


@given(st.text())
def test_a_label_that_is_accepted_names_a_folder_at_its_place(label: str) -> None:
    if label_problem(label) is None:
        assert (Path("/sounds") / label).resolve().parent == Path("/sounds")
        assert 1 <= len(slug_of(label)) <= 64
