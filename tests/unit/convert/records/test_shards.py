"""What embed writes in several files, and takes up again."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.embedder import corpus
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from tests.support.recorded_clips import codes, embed, record, write_kitchen


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    return write_kitchen(tmp_path / "kitchen")


@pytest.mark.parametrize("shards", [3, 4])
def test_shards_have_the_records_of_a_single_file(kitchen: Path, tmp_path: Path, shards: int) -> None:
    assert embed(kitchen, "-o", tmp_path / "one.tfrecord") == 0
    assert embed(kitchen, "--shards", shards, "-o", tmp_path / "many") == 0
    names = [f"many-{number:05d}-of-{shards:05d}.tfrecord" for number in range(shards)]
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == sorted([*names, *(f"{name}.json" for name in names)])
    assert codes(tmp_path / "many") == codes(tmp_path / "one.tfrecord")
    assert len(codes(tmp_path / "many")) == 7


def test_complete_shards_of_an_interrupted_run_are_kept(
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
    assert "run the same command again to resume" in capsys.readouterr().err
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert sorted(first) == [f"out-0000{number}-of-00003.tfrecord{end}" for number in (0, 1) for end in ("", ".json")], (
        "the third was begun and is not there"
    )
    assert embed(kitchen, "--shards", 3, "-o", tmp_path / "out", "--json") == 0
    assert heard[6:] == [heard[5], "door/1"]
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == time for name, time in first.items())
    result = json.loads(capsys.readouterr().out)
    assert (result["records"], result["files"], result["files_made_before"]) == (7, 3, 2)


def test_a_truncated_shard_is_made_again(kitchen: Path, tmp_path: Path) -> None:
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
    (kitchen.parent / "pca.npz").write_bytes((DEFAULT_BUNDLE / "pca.npz").read_bytes())
    return ["--embedder", kitchen.parent / "embedder.tflite"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (one_more, "differs in recordings from"),
        (another_embedder, "differs in embedder"),
        (lambda _: ["--shards", 3], "is not one of these 3 shards; remove it, or give another folder"),
    ],
)
def test_shards_with_other_facts_are_an_error_with_a_remedy(
    kitchen: Path, tmp_path: Path, change: Callable[[Path], list[object]], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = (kitchen, "--shards", 2, "-o", tmp_path / "out")
    assert embed(*base) == 0
    before = codes(tmp_path / "out")
    assert embed(*base, *change(kitchen)) == 2
    assert what in capsys.readouterr().err
    assert codes(tmp_path / "out") == before


def test_a_folder_as_output_needs_a_number_of_shards(kitchen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(kitchen, "-o", tmp_path) == 2
    assert "is a folder; give --shards N with it, or name a file" in capsys.readouterr().err
