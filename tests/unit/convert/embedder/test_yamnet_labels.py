"""YAMNet's labels are read from its own file and get AudioSet's identifiers."""

import os
import zipfile
from pathlib import Path

import pytest

from convert.embedder.yamnet_labels import LABELS, MAX_LIST_BYTES, labelled, read_labels
from edge_detector.detection.bundle import AudioSetLabel
from edge_detector.errors import UsageError


def without_archive(model: Path, target: Path) -> Path:
    """A copy of the released file that ends where its archive begins."""
    with zipfile.ZipFile(model) as archive:
        first_byte = min(member.header_offset for member in archive.infolist())
    target.write_bytes(model.read_bytes()[:first_byte])
    return target


def archive(path: Path, content: bytes, name: str = LABELS) -> Path:
    path.write_bytes(b"a model" * 1_000)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return path


def test_the_released_file_holds_its_521_labels_and_needs_no_list_beside_it(tmp_path: Path, data: Path) -> None:
    model = tmp_path / "renamed.tflite"
    model.symlink_to(data / "peers" / "yamnet.tflite")
    names = read_labels(model)
    assert len(names) == len(set(names)) == 521
    assert (names[0], names[69], names[520]) == ("Speech", "Dog", "Field recording")
    assert list(names) == (data / "peers" / LABELS).read_text(encoding="utf-8").splitlines()


def test_a_model_without_an_archive_has_its_list_beside_it(tmp_path: Path, data: Path) -> None:
    model = without_archive(data / "peers" / "yamnet.tflite", tmp_path / "yamnet.tflite")
    assert not zipfile.is_zipfile(model)
    (tmp_path / LABELS).write_text("Dog\nBark\n", encoding="utf-8")
    assert read_labels(model) == ("Dog", "Bark")


def test_the_list_in_the_file_takes_precedence_over_the_list_beside_it(tmp_path: Path) -> None:
    (tmp_path / LABELS).write_text("Cat\n", encoding="utf-8")
    assert read_labels(archive(tmp_path / "model.tflite", b"Dog\nBark\n")) == ("Dog", "Bark")


def test_an_archive_without_the_list_is_ignored(tmp_path: Path) -> None:
    model = archive(tmp_path / "model.tflite", b"Dog\n", "something_else.txt")
    with pytest.raises(UsageError, match=r"holds no yamnet_label_list\.txt, and none is beside it; give"):
        read_labels(model)
    (tmp_path / LABELS).write_text("Cat\n", encoding="utf-8")
    assert read_labels(model) == ("Cat",)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"Dog\nBark\nDog\n", "names 'Dog' twice"),
        (b"", "is empty or has an empty line"),
        (b"Dog\n\nBark\n", "is empty or has an empty line"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_list_without_valid_labels_is_rejected(content: bytes, what: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{what}.*; give YAMNet's own list"):
        read_labels(archive(tmp_path / "model.tflite", content))


def test_a_damaged_archive_is_rejected(tmp_path: Path) -> None:
    model = archive(tmp_path / "model.tflite", bytes(range(48, 90)) * 100)
    content = bytearray(model.read_bytes())
    content[content.index(LABELS.encode()) + len(LABELS)] ^= 0xFF
    model.write_bytes(content)
    with pytest.raises(UsageError, match=r"the archive in .* is damaged \(.*\); get the file again"):
        read_labels(model)


def test_a_list_that_is_too_large_is_rejected_inside_and_beside_the_file(tmp_path: Path) -> None:
    large = b"Dog\n" * (MAX_LIST_BYTES // 4 + 1)
    with pytest.raises(UsageError, match=r"yamnet_label_list\.txt in .* is larger than 1 MB; give YAMNet's \.tflite file"):
        read_labels(archive(tmp_path / "model.tflite", large))
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / LABELS).write_bytes(large)
    with pytest.raises(UsageError, match=r"cannot be read \(it is larger than 1 MB\); give YAMNet's own list"):
        read_labels(tmp_path / "beside" / "model.tflite")


def test_a_pipe_in_place_of_the_list_is_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LABELS)
    with pytest.raises(UsageError, match="it is not a regular file"):
        read_labels(tmp_path / "model.tflite")


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.tflite does not exist; .* python -m convert fetch yamnet"):
        read_labels(tmp_path / "absent.tflite")


def test_all_of_yamnet_s_labels_have_audioset_s_identifiers(data: Path) -> None:
    names = read_labels(data / "peers" / "yamnet.tflite")
    labels = labelled(names)
    assert tuple(label.name for label in labels) == names
    assert len({label.mid for label in labels}) == 521
    assert all(label.mid and label.mid.startswith(("/m/", "/g/", "/t/")) for label in labels)
    assert labels[names.index("Crowing, cock-a-doodle-doo")] == AudioSetLabel("Crowing, cock-a-doodle-doo", "/m/07qn5dc")


def test_a_label_that_is_not_one_of_audioset_s_is_rejected() -> None:
    with pytest.raises(UsageError, match="'Kettle' is not one of AudioSet's classes; give"):
        labelled(["Dog", "Kettle"])
