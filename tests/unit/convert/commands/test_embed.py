"""embed: recordings of any kind to records, one in memory at a time, in files that are whole or absent."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.audio.samples import blocks_16khz, read_16khz
from convert.embedder.pseudo_labels import Doubts
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.records.files import find_folds, read_classes, read_dataset
from convert.sequence.splits import source_of
from edge_detector.detection.bundle import EMBEDDER, load_bundle
from tests.support.labelled_embedder import CLASSES, NAMES, made_readout, write_classes, write_embedder
from tests.support.recorded_clips import RATE_HZ, codes, embed, record, write_kitchen
from tests.support.synthetic import LABELS, write_clips


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    return write_kitchen(tmp_path / "kitchen")


def test_a_persons_recordings_become_labelled_records(kitchen: Path, tmp_path: Path) -> None:
    assert embed(kitchen, "-o", tmp_path / "out.tfrecord") == 0
    found = list(read_dataset(tmp_path / "out.tfrecord"))
    assert [(each.video_id, each.labels, len(each.codes)) for each in found[2:5]] == [
        ("kettle_boils/take 2", (1,), 1),
        ("kettle_boils/take 3", (1,), 1),
        ("door/0", (0,), 2),
    ]
    assert len({source_of(each.video_id) for each in found}) == 7, "each is its own source"
    assert [(each.slug, each.label) for each in read_classes(tmp_path / "out.tfrecord")] == [
        ("door", "Door"),
        ("kettle_boils", "Kettle boils"),
    ]


def test_what_is_embedded_is_what_the_detector_hears(kitchen: Path, tmp_path: Path) -> None:
    path = record(kitchen / "door" / "long.wav", seconds=7.0, rate_hz=44_100)
    assert np.array_equal(np.concatenate([block.samples for block in blocks_16khz(path)]), read_16khz(path))
    assert embed(kitchen, "-o", tmp_path / "out.tfrecord") == 0
    wanted = CodeEmbedder.of_bundle(load_bundle(DEFAULT_BUNDLE)).codes(read_16khz(path))
    assert codes(tmp_path / "out.tfrecord")["door/long"] == wanted.tobytes()


def test_recordings_without_labels_are_taken_by_name_or_from_folders_of_any_depth(tmp_path: Path) -> None:
    record(tmp_path / "corpus" / "a.wav")
    record(tmp_path / "corpus" / "2026" / "11" / "b.flac")
    (tmp_path / "corpus" / "._a.wav").write_bytes(b"what a Mac leaves")
    single = record(tmp_path / "c.ogg")
    assert embed(tmp_path / "corpus", single, "-o", tmp_path / "out.tfrecord") == 0
    assert [(each.video_id, each.labels) for each in read_dataset(tmp_path / "out.tfrecord")] == [
        ("2026/11/b", ()),
        ("a", ()),
        ("c", ()),
    ]
    assert embed(tmp_path / "corpus", "--unlabelled", "-o", tmp_path / "other.tfrecord") == 0
    assert len(codes(tmp_path / "other.tfrecord")) == 2


@pytest.fixture
def damaged(kitchen: Path) -> Path:
    """Among the seven good recordings, one of each kind that cannot be used."""
    (kitchen / "door" / "text.wav").write_text("no sound at all, though it is called so")
    (kitchen / "door" / "empty.flac").write_bytes(b"")
    record(kitchen / "door" / "quiet.wav", level=0.0)
    record(kitchen / "door" / "short.wav", seconds=0.9)
    return kitchen


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("text.wav", "is not audio that can be read"),
        ("empty.flac", "is empty"),
        ("quiet.wav", "is silent from end to end"),
        ("short.wav", "is shorter than one window of 0.975 s"),
    ],
)
def test_a_recording_that_cannot_be_used_is_named(
    damaged: Path, tmp_path: Path, name: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted((damaged / "door").glob("[a-z]*")):
        if path.name != name:
            path.unlink()
    assert embed(damaged, "-o", tmp_path / "out.tfrecord") == 1
    *_, message = capsys.readouterr().err.splitlines()
    assert f"{name} {what}" in message
    assert not (tmp_path / "out.tfrecord").exists()


def test_by_choice_they_are_passed_over_and_counted(damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(damaged, "--skip-damaged", "--shards", 2, "-o", tmp_path / "out", "--json") == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert (result["records"], result["skipped"], result["clips"]) == (7, 4, 11)
    assert said.err.count("skipped: ") == 4
    again = embed(damaged, "--skip-damaged", "--shards", 2, "-o", tmp_path / "out")
    assert (again, "4 recordings were passed over" in capsys.readouterr().out) == (0, True)


def test_sequences_are_composed_of_what_can_be_used(damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compose = (damaged, "--soundscapes", 2, "--context", 2, "-o", tmp_path / "out.tfrecord")
    assert embed(*compose) == 1
    assert embed(*compose, "--skip-damaged") == 0
    assert "3 recordings were passed over" in capsys.readouterr().out, "a short one is sound like any other"


def test_memory_holds_one_recording_however_many_there_are(tmp_path: Path) -> None:
    for number in range(40):
        record(tmp_path / "corpus" / f"{number}.wav", seconds=20.0)
    everything = 40 * 20 * RATE_HZ * 4
    embed(tmp_path / "corpus" / "0.wav", "-o", tmp_path / "first.tfrecord")
    tracemalloc.start()
    try:
        assert embed(tmp_path / "corpus", "--unlabelled", "-o", tmp_path / "out.tfrecord") == 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < everything / 5


def test_clips_in_folds_keep_their_names_and_background_has_no_label(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", folds=2, takes=1)
    record(tmp_path / "background" / "speech" / "1-voice.wav")
    record(tmp_path / "background" / "other" / "1-drum.wav")
    assert embed(clips, "--folds", 2, "--background", tmp_path / "background", "-o", tmp_path / "out.tfrecord") == 0
    found = [(each.video_id, each.labels, each.folds) for each in read_dataset(tmp_path / "out.tfrecord")]
    assert found == [
        ("2-20-A", (0,), (2,)),
        ("2-20-A", (1,), (2,)),
        ("2-20-A", (3,), (2,)),
        ("other/1-drum", (), ()),
        ("speech/1-voice", (2,), ()),
    ]
    assert [each.slug for each in read_classes(tmp_path / "out.tfrecord")] == sorted([*LABELS, "speech"])
    assert find_folds(tmp_path / "out.tfrecord") == frozenset({2}), "a number before a background's name is no fold"


def test_background_is_of_any_number_of_folders_and_of_a_class_where_its_label_is_one(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", folds=1, takes=1)
    for place in ("more/Hiss/1-kettle", "more/animal_cat/1-tom", "world/hiss/9-9-9", "world/music/song"):
        record(tmp_path / f"{place}.wav")
    background = ("--background", tmp_path / "more", tmp_path / "world", "--part", "background")
    assert embed(clips, *background, "-o", tmp_path / "out.tfrecord") == 0
    assert [(each.video_id, each.labels) for each in read_dataset(tmp_path / "out.tfrecord")] == [
        ("hiss/1-kettle", (1,)),
        ("animal_cat/1-tom", ()),
        ("hiss/9-9-9", (1,)),
        ("music/song", (2,)),
    ]
    assert [each.slug for each in read_classes(tmp_path / "out.tfrecord")] == sorted([*LABELS, "music"])


def test_a_composed_sequence_names_the_folds_of_its_clips_and_nothing_is_unknown_in_it(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", folds=2, takes=1)
    record(tmp_path / "background" / "animal_cat" / "1-tom.wav")
    composed = ("--background", tmp_path / "background", "--soundscapes", 20, "--context", 2)
    assert embed(clips, *composed, "-o", tmp_path / "out.tfrecord") == 0
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
    background = ("--background", doubtful / "background", "--soundscapes", 40, "--context", 2)
    return embed(
        doubtful / "clips", *background, "--embedder", doubtful / "embedder" / EMBEDDER, "--classes", classes, "-o", output
    )


def test_of_a_class_that_may_sound_in_unlabelled_sound_nothing_is_known_there(doubtful: Path, tmp_path: Path) -> None:
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
        ({"thump": {"audioset": "Thump"}}, 'the class thump has an "audioset" that is not a list of names'),
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


def test_every_nth_recording_can_be_taken(kitchen: Path, tmp_path: Path) -> None:
    for every in (1, 3):
        assert embed(kitchen, "--every", every, "-o", tmp_path / f"{every}.tfrecord") == 0
    whole, third = (list(read_dataset(tmp_path / f"{every}.tfrecord")) for every in (1, 3))
    assert len(whole) > 3
    assert [record.video_id for record in third] == [record.video_id for record in whole[::3]]


def test_recordings_of_some_labels_can_be_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, background = write_clips(tmp_path / "clips", folds=2, takes=1), tmp_path / "background"
    for label in ("speech", "music", "other"):
        record(background / label / f"1-{label}.wav")
    alone = ("--background", background, "--part", "background", "-o", tmp_path / "out.tfrecord")
    assert embed(clips, *alone, "--of", "speech", "other") == 0
    assert [each.video_id for each in read_dataset(tmp_path / "out.tfrecord")] == ["other/1-other", "speech/1-speech"]
    assert {"speech", "music"} < {each.slug for each in read_classes(tmp_path / "out.tfrecord")}, "places are those of all"
    assert embed(clips, *alone, "--of", "speach") == 2
    assert "--of speach" in capsys.readouterr().err


def test_background_alone_is_labelled_as_it_is_beside_the_clips(tmp_path: Path) -> None:
    clips, background = write_clips(tmp_path / "clips", folds=2, takes=1), tmp_path / "background"
    record(background / "speech" / "1-voice.wav", seconds=2.0)
    record(background / "other" / "1-drum.wav")
    assert embed(clips, "--background", background, "--part", "background", "-o", tmp_path / "out.tfrecord") == 0
    found = [(each.video_id, each.labels, len(each.codes)) for each in read_dataset(tmp_path / "out.tfrecord")]
    assert found == [("other/1-drum", (), 1), ("speech/1-voice", (2,), 2)]
    assert [each.slug for each in read_classes(tmp_path / "out.tfrecord")] == sorted([*LABELS, "speech"])


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--part", "background"), "--part background needs --background DIR"),
        (("--pca", "pca.npz"), "--pca goes with --embedder; give both"),
        (("--classes", "c.json", "--soundscapes", 3), "--classes goes with --soundscapes and --embedder; give all three"),
        (("--classes", "c.json", "--embedder", "e.tflite"), "--classes goes with --soundscapes and --embedder"),
        (("--unlabelled", "--soundscapes", 3), "recordings without labels are taken whole"),
        (("nowhere",), "give one folder with a folder of recordings for each label, or --unlabelled"),
    ],
)
def test_what_does_not_go_together_is_said(
    kitchen: Path, tmp_path: Path, options: tuple[object, ...], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(kitchen, *options, "-o", tmp_path / "out.tfrecord") == 2
    assert what in capsys.readouterr().err


def test_a_recording_that_is_not_there_is_said_before_anything_is_embedded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(record(tmp_path / "a.wav"), tmp_path / "b.wav", "-o", tmp_path / "out.tfrecord") == 2
    assert capsys.readouterr().err.endswith(
        "b.wav cannot be read: No such file or directory; leave it out, or see where it went\n"
    )
