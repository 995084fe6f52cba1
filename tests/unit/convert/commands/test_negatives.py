"""negatives: records of other sound become the file that teach reads."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from convert.__main__ import main
from convert.records.files import Record, write_dataset
from edge_detector.detection.bundle import embedder_digest, load_bundle
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.negatives import read_negatives
from tests.support.synthetic import write_clips

MADE_OF = {"embedder": "ab" * 32, "pca": "cd" * 32, "embedder_name": "some"}


def write(path: Path, labels: list[tuple[int, ...]], made_of: dict[str, str] | None = None) -> Path:
    records = [
        Record(f"r{number}", 0.0, 1.92, of_record, np.full((2, 128), number, np.uint8)) for number, of_record in enumerate(labels)
    ]
    write_dataset(path, records, ("dog", "rain"), made_of=made_of or MADE_OF)
    return path


def negatives(*arguments: object) -> int:
    return main(["negatives", *map(str, arguments)])


def test_records_are_thinned_by_label_and_keep_their_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path / "a.tfrecord", [(0,)] * 10 + [(1,)] * 2 + [()] * 9)
    second = write(tmp_path / "b.tfrecord", [(0, 1)] * 3)
    assert negatives(first, second, "--most-per-label", 4, "-o", tmp_path / "n.npz", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    found = read_negatives(tmp_path / "n.npz").sequences
    assert Counter(each.labels for each in found) == {
        frozenset({"dog"}): 4,
        frozenset({"rain"}): 2,
        frozenset(): 9,
        frozenset({"dog", "rain"}): 3,
    }
    assert [int(each.codes[0, 0]) for each in found[:4]] == [0, 2, 5, 7], "spread evenly"
    assert result["negatives"] == 18
    assert result["hours"] == pytest.approx(36 * 0.96 / 3600, abs=1e-3)


def test_records_of_two_embedders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path / "a.tfrecord", [()])
    second = write(tmp_path / "b.tfrecord", [()], {**MADE_OF, "pca": "ef" * 32})
    assert negatives(first, second, "-o", tmp_path / "n.npz") == 2
    assert "make both with one embedder" in capsys.readouterr().err
    assert not (tmp_path / "n.npz").exists()


def test_records_without_the_name_of_their_embedder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tfrecord"
    write_dataset(path, [Record("r", 0.0, 0.96, (), np.zeros((1, 128), np.uint8))], ("dog",))
    assert negatives(path, "-o", tmp_path / "n.npz") == 2
    assert "does not name the embedder of its records" in capsys.readouterr().err


def test_teach_takes_the_negatives_of_a_bundle_s_own_embedder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = write_clips(tmp_path / "clips")
    assert main(["embed", str(clips), "--embedder", str(DEFAULT_BUNDLE), "-o", str(tmp_path / "a.tfrecord")]) == 0
    assert negatives(tmp_path / "a.tfrecord", "-o", tmp_path / "n.npz") == 0
    bundle = load_bundle(DEFAULT_BUNDLE)
    assert read_negatives(tmp_path / "n.npz").embedder == embedder_digest(bundle.embedder, bundle.pca)
    other = write(tmp_path / "other.tfrecord", [()] * 4)
    assert negatives(other, "-o", tmp_path / "other.npz") == 0
    assert main(["teach", str(clips), "--negatives", str(tmp_path / "other.npz"), "-o", str(tmp_path / "bundle")]) == 2
    assert "make the negatives with convert embed" in capsys.readouterr().err
    assert main(["teach", str(clips), "--negatives", str(tmp_path / "n.npz"), "-o", str(tmp_path / "bundle")]) == 0
    assert "new classes: 3" in capsys.readouterr().out
