"""Classes have slugs for machines, labels for people and AudioSet's identifiers, from the CSV to the bundle."""

from pathlib import Path

import pytest

from convert.embedder.yamnet_labels import AUDIOSET_LABELS
from convert.records.classes import classes_from_json, classes_to_json, read_class_names
from edge_detector.class_names import ClassName, named
from edge_detector.errors import EdgeDetectorError, UsageError

HEAD = "index,mid,display_name\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_display_name_with_commas_becomes_a_slug(tmp_path: Path) -> None:
    path = written(tmp_path / "names.csv", f'{HEAD}0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n')
    assert read_class_names(path) == (
        ClassName("speech", "Speech", "/m/09x0r"),
        ClassName("male_speech_man_speaking", "Male speech, man speaking", "/m/05zppz"),
    )


def test_a_byte_order_mark_before_the_columns_is_ignored(tmp_path: Path) -> None:
    path = written(tmp_path / "names.csv", f'\ufeff{HEAD}0,/m/09x0r,"Speech"\n')
    assert read_class_names(path) == (ClassName("speech", "Speech", "/m/09x0r"),)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "needs the columns index, mid, display_name"),
        ("a,b\n1,2\n", "needs the columns"),
        (HEAD, "and a row for each class"),
        (f"{HEAD}1,/m/1,Speech\n", "row 0 must have the index 0"),
        (f"{HEAD}0,/m/1,!!\n", "a name with a letter or digit"),
        (f"{HEAD}0,/m/1,Dog bark\n1,/m/2,dog-bark\n", "names two classes alike"),
    ],
)
def test_a_file_without_class_names_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(EdgeDetectorError, match=what):
        read_class_names(written(tmp_path / "names.csv", text))


def test_the_error_of_a_missing_file_names_audiosets_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"AudioSet's file is class_labels_indices\.csv"):
        read_class_names(tmp_path / "names.csv")


def test_a_slug_gets_a_capitalised_label_and_any_other_name_is_the_label() -> None:
    assert named("dog_bark") == ClassName("dog_bark", "Dog bark")
    assert named("Türklingel") == ClassName("turklingel", "Türklingel")


def test_class_names_are_equal_after_json() -> None:
    classes = (ClassName("dog", "Dog", "/m/1", ("Dog", "Bark")), ClassName("cat", "Katze"))
    assert classes_from_json(["dog", "cat"], classes_to_json(classes)) == classes
    assert classes_from_json(["dog_bark"], {}) == (ClassName("dog_bark", "Dog bark"),)


def test_audioset_labels_that_are_no_list_of_names_are_refused() -> None:
    with pytest.raises(UsageError, match="the class dog: audioset must be a list, not 'Dog'"):
        classes_from_json(["dog"], {"dog": {"audioset": "Dog"}})


def test_audiosets_527_classes_all_have_different_slugs() -> None:
    classes = read_class_names(AUDIOSET_LABELS)
    assert (len(classes), len({each.slug for each in classes})) == (527, 527)
    assert classes[526] == ClassName("field_recording", "Field recording", "/m/07hvw1")
