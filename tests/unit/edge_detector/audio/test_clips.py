"""Folders of labelled recordings, with and without folds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.audio.training_mixtures import split_by_source
from edge_detector.audio.clips import NO_FOLD, find_clips, labels_of, load_clips
from edge_detector.errors import EdgeDetectorError, UsageError
from tests.support.synthetic import LABELS, write_clips


def record(path: Path) -> None:
    """Write a short recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(16_000) / 7.0), 16_000)


def test_clips_are_found_by_label_and_fold(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "clips")
    found = find_clips(root, (1, 3))
    assert labels_of(found) == LABELS
    assert {clip.fold for clip in found} == {1, 3}
    assert {clip.source for clip in found} == {"1-10", "1-11", "3-30", "3-31"}
    clips = load_clips(found, LABELS)
    assert all(len(clip.samples) == 32_000 for clip in clips)
    with pytest.raises(EdgeDetectorError, match="has no clip of fold 9"):
        find_clips(root, (9,))
    with pytest.raises(EdgeDetectorError, match="is not a folder"):
        find_clips(tmp_path / "nowhere")


def test_a_recording_with_any_other_name_has_no_fold_and_is_its_own_source(tmp_path: Path) -> None:
    names = ("kettle.wav", "Aufnahme 3.wav", "2026-11-23 14.02.wav", "23-11-2026 14.02.wav", "7.WAV", "a-b-c.flac")
    for name in names:
        record(tmp_path / "kettle" / name)
    found = find_clips(tmp_path)
    assert {clip.path.name for clip in found} == set(names)
    assert {clip.fold for clip in found} == {NO_FOLD}
    assert {clip.source for clip in found} == {Path(name).stem for name in names}


def test_recordings_without_folds_are_split_individually(tmp_path: Path) -> None:
    for label in ("kettle", "doorbell"):
        for number in range(5):
            record(tmp_path / label / f"{label} {number}.wav")
    found = find_clips(tmp_path)
    training, validation = split_by_source(load_clips(found, labels_of(found)), 0.2)
    assert len(training) == 8
    assert sorted(clip.clip.label for clip in validation) == ["doorbell", "kettle"]


def test_the_only_recording_of_a_class_is_in_training(tmp_path: Path) -> None:
    for number in range(5):
        record(tmp_path / "doorbell" / f"{number}.wav")
    record(tmp_path / "kettle" / "one.wav")
    found = find_clips(tmp_path)
    training, validation = split_by_source(load_clips(found, labels_of(found)), 0.2)
    assert {clip.clip.label for clip in training} == {"doorbell", "kettle"}
    assert [clip.clip.label for clip in validation] == ["doorbell"]


def test_folds_are_rejected_for_clips_without_folds(tmp_path: Path) -> None:
    record(tmp_path / "kettle" / "one.wav")
    with pytest.raises(UsageError, match="has no folds: its clips are not named FOLD-SOURCE-TAKE; leave the folds out"):
        find_clips(tmp_path, (1, 2))


@pytest.mark.parametrize(
    ("folder", "label"), [("Dog bark", "dog_bark"), ("Türklingel", "turklingel"), ("grüße!", "grusse"), ("ÉCLAIR 2", "eclair_2")]
)
def test_a_folder_name_becomes_a_slug(tmp_path: Path, folder: str, label: str) -> None:
    record(tmp_path / folder / "one.wav")
    assert labels_of(find_clips(tmp_path)) == (label,)


def test_a_folder_name_without_a_slug_is_rejected(tmp_path: Path) -> None:
    record(tmp_path / "犬" / "one.wav")
    with pytest.raises(UsageError, match="犬 cannot name a class: its name has no letter a to z and no digit; rename it"):
        find_clips(tmp_path)


def test_two_folders_with_the_same_slug_are_rejected(tmp_path: Path) -> None:
    record(tmp_path / "Dog bark" / "one.wav")
    record(tmp_path / "dog_bark" / "two.wav")
    with pytest.raises(UsageError, match=r"Dog bark and .*dog_bark are both the class dog_bark"):
        find_clips(tmp_path)


def test_hidden_files_and_folders_without_audio_are_ignored(tmp_path: Path) -> None:
    for name in ("kettle/one.wav", "kettle/._one.wav", ".trash/two.wav"):
        record(tmp_path / name)
    (tmp_path / "日記").mkdir()
    (tmp_path / "日記" / "notes.txt").write_text("no audio")
    assert [clip.path.name for clip in find_clips(tmp_path)] == ["one.wav"]


def test_an_m4a_file_is_a_clip(tmp_path: Path) -> None:
    record(tmp_path / "kettle" / "one.wav")
    (tmp_path / "kettle" / "two.m4a").write_bytes(b"\0")
    assert [clip.path.name for clip in find_clips(tmp_path)] == ["one.wav", "two.m4a"]


def test_a_folder_without_clips_is_rejected_with_the_expected_layout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no clips; they are expected as LABEL/anything\.wav"):
        find_clips(tmp_path)
