"""infer: YouTube-8M's CSV, to the letter."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from convert.commands import infer as command
from convert.commands.infer import InferResult
from convert.evaluation.inference import lines
from convert.records import protobuf, tfrecord
from convert.records.files import write_dataset
from edge_detector.errors import EdgeDetectorError
from tests.support.stub_model import CLASSES, StubModel, says, write_model, write_three


def inferred(
    tmp_path: Path, records: Path, *more: object, classes: int = 3, labels: Sequence[str] = CLASSES
) -> tuple[InferResult, list[str]]:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    output = tmp_path / "out.csv"
    arguments = (write_model(tmp_path / "model", labels=labels), records, "-o", output, *more)
    result = command.run(parser.parse_args([str(argument) for argument in arguments]), lambda _: StubModel(classes))
    return result, output.read_bytes().decode().split("\n")


def test_the_file_is_youtube_8ms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, found = inferred(tmp_path, write_three(tmp_path / "three.tfrecord"))
    assert found == ["VideoId,LabelConfidencePairs", "right,0 1 1 0.2 2 0", "both,2 1 1 0.4 0 0", "wrong,0 0.8 2 0.2 1 0", ""]
    assert (result.examples, result.top_k) == (3, 3), "20 classes were asked for, there are 3"
    logged = r"num examples processed: 3 elapsed seconds: \d+\.\d\d examples/sec: \d+\.\d\d"
    assert re.search(logged, capsys.readouterr().err)


def test_only_the_best_are_written(tmp_path: Path) -> None:
    _, found = inferred(tmp_path, write_three(tmp_path / "three.tfrecord"), "--top-k", 1)
    assert found[1:4] == ["right,0 1", "both,2 1", "wrong,0 0.8"]


def test_equal_scores_are_in_the_order_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    write_dataset(path, [says([50] * 30, (), "x")], ())
    _, found = inferred(tmp_path, path, classes=30)
    assert [int(part) for part in found[1].removeprefix("x,").split(" ")[::2]] == list(range(20))


def test_classes_may_be_written_by_name(tmp_path: Path) -> None:
    path = write_three(tmp_path / "three.tfrecord")
    labels = ["speech", "male_speech_man_speaking", "dog"]
    _, found = inferred(tmp_path, path, "--names", "--top-k", 1, labels=labels)
    assert found[1:4] == ["right,speech 1", "both,dog 1", "wrong,speech 0.8"]


def test_scores_have_six_significant_digits() -> None:
    (line,) = lines(("id",), np.array([[1 / 3, 1e-7, 0.9999999]], np.float32), 3, range(3))
    assert line == "id,2 1 0 0.333333 1 1e-07\n"


def test_records_need_neither_labels_nor_id(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    bare = protobuf.encode(protobuf.SequenceExample({}, {"audio_embedding": [(bytes(128),)]}))
    foreign = protobuf.encode(protobuf.SequenceExample({"id": ("ü1".encode(),), "labels": (3861,)}, {"audio": [(bytes(128),)]}))
    tfrecord.write_records(path, [bare, foreign])
    _, found = inferred(tmp_path, path, "--top-k", 1)
    assert found[1:3] == ["record-0,0 0", "ü1,0 0"]


def test_nothing_is_written_when_a_record_is_damaged_unless_it_is_passed_over(tmp_path: Path) -> None:
    path = write_three(tmp_path / "three.tfrecord")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(EdgeDetectorError, match="ends inside a record"):
        inferred(tmp_path, path)
    assert [item.name for item in tmp_path.iterdir() if "csv" in item.name] == []
    result, found = inferred(tmp_path, path, "--skip-damaged")
    assert (result.examples, result.skipped_kinds) == (2, {"cut short": 1})
    assert len(found) == 4


def test_an_id_with_a_line_break_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    write_dataset(path, [says([1], (), "a\nb")], ())
    with pytest.raises(EdgeDetectorError, match="line break"):
        inferred(tmp_path, path)
