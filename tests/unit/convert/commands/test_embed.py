"""embed: recordings of any kind to records, one in memory at a time, in files that are whole or absent."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.records.files import find_folds, read_classes, read_dataset
from convert.sequence.splits import source_of
from edge_detector.audio.samples import blocks_16khz, read_16khz
from edge_detector.detection.bundle import load_bundle
from tests.support.recorded_clips import RATE_HZ, codes, embed, record, write_damaged, write_kitchen
from tests.support.synthetic import LABELS, write_clips


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    return write_kitchen(tmp_path / "kitchen")


def test_recordings_in_folders_become_labelled_records(kitchen: Path, tmp_path: Path) -> None:
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


def test_embeddings_equal_the_detector_s(kitchen: Path, tmp_path: Path) -> None:
    path = record(kitchen / "door" / "long.wav", seconds=7.0, rate_hz=44_100)
    assert np.array_equal(np.concatenate([block.samples for block in blocks_16khz(path)]), read_16khz(path))
    assert embed(kitchen, "-o", tmp_path / "out.tfrecord") == 0
    wanted = CodeEmbedder.of_bundle(load_bundle(DEFAULT_BUNDLE)).codes(read_16khz(path))
    assert codes(tmp_path / "out.tfrecord")["door/long"] == wanted.tobytes()


def test_unlabelled_recordings_are_found_by_name_and_in_folders_of_any_depth(tmp_path: Path) -> None:
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
    return write_damaged(kitchen)


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


def test_damaged_recordings_are_skipped_and_counted_with_skip_damaged(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(damaged, "--skip-damaged", "--shards", 2, "-o", tmp_path / "out", "--json") == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert (result["records"], result["skipped"], result["clips"]) == (7, 4, 11)
    assert said.err.count("skipped: ") == 4
    again = embed(damaged, "--skip-damaged", "--shards", 2, "-o", tmp_path / "out")
    assert (again, "4 recordings were skipped" in capsys.readouterr().out) == (0, True)


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


def test_clips_in_folds_keep_their_names(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", folds=2, takes=1)
    assert embed(clips, "--folds", 2, "-o", tmp_path / "out.tfrecord") == 0
    found = [(each.video_id, each.labels, each.folds) for each in read_dataset(tmp_path / "out.tfrecord")]
    assert found == [
        ("2-20-A", (0,), (2,)),
        ("2-20-A", (1,), (2,)),
        ("2-20-A", (2,), (2,)),
    ]
    assert [each.slug for each in read_classes(tmp_path / "out.tfrecord")] == sorted(LABELS)
    assert find_folds(tmp_path / "out.tfrecord") == frozenset({2})


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--unlabelled", "--folds", 3), "recordings without labels have no folds; leave out --folds"),
        (("nowhere",), "give one folder with a folder of recordings for each label, or --unlabelled"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    kitchen: Path, tmp_path: Path, options: tuple[object, ...], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(kitchen, *options, "-o", tmp_path / "out.tfrecord") == 2
    assert what in capsys.readouterr().err


def test_a_missing_recording_is_reported_before_embedding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(record(tmp_path / "a.wav"), tmp_path / "b.wav", "-o", tmp_path / "out.tfrecord") == 2
    assert capsys.readouterr().err.endswith(
        "b.wav cannot be read: No such file or directory; leave it out, or see where it went\n"
    )
