"""compose: sequences of clips in other sound, each frame with its labels and with the classes that are unknown in it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.embedder.corpus import labelled
from convert.embedder.pseudo_labels import Doubts
from convert.records.files import read_dataset
from edge_detector.audio.clips import NO_CLASS, NO_FOLD
from edge_detector.detection.bundle import EMBEDDER
from tests.support.labelled_embedder import CLASSES, NAMES, made_readout, write_classes, write_embedder
from tests.support.recorded_clips import record, write_damaged, write_kitchen
from tests.support.synthetic import LABELS, write_clips
from tests.support.tiny_recipe import convert


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    return write_damaged(write_kitchen(tmp_path / "kitchen"))


def test_sequences_are_composed_of_usable_recordings(damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("compose", damaged, "--set", "mixtures.sequences=2", "mixtures.context_frames=2", "-o", tmp_path / "out.tfrecord")
    assert convert(*command) == 1
    assert convert(*command, "--skip-damaged") == 0
    assert "3 recordings were skipped" in capsys.readouterr().out, "a short one is sound like any other"


def test_background_is_of_any_number_of_folders_and_of_a_class_where_its_label_is_one(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", folds=1, takes=1)
    for place in ("more/Hiss/1-kettle", "more/animal_cat/1-tom", "world/hiss/9-9-9", "world/music/song"):
        record(tmp_path / f"{place}.wav")
    found, classes = labelled(clips, None, (tmp_path / "more", tmp_path / "world"))
    of_background = [
        (f"{clip.label}/{clip.path.stem}", index, clip.fold) for clip, index in found if clips not in clip.path.parents
    ]
    assert of_background == [
        ("hiss/1-kettle", 1, NO_FOLD),
        ("animal_cat/1-tom", NO_CLASS, NO_FOLD),
        ("hiss/9-9-9", 1, NO_FOLD),
        ("music/song", 2, NO_FOLD),
    ], "a number before a background's name is no fold"
    assert [each.slug for each in classes] == sorted([*LABELS, "music"])


def test_a_composed_sequence_names_the_folds_of_its_clips_and_nothing_is_unknown_in_it(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", folds=2, takes=1)
    record(tmp_path / "background" / "animal_cat" / "1-tom.wav")
    sizes = ("--set", "mixtures.sequences=20", "mixtures.context_frames=2")
    assert convert("compose", clips, "--background", tmp_path / "background", *sizes, "-o", tmp_path / "out.tfrecord") == 0
    found = list(read_dataset(tmp_path / "out.tfrecord"))
    assert {fold for each in found for fold in each.folds} == {1, 2}
    assert all(each.folds for each in found if each.labels)
    assert any(not each.folds for each in found)
    assert {each.frame_unknown for each in found} == {None}


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, background of no class, an embedder with a read-out, and a file of classes."""
    folder = tmp_path_factory.mktemp("doubtful")
    write_clips(folder / "clips", folds=2, takes=1)
    for number in range(6):
        record(folder / "background" / "machine_engine" / f"{'x' * (number + 1)}.wav", seconds=2.0)
    write_embedder(folder / "embedder")
    write_classes(folder)
    return folder


def compose(doubtful: Path, classes: Path, output: Path) -> int:
    background = ("--background", doubtful / "background", "--set", "mixtures.sequences=40", "mixtures.context_frames=2")
    embedder = ("--embedder", doubtful / "embedder" / EMBEDDER)
    return convert("compose", doubtful / "clips", *background, *embedder, "--classes", classes, "-o", output)


def test_a_class_that_may_sound_in_unlabelled_sound_has_no_target_there(doubtful: Path, tmp_path: Path) -> None:
    assert compose(doubtful, doubtful / "classes.json", tmp_path / "out.tfrecord") == 0
    own = [CLASSES[slug].get("audioset", []) for slug in LABELS]
    doubts, readout = Doubts.of(NAMES, own), made_readout()
    unknown = set()
    for each in read_dataset(tmp_path / "out.tfrecord"):
        assert each.frame_unknown is not None
        assert each.frame_labels is not None
        possible = doubts.doubtful(readout.probabilities(each.codes))
        for row, labels, found in zip(possible, each.frame_labels, each.frame_unknown, strict=True):
            # Where nothing unlabelled is heard, nothing is in doubt.
            assert set(found) in (set(), set(np.flatnonzero(row).tolist()) - set(labels))
            unknown |= set(found)
    assert unknown, "nothing was in doubt, so this says nothing"
    assert LABELS.index("hiss") not in unknown, "it is made of no label"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"thump": None}, "does not name the class thump; add it with its AudioSet labels"),
        ({"thump": {"audioset": ["Thud"]}}, "'Thud', which a class is made of, is no AudioSet label; see to its spelling"),
        ({"thump": {"audioset": "Thump"}}, "the class thump: audioset must be a list, not 'Thump'"),
    ],
)
def test_a_file_of_classes_that_does_not_fit_is_refused(
    doubtful: Path, tmp_path: Path, change: dict[str, Any], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {slug: about for slug, about in (CLASSES | change).items() if about is not None}
    (tmp_path / "classes.json").write_text(json.dumps(changed), encoding="utf-8")
    assert compose(doubtful, tmp_path / "classes.json", tmp_path / "out.tfrecord") == 2
    *_, message = capsys.readouterr().err.splitlines()
    assert what in message
    assert not (tmp_path / "out.tfrecord").exists()


def test_classes_need_an_embedder_with_a_read_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = write_clips(tmp_path / "clips", folds=1, takes=1)
    assert convert("compose", clips, "--classes", "c.json", "-o", tmp_path / "out.tfrecord") == 2
    assert "--classes needs an embedder with a read-out beside it; give --embedder FILE" in capsys.readouterr().err
