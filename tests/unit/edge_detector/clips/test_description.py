"""The comment of a clip: what was formatted is read again, and no other text is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.clips.description import EventPart, comment_of, parse_comment

MILLISECONDS = st.integers(-60_000, 600_000)


@given(st.text(), MILLISECONDS, st.integers(0, 600_000))
def test_a_comment_says_where_the_event_is_whatever_its_id_is(event_id: str, start_ms: int, after_ms: int) -> None:
    part = EventPart(start_ms / 1e3, after_ms / 1e3)
    assert parse_comment(comment_of(event_id, part)) == part


@given(st.text(), MILLISECONDS)
def test_a_comment_of_an_older_clip_says_where_the_event_starts(event_id: str, start_ms: int) -> None:
    older = f"{event_id}, which starts {start_ms / 1e3:.3f} s after the beginning"
    assert parse_comment(older) == EventPart(start_ms / 1e3, 0.0)


def test_a_comment_is_for_people_too() -> None:
    comment = comment_of("nursery/cot/0123456789ab/1/rain", EventPart(5.0, 2.5))
    about = "which starts 5.000 s after the beginning; 2.500 s follow its end"
    assert comment == f"nursery/cot/0123456789ab/1/rain, {about}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rain",
        "x, which starts nan s after the beginning",
        "x, which starts 5.000 s after the beginning; -1.000 s follow its end",
        "x, which starts 5.000 s after the beginning, and more",
        f"x, which starts {'9' * 400}.000 s after the beginning",
        "x, which starts ٥.000 s after the beginning",
    ],
)
def test_another_comment_says_nothing(text: str) -> None:
    assert parse_comment(text) is None


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    part = parse_comment(text)
    assert part is None or part.after_seconds >= 0.0
