"""Training streams, says what it does, is the same when taken up again, and stops when it should."""

import csv
import itertools
import json
import re
import shutil
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.__main__ import main
from convert.records.files import write_dataset
from convert.records.forms import Record
from convert.records.tfrecord import read_records
from convert.records.training_set import TrainingSet
from convert.sequence.facts import read_facts
from tests.support.synthetic import EXAMPLE_LABELS, examples

pytest.importorskip("tensorflow")

from convert.sequence.models import load_model

CLASSES = len(EXAMPLE_LABELS)
DROPS = ("--set", "lstm.keep_outputs=0.6", "training.keep_inputs=0.6")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    write_dataset(folder / "train.tfrecord", examples(60), EXAMPLE_LABELS)
    write_dataset(folder / "validation.tfrecord", examples(30, seed=1), EXAMPLE_LABELS)
    write_dataset(folder / "few.tfrecord", examples(5, seed=2), EXAMPLE_LABELS)
    return folder


def train(data: Path, output: Path, *more: object) -> int:
    sizes = ("training.context_frames=6", "lstm.cells=4", "training.batch=8")
    base = ("train", data / "train.tfrecord", "-o", output, "--set", *sizes)
    return main([str(argument) for argument in (*base, *more)])


def weights(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(folder / "weights.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def curve(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "curve.csv").read_text().splitlines()))


def test_a_training_resumed_within_an_epoch_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "whole", "--set", "training.epochs=3", *DROPS) == 0
    assert train(data, tmp_path / "parts", "--set", "training.epochs=3", *DROPS, "--set", "training.max_steps=5") == 0
    assert train(data, tmp_path / "parts", "--set", "training.epochs=3", *DROPS, "--set", "training.max_steps=17") == 0
    assert train(data, tmp_path / "parts", "--set", "training.epochs=3", *DROPS) == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(np.allclose(whole[name], parts[name], atol=1e-6) for name in whole)
    steps = [row["step"] for row in curve(tmp_path / "parts")]
    assert steps == ["10", "20"], "the curve goes on, without a hole or a second beginning"
    assert train(data, tmp_path / "other", "--set", "training.epochs=3", *DROPS, "--set", "training.seed=1") == 0
    assert not all(np.allclose(whole[name], value, atol=1e-3) for name, value in weights(tmp_path / "other").items())


def test_every_tenth_step_is_logged_in_youtube_8ms_words(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        train(data, tmp_path / "lstm", "--set", "training.epochs=3", "--validation", data / "validation.tfrecord", "--json") == 0
    )
    said = capsys.readouterr()
    number = r"\d+\.\d\d"
    line = rf"training step (\d+) \| Loss: {number} Examples/sec: {number} \| Hit@1: {number} PERR: {number} GAP: {number}"
    assert [match[1] for match in re.finditer(rf"^{line}$", said.err, re.MULTILINE)] == ["10", "20"]
    assert (tmp_path / "lstm" / "training.log").read_text() == said.err
    points = curve(tmp_path / "lstm")
    assert [(point["step"], bool(point["validation_loss"])) for point in points] == [
        ("8", True),
        ("10", False),
        ("16", True),
        ("20", False),
        ("24", True),
    ]
    assert float(points[1]["loss"]) > 0
    facts = json.loads((tmp_path / "lstm" / "sequence.json").read_text())
    assert facts == json.loads(said.out)
    assert facts["options"]["learning_rate"] == 0.001


def test_the_curves_are_written_for_tensorboard(data: Path, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    held_out = ("--validation", data / "validation.tfrecord")
    assert train(data, tmp_path, *held_out, "--set", "training.epochs=2", "--tensorboard") == 0
    (path,) = (tmp_path / "tensorboard").iterdir()
    found = {}
    for event in map(tf.compat.v1.Event.FromString, read_records(path)):
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    wanted = {
        (name, int(row["step"])): float(text) for row in curve(tmp_path) for name, text in row.items() if text and name != "step"
    }
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("stop_by", ["loss", "average-precision"])
def test_early_stopping_keeps_the_best_epoch(data: Path, tmp_path: Path, stop_by: str) -> None:
    more = (
        "--validation",
        data / "validation.tfrecord",
        "--set",
        "training.epochs=60",
        "training.patience=2",
        f"training.stop_by={stop_by}",
    )
    # So high a rate that it overfits at once.
    assert train(data, tmp_path / "lstm", *more, "--set", "lstm.learning_rate=0.3") == 0
    training = json.loads((tmp_path / "lstm" / "sequence.json").read_text())["training"]
    assert training["epochs"] == training["best_epoch"] + 2 < 60
    rows = [row for row in curve(tmp_path / "lstm") if row["validation_loss"]]
    key, best = ("validation_loss", min) if stop_by == "loss" else ("validation_average_precision", max)
    values = [float(row[key]) for row in rows]
    assert values.index(best(values)) + 1 == training["best_epoch"]
    assert training["validation_loss"] == float(rows[training["best_epoch"] - 1]["validation_loss"])


@pytest.mark.parametrize("kind", ["lstm", "dbof", "frame-logistic", "moe", "logistic"])
def test_each_model_learns_separable_classes(kind: str, data: Path, tmp_path: Path) -> None:
    sizes = {"lstm": ("--set", "lstm.cells=16"), "dbof": ("--set", "dbof.clusters=64", "dbof.hidden=16")}.get(kind, ())
    held_out = data / "validation.tfrecord"
    arguments = (
        "train",
        data / "train.tfrecord",
        "--validation",
        held_out,
        "--set",
        f"model={kind}",
        *sizes,
        "--set",
        "training.context_frames=6",
    )
    more = (
        "--set",
        "training.batch=16",
        "training.epochs=40",
        "training.patience=40",
        f"{kind}.learning_rate=0.02",
        "-o",
        tmp_path,
    )
    assert main([str(argument) for argument in (*arguments, *more)]) == 0
    rows = [row for row in curve(tmp_path) if row["validation_average_precision"]]
    assert max(float(row["validation_average_precision"]) for row in rows) > 0.85
    newest = max((tmp_path / "checkpoints").iterdir())
    assert load_model(newest).kind == load_model(tmp_path).kind == kind


def test_a_recipe_value_that_the_model_does_not_have_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "x", "--set", "moe.cells=4") == 2
    assert "has no key 'cells'; it has mixtures, learning_rate" in capsys.readouterr().err
    assert train(data, tmp_path / "x", "--set", "dbof.clusters=4") == 2
    assert "--set dbof: only model, training, lstm are read here" in capsys.readouterr().err
    assert train(data, tmp_path / "x", "--set", "model=moe", "training.target=frame") == 2
    assert 'target = "frame" is for lstm; moe needs "last"' in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_loss_of_one_label_refuses_examples_with_others(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data, tmp_path / "x", "training.loss=sparse-categorical") == 2
    assert "needs exactly one label for each example, and some have" in capsys.readouterr().err


def test_a_training_that_diverges_is_an_error_and_leaves_no_weights(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "x", "--set", "lstm.learning_rate=1e38") == 1
    assert "lower learning_rate" in capsys.readouterr().err
    assert not (tmp_path / "x" / "weights.npz").exists()


@pytest.mark.parametrize(
    ("records", "more", "other"),
    [
        ("train", "lstm.layers=1", "lstm.layers"),
        ("train", "training.seed=9", "training.seed"),
        ("few", "", "records"),
        ("renamed", "", "classes"),
        ("train", "--validation validation.tfrecord", "validation records"),
    ],
)
def test_a_checkpoint_of_another_training_is_not_resumed(
    records: str, more: str, other: str, begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = weights(begun / "lstm")
    sizes = "training.context_frames=6 lstm.cells=4 training.batch=8"
    again = f"train {records}.tfrecord --set {sizes} training.epochs=1 {more} -o lstm".split()
    assert main(again) == 2
    assert f"lstm holds a training begun with other {other}; give --no-resume" in capsys.readouterr().err
    assert all(np.array_equal(before[name], value) for name, value in weights(begun / "lstm").items())
    assert main([*again, "--no-resume"]) == 0


@pytest.fixture
def begun(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: records, the same ones with other names, and what an epoch left."""
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    shutil.copy(data / "train.tfrecord", tmp_path / "renamed.tfrecord")
    names = (data / "train.tfrecord.json").read_text().replace('"a"', '"x"')
    (tmp_path / "renamed.tfrecord.json").write_text(names)
    assert train(data, tmp_path / "lstm", "--set", "training.epochs=1") == 0
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_epoch_shows_every_record_once_in_an_order_of_its_own(data: Path) -> None:
    learnt = TrainingSet([data / "train.tfrecord", data / "few.tfrecord"], CLASSES, 6, "last", buffer=20)
    every = [next(iter(codes[:length].tobytes() for codes, length in [pair])) for pair in _pairs(learnt.in_order(7))]
    first, second, again = ([codes[:n].tobytes() for codes, n in _pairs(learnt.shuffled(7, 3, epoch))] for epoch in (0, 1, 0))
    assert sorted(first) == sorted(second) == sorted(every)
    assert first == again
    assert first != second != every
    assert learnt.examples == len(every) == 65


FOLDS: Sequence[tuple[int, ...]] = ((), (1,), (2,), (1, 2), (2, 3), (1, 2, 3))
"""Of clips that sequences were composed from."""


def write_of_folds(path: Path) -> Path:
    """Two sequences of each of these."""
    records = zip(examples(2 * len(FOLDS), seed=3), [*FOLDS, *FOLDS], strict=True)
    write_dataset(path, (replace(record, folds=folds) for record, folds in records), EXAMPLE_LABELS, made_of={"folds": [1, 2, 3]})
    return path


@pytest.mark.parametrize("buffer", [100, 3])
@pytest.mark.parametrize("without", [(), (1,), (3,), (1, 3), (1, 2, 3), (4,)])
def test_records_of_clips_of_a_fold_are_left_out_and_no_others(without: tuple[int, ...], buffer: int, tmp_path: Path) -> None:
    path = write_of_folds(tmp_path / "some.tfrecord")
    records = [record.codes.tobytes() for record in examples(2 * len(FOLDS), seed=3)]
    wanted = [codes for codes, folds in zip(records, [*FOLDS, *FOLDS], strict=True) if not set(folds) & set(without)]
    learnt = TrainingSet([path], CLASSES, 6, "last", buffer=buffer, without_folds=without)
    assert learnt.examples == len(wanted)
    assert learnt.left_out == set(without) & {1, 2, 3}
    assert [codes[:n].tobytes() for codes, n in _pairs(learnt.in_order(5))] == wanted
    assert sorted(codes[:n].tobytes() for codes, n in _pairs(learnt.shuffled(5, 1, 1))) == sorted(wanted)


def test_a_model_trained_without_a_fold_names_its_folds(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = write_of_folds(tmp_path / "some.tfrecord")
    few = ("train", records, "--set", "training.context_frames=6", "lstm.cells=4", "training.batch=8", "training.epochs=1")
    facts = {}
    for name, more in (("all", ()), ("some", ("--without-folds", "1,3"))):
        assert main([str(word) for word in (*few, *more, "-o", tmp_path / name)]) == 0
        facts[name] = read_facts(tmp_path / name)
    assert {name: each.folds for name, each in facts.items()} == {"all": (1, 2, 3), "some": (2,)}
    assert [each.training.sequences for each in facts.values() if each.training] == [12, 4]
    capsys.readouterr()
    assert main([str(word) for word in (*few, "--without-folds", 1, "-o", tmp_path / "some")]) == 2
    assert "some holds a training begun with other folds; give --no-resume" in capsys.readouterr().err
    assert train(data, tmp_path / "other", "--without-folds", 3) == 2
    assert "train.tfrecord says that it is of fold 3; leave it out of --without-folds" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_set_that_fits_the_buffer_is_read_once(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    path.write_bytes((data / "train.tfrecord").read_bytes())
    learnt, again = (TrainingSet([path], CLASSES, 6, "last", buffer=60) for _ in range(2))
    wanted = [codes[:n].tobytes() for codes, n in _pairs(again.shuffled(7, 3, 1))]
    assert learnt.examples == len(list(_pairs(learnt.shuffled(7, 3, 0)))) == 60
    path.unlink()
    assert [codes[:n].tobytes() for codes, n in _pairs(learnt.shuffled(7, 3, 1))] == wanted


def test_records_are_counted_without_reading_their_content(data: Path, tmp_path: Path) -> None:
    """A damaged payload is found in the first epoch, and counted once."""
    path = tmp_path / "some.tfrecord"
    content = bytearray((data / "train.tfrecord").read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    learnt = TrainingSet([path], CLASSES, 6, "last", skip=True, buffer=10)
    assert (learnt.examples, learnt.damage.skipped) == (60, 0)
    assert [len(list(_pairs(learnt.shuffled(7, 3, epoch)))) for epoch in (0, 1)] == [59, 59]
    assert learnt.damage.kinds == {"wrong checksum": 1}
    whole = TrainingSet([data / "train.tfrecord"], CLASSES, 6, "last")
    assert whole.digest == TrainingSet([data / "train.tfrecord"], CLASSES, 3, "last").digest
    assert whole.digest != TrainingSet([data / "validation.tfrecord"], CLASSES, 6, "last").digest


@pytest.mark.parametrize(("kind", "refused"), [("lstm", True), ("dbof", True), ("frame-logistic", True), ("moe", False)])
def test_the_mean_of_a_video_trains_video_level_models_alone(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, refused: bool
) -> None:
    path = tmp_path / "means.tfrecord"
    code = np.full((1, 128), 9, np.uint8)
    means = [Record(str(n), 0, 10, (n % CLASSES,), code, means=np.full(128, 0.1 * n, np.float32)) for n in range(8)]
    write_dataset(path, means, EXAMPLE_LABELS)
    small = ("--set", f"model={kind}", "training.epochs=1")
    assert main(["train", str(path), "-o", str(tmp_path / "model"), *small]) == int(refused)
    error = capsys.readouterr().err
    assert ("it holds the mean of a video, and this model needs its frames; give frame-level records" in error) == refused


def _pairs(lessons: Iterator[Any]) -> Iterator[tuple[Any, int]]:
    return itertools.chain.from_iterable(zip(lesson.codes, lesson.lengths, strict=True) for lesson in lessons)


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    """The short form of tests/benchmarks/audioset_size.py."""
    peaks = []
    for count in (400, 4_000):
        path = tmp_path / f"{count}.tfrecord"
        write_dataset(path, (Record(str(n), 0, 10, (n % 500,), np.full((10, 128), n % 256, np.uint8)) for n in range(count)), ())
        learnt = TrainingSet([path], 527, 10, "last", buffer=100)
        tracemalloc.start()
        assert learnt.examples == count
        assert sum(len(lesson.lengths) for lesson in learnt.shuffled(50, 0, 0)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    frame_bytes = 10 * 128
    assert (peaks[1] - peaks[0]) / 3_600 < frame_bytes / 10
