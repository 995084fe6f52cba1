"""infer by files: parts from any process, in one CSV."""

import argparse
import json
import threading
from pathlib import Path

import pytest

from convert.__main__ import main
from convert.commands import infer
from convert.commands.infer import InferResult
from convert.locks import file_lock
from convert.records import protobuf, tfrecord
from convert.records.files import write_dataset
from edge_detector.errors import EdgeDetectorError
from tests.support.stub_model import CLASSES, StubModel, many, says, write_model, write_three
from tests.support.synthetic import examples
from tests.support.waiting import wait_until

loaded: list[Path] = []


def load_stub(folder: Path) -> StubModel:
    loaded.append(folder)
    return StubModel()


def inferred(tmp_path: Path, *arguments: object) -> tuple[InferResult, bytes]:
    parser = argparse.ArgumentParser()
    infer.configure(parser)
    output = tmp_path / "out.csv"
    model = write_model(tmp_path / "model")
    result = infer.run(parser.parse_args([str(each) for each in (model, *arguments, "-o", output)]), load_stub)
    return result, output.read_bytes()


def write_bare(path: Path, count: int) -> Path:
    """Records without id."""
    bare = protobuf.SequenceExample({}, {"audio_embedding": [(bytes(128),)]})
    tfrecord.write_records(path, [protobuf.encode(bare)] * count)
    return path


@pytest.fixture
def records(tmp_path: Path) -> Path:
    folder = tmp_path / "records"
    folder.mkdir()
    write_bare(folder / "a.tfrecord", 2)
    write_three(folder / "b.tfrecord")
    write_dataset(folder / "c.tfrecord", [], CLASSES)
    write_bare(folder / "d.tfrecord", 2)
    return folder


def ids(content: bytes) -> list[str]:
    return [line.partition(",")[0] for line in content.decode().splitlines()[1:]]


@pytest.mark.parametrize("jobs", [1, 2])
def test_records_without_id_are_numbered_over_all_files(records: Path, tmp_path: Path, jobs: int) -> None:
    result, content = inferred(tmp_path, records, "--jobs", jobs)
    assert ids(content) == ["record-0", "record-1", "right", "both", "wrong", "record-5", "record-6"]
    assert (result.examples, result.top_k) == (7, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out.csv", "records"], "no part is left"


def test_a_file_may_have_the_longest_name(records: Path, tmp_path: Path) -> None:
    path = (records / "b.tfrecord").rename(records / f"{'音' * 80}.tfrecord")
    _, content = inferred(tmp_path, path)
    assert ids(content) == ["right", "both", "wrong"]


def test_a_file_given_twice_is_in_the_csv_twice(records: Path, tmp_path: Path) -> None:
    _, content = inferred(tmp_path, records / "b.tfrecord", records / "b.tfrecord", "--jobs", 2)
    assert ids(content) == ["right", "both", "wrong"] * 2


def test_the_next_run_resumes_after_an_error(records: Path, tmp_path: Path) -> None:
    whole = (records / "d.tfrecord").read_bytes()
    (records / "d.tfrecord").write_bytes(whole[:-5])
    with pytest.raises(EdgeDetectorError, match="ends inside a record"):
        inferred(tmp_path, records)
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out.csv.parts").iterdir()}
    assert sorted(name[0] for name in made) == ["a", "a", "b", "b", "c", "c"]
    assert not (tmp_path / "out.csv").exists()
    for path in (tmp_path / "out.csv.parts").glob("[ab]-*.csv"):
        # Other scores, which show what is taken and what is made again.
        path.write_bytes(path.read_bytes().replace(b"0", b"7"))
    write_three(records / "b.tfrecord")
    (records / "d.tfrecord").write_bytes(whole)
    result, content = inferred(tmp_path, records)
    assert result.examples == 7
    assert content.splitlines()[1:4] == [b"record-0,7 7 1 7 2 7", b"record-1,7 7 1 7 2 7", b"right,0 1 1 0.2 2 0"]


def test_parts_of_other_options_are_not_taken(records: Path, tmp_path: Path) -> None:
    (records / "d.tfrecord").write_bytes(b"no records")
    with pytest.raises(EdgeDetectorError, match="ends inside a record"):
        inferred(tmp_path, records)
    result, content = inferred(tmp_path, records, "--top-k", 1, "--names", "--skip-damaged")
    assert (result.examples, result.skipped_kinds) == (5, {"cut short": 1})
    assert content.splitlines()[3] == b"right,a 1"
    assert not (tmp_path / "out.csv.parts").exists()


def test_damaged_records_are_said_whatever_process_meets_them(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ad":
        path = records / f"{name}.tfrecord"
        path.write_bytes(path.read_bytes()[:-5])
    said = []
    for jobs in (1, 2):
        result, _ = inferred(tmp_path, records, "--skip-damaged", "--jobs", jobs)
        said.append([line for line in capsys.readouterr().err.splitlines() if line.startswith("skipped: ")])
        assert (result.examples, result.skipped, result.skipped_kinds) == (5, 2, {"cut short": 2})
    assert said[0] == said[1]
    assert ["a.tfrecord" in said[0][0], "d.tfrecord" in said[0][1], len(said[0])] == [True, True, 2]


def test_a_second_run_waits_for_the_first(records: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done: list[InferResult] = []
    with file_lock(tmp_path / "out.csv", wait=False):
        second = threading.Thread(target=lambda: done.append(inferred(tmp_path, records)[0]))
        second.start()
        wait_until(lambda: "is writing" in capfd.readouterr().err, "the second run to wait")
        assert not (tmp_path / "out.csv").exists()
    second.join()
    assert done[0].examples == 7


def test_another_model_in_the_same_folder_is_loaded_anew(records: Path, tmp_path: Path) -> None:
    inferred(tmp_path, records)
    loaded.clear()
    inferred(tmp_path, records)
    assert loaded == [], "one process loads a model once"
    (tmp_path / "model" / "weights.npz").write_bytes(b"other")
    parser = argparse.ArgumentParser()
    infer.configure(parser)
    arguments = (tmp_path / "model", records, "-o", tmp_path / "out.csv")
    infer.run(parser.parse_args([str(each) for each in arguments]), load_stub)
    assert loaded == [tmp_path / "model"]


def test_batches_do_not_cross_files(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    write_dataset(folder / "long.tfrecord", [says([1], (), "long", frames=250)], CLASSES)
    write_dataset(folder / "short.tfrecord", many(5), CLASSES)
    models: list[StubModel] = []

    def load(_: Path) -> StubModel:
        models.append(StubModel())
        return models[-1]

    parser = argparse.ArgumentParser()
    infer.configure(parser)
    arguments = (write_model(tmp_path / "model"), folder, "-o", tmp_path / "out.csv")
    infer.run(parser.parse_args([str(each) for each in arguments]), load)
    assert [shape[:2] for shape, _ in models[0].asked] == [(1, 250), (5, 10)]


def test_a_trained_model_gives_the_same_csv_from_two_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorflow")
    for number in range(3):
        write_dataset(tmp_path / "records" / f"{number}.tfrecord", examples(40, seed=number), CLASSES)
    small = ["--set", "model=lstm", "lstm.cells=8", "lstm.layers=1", "training.epochs=1"]
    assert main(["train", str(tmp_path / "records" / "0.tfrecord"), "--classes", "3", *small, "-o", str(tmp_path / "lstm")]) == 0
    base = ["infer", str(tmp_path / "lstm"), str(tmp_path / "records"), "--json"]
    assert main([*base, "-o", str(tmp_path / "one.csv")]) == 0
    assert main([*base, "-o", str(tmp_path / "two.csv"), "--jobs", "2"]) == 0
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["examples"] == 120
