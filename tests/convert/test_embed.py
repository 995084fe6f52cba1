"""embed: recordings of any kind to records, one in memory at a time, in files that are whole or absent."""

import json
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.__main__ import main
from convert.data import corpus
from convert.data.audio import blocks_16khz, read_16khz
from convert.data.records import read_classes, read_dataset
from convert.data.splits import source_of
from convert.serving import DEFAULT_BUNDLE, CodeEmbedder
from tests.convert.synthetic import LABELS, write_clips

RATE_HZ = 16_000


def embed(*arguments: object) -> int:
    return main(["embed", *map(str, arguments)])


def record(path: Path, seconds: float = 1.0, rate_hz: int = RATE_HZ, level: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = level * np.random.default_rng(len(path.name)).uniform(-1.0, 1.0, int(seconds * rate_hz))
    soundfile.write(path, noise, rate_hz)
    return path


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    """Seven recordings of two sounds, called as a person calls them."""
    for number in range(4):
        record(tmp_path / "kitchen" / "Kettle boils" / f"take {number}.wav")
    for number in range(3):
        record(tmp_path / "kitchen" / "door" / f"{number}.wav", seconds=2.0)
    return tmp_path / "kitchen"


def codes(path: Path) -> dict[str, bytes]:
    return {found.video_id: found.codes.tobytes() for found in read_dataset(path)}


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
    wanted = CodeEmbedder.of_bundle(DEFAULT_BUNDLE).codes(read_16khz(path))
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


@pytest.mark.parametrize(("options", "shards"), [((), 3), (("--soundscapes", 7, "--context", 2), 4)])
def test_shards_hold_what_one_file_would(kitchen: Path, tmp_path: Path, options: tuple[object, ...], shards: int) -> None:
    assert embed(kitchen, *options, "-o", tmp_path / "one.tfrecord") == 0
    assert embed(kitchen, *options, "--shards", shards, "-o", tmp_path / "many") == 0
    names = [f"many-{number:05d}-of-{shards:05d}.tfrecord" for number in range(shards)]
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == sorted([*names, *(f"{name}.json" for name in names)])
    assert codes(tmp_path / "many") == codes(tmp_path / "one.tfrecord")
    assert len(codes(tmp_path / "many")) == 7


def test_an_interrupt_leaves_whole_shards_which_are_not_made_again(
    kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []

    def embedded(recording: corpus.Recording, embedder: CodeEmbedder) -> object:
        heard.append(recording.name)
        if len(heard) == 6:
            signal.raise_signal(signal.SIGINT)
        return corpus.embedded(recording, embedder)

    monkeypatch.setattr("convert.commands.embed.embedded", embedded)
    assert embed(kitchen, "--shards", 3, "-o", tmp_path / "out") == 130
    assert "the same command goes on" in capsys.readouterr().err
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert sorted(first) == [f"out-0000{number}-of-00003.tfrecord{end}" for number in (0, 1) for end in ("", ".json")], (
        "the third was begun and is not there"
    )
    assert embed(kitchen, "--shards", 3, "-o", tmp_path / "out", "--json") == 0
    assert heard[6:] == [heard[5], "door/1"]
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == time for name, time in first.items())
    result = json.loads(capsys.readouterr().out)
    assert (result["records"], result["files"], result["files_made_before"]) == (7, 3, 2)


def test_a_shard_that_lost_its_end_is_made_again(kitchen: Path, tmp_path: Path) -> None:
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 0
    path = tmp_path / "out" / "out-00001-of-00002.tfrecord"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert embed(kitchen, "--shards", 2, "-o", tmp_path / "out") == 0
    assert path.read_bytes() == whole


def one_more(kitchen: Path) -> list[object]:
    record(kitchen / "door" / "late.wav")
    return []


def another_embedder(kitchen: Path) -> list[object]:
    content = bytearray((DEFAULT_BUNDLE / "embedder.tflite").read_bytes()) + b"\0"
    (kitchen.parent / "embedder.tflite").write_bytes(content)
    return ["--embedder", kitchen.parent / "embedder.tflite", "--pca", DEFAULT_BUNDLE / "pca.npz"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda _: ["--seed", 1], "differs in seed from what is asked for; remove"),
        (lambda _: ["--context", 3], "differs in context from"),
        (lambda _: ["--soundscapes", 5], "differs in sequences from"),
        (lambda _: ["--part", "train"], "differs in recordings from"),
        (one_more, "differs in recordings from"),
        (another_embedder, "differs in embedder from"),
        (lambda _: ["--shards", 3], "is not one of these 3 shards; remove it, or give another folder"),
    ],
)
def test_shards_of_something_else_are_an_error_that_says_what_to_do(
    kitchen: Path, tmp_path: Path, change: Callable[[Path], list[object]], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = (kitchen, "--soundscapes", 4, "--context", 2, "--shards", 2, "-o", tmp_path / "out")
    assert embed(*base) == 0
    before = codes(tmp_path / "out")
    assert embed(*base, *change(kitchen)) == 2
    assert what in capsys.readouterr().err
    assert codes(tmp_path / "out") == before


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
    found = [(each.video_id, each.labels) for each in read_dataset(tmp_path / "out.tfrecord")]
    assert found == [("2-20-A", (0,)), ("2-20-A", (1,)), ("2-20-A", (3,)), ("1-drum", ()), ("1-voice", (2,))]
    assert [each.slug for each in read_classes(tmp_path / "out.tfrecord")] == sorted([*LABELS, "speech"])


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--pca", "pca.npz"), "--embedder and --pca belong together"),
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


def test_a_folder_as_output_needs_a_number_of_shards(kitchen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(kitchen, "-o", tmp_path) == 2
    assert "is a folder; give --shards N with it, or name a file" in capsys.readouterr().err
