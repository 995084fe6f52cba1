"""eval: figures of arrays and of models, YouTube-8M's log lines, and checkpoints as they come."""

import argparse
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.__main__ import main
from convert.commands import eval as command
from convert.commands.eval import EvalResult
from convert.evaluation.records import Measuring, evaluate_model
from convert.records.damage import Damage
from convert.records.files import write_dataset
from convert.sequence.checkpoints import Checkpoint, newest_checkpoint, trained_model
from convert.sequence.facts import read_facts
from edge_detector.errors import EdgeDetectorError, UsageError
from tests.support.stub_model import StubModel, many, says, write_model, write_three
from tests.unit.convert.metrics.test_multilabel import golden_2

BATCH_LINE = (
    r"examples_processed: \d+ \| global_step \d+ \| Batch Hit@1: \d\.\d{3} \| Batch PERR: \d\.\d{3} \| "
    r"Batch Loss: -?\d+\.\d{3} \| Examples_per_sec: \d+\.\d{3}"
)
END_LINE = (
    r"epoch/eval number \d+ \| Avg_Hit@1: \d\.\d{3} \| Avg_PERR: \d\.\d{3} \| MAP: \d\.\d{3} \| GAP: \d\.\d{3} \| "
    r"Avg_Loss: -?\d+\.\d{6}"
)


def options(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def measured(records: Path, *more: object, model: StubModel | None = None) -> tuple[EvalResult, list[str]]:
    said: list[str] = []
    stub = model or StubModel()
    folder = write_model(records.parent / "somewhere")
    result = command.measure(options(folder, records, *more), Checkpoint(120, folder, 0), lambda _: stub, said.append)
    return result, said


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_of_scores_are_measured_at_full_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: type) -> None:
    predictions, labels = golden_2()
    path = tmp_path / "scores.npz"
    np.savez(path, predictions=predictions.astype(dtype), labels=labels)
    assert main(["eval", "--scores", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    close = 1e-9 if dtype is np.float64 else 1e-5
    assert found["hit_at_1"] == 0.828125
    assert found["perr"] == pytest.approx(0.566889880952381, abs=close)
    assert found["gap"] == pytest.approx(0.6625321488953253, abs=close)
    assert found["map"] == pytest.approx(0.6813637282832219, abs=close)
    assert found["loss"] == pytest.approx(12.132891588988103, abs=close)


def test_arrays_are_described_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, predictions=np.array([[0.9, 0.1]]), labels=np.array([[1, 0]]))
    assert main(["eval", "--scores", str(path), "--top-k", "1"]) == 0
    text = capsys.readouterr().out
    assert "GAP@1    1.0000" in text
    assert "AUC      none" in text


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"scores": np.zeros((1, 2))}, "has scores; it needs `predictions` and `labels`"),
        ({"predictions": np.zeros((1, 2)), "labels": np.zeros((2, 2))}, r"must both be \(N, V\)"),
        ({"predictions": np.zeros((0, 2)), "labels": np.zeros((0, 2))}, "no example"),
        ({"predictions": np.full((1, 2), 1.5), "labels": np.zeros((1, 2))}, "within 0 and 1"),
        ({"predictions": np.array([object()]), "labels": np.zeros(1)}, "not an npz file of numbers"),
    ],
)
def test_arrays_that_cannot_be_measured_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, Any], what: str
) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, **arrays)
    assert main(["eval", "--scores", str(path)]) in {1, 2}
    error = capsys.readouterr().err
    assert re.search(what, error)
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["folder"], ["folder", "records", "--scores", "x.npz"], ["--scores", "none.npz"]])
def test_wrong_usage_is_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *arguments]) == 2
    assert capsys.readouterr().err.startswith("convert eval: ")


def test_a_model_is_measured_on_records_with_youtube_8ms_lines(tmp_path: Path) -> None:
    result, said = measured(write_three(tmp_path / "three.tfrecord"))
    assert result.hit_at_1 == pytest.approx(2 / 3)
    assert result.perr == pytest.approx(2 / 3)
    # Ranked: hits 1 and 1, a miss of 0.8, a hit of 0.4; of the two of 0.2, the hit comes first in the permutation.
    assert result.gap == pytest.approx((1 + 1 + 3 / 4 + 4 / 5) / 4)
    assert (result.examples, result.step, result.skipped) == (3, 120, 0)
    assert said[0] == f"Loading checkpoint for eval: {tmp_path / 'somewhere'}"
    assert said[1] == "enter eval_once loop global_step_val = 120. "
    assert re.fullmatch(BATCH_LINE, said[2])
    assert said[2].startswith("examples_processed: 3 | ")
    assert said[3] == "Done with batched inference. Now calculating global performance metrics."
    assert re.fullmatch(END_LINE + r" \| num_classes: 3", said[4])
    assert "Avg_Hit@1: 0.667 | Avg_PERR: 0.667 |" in said[4]


def test_map_over_all_classes_is_the_line_of_2018(tmp_path: Path) -> None:
    result, said = measured(write_three(tmp_path / "three.tfrecord"), "--map-over", "all", model=StubModel(5))
    assert re.fullmatch(END_LINE, said[-1])
    other, _ = measured(write_three(tmp_path / "three.tfrecord"), model=StubModel(5))
    assert result.map == pytest.approx(other.map * 3 / 5)


def test_the_size_of_batches_changes_no_figure(tmp_path: Path) -> None:
    path = tmp_path / "many.tfrecord"
    write_dataset(path, many(50), ("a", "b", "c"))
    first, second = (asdict(evaluate_model(StubModel(), path, Measuring(batch=size), Damage())) for size in (7, 50))
    assert {key: pytest.approx(value) if isinstance(value, float) else value for key, value in first.items()} == second


def test_frames_beyond_the_maximum_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    write_dataset(path, [says([1], (0,), frames=3), says([2], (0,), frames=400)], ())
    model = StubModel()
    measured(path, model=model)
    assert model.asked == [((2, 300, 128), [3, 300])]


def test_a_damaged_record_is_an_error_or_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "some.tfrecord"
    write_dataset(path, [says([1], (0,)), says([2], (527,)), says([3], (1,), frames=0), says([4], (2,))], ())
    with pytest.raises(EdgeDetectorError, match=r"byte \d+: it has the label 527, but there are 3 classes"):
        measured(path)
    result, _ = measured(path, "--skip-damaged")
    assert (result.examples, result.skipped) == (2, 2)
    assert result.skipped_kinds == {"label out of range": 1, "too few frames": 1}
    assert capsys.readouterr().err.count("skipped: ") == 2
    assert "2 damaged records were skipped: 1 label out of range, 1 too few frames" in command.describe(result)


def test_the_newest_checkpoint_is_the_one_with_the_most_steps(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    with pytest.raises(UsageError, match="No checkpoint file found"):
        trained_model(tmp_path)
    for step in (90, 1000, 200):
        write_model(tmp_path / "checkpoints" / f"step-{step}")
    half = write_model(tmp_path / "checkpoints" / "step-5000")
    (half / "weights.npz").unlink()
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert (newest.step, newest.folder.name) == (1000, "step-1000"), "half a checkpoint does not count"
    assert trained_model(tmp_path) == newest
    write_model(tmp_path, steps=700)
    assert trained_model(tmp_path).step == 700, "the model that training chose"
    again = newest_checkpoint(tmp_path)
    assert again is not None
    assert again.step == 1000


RESULT = EvalResult(
    hit_at_1=1.0,
    perr=1.0,
    gap=1.0,
    map=1.0,
    loss=0.0,
    map_all_scores=1.0,
    auc=None,
    d_prime=None,
    examples=1,
    classes=1,
    labelled_classes=1,
    top_k=20,
    map_over="labelled",
)


class Turns:
    """Checkpoints for --watch: the next one at each look, then the last one again."""

    def __init__(self, *steps: int | None) -> None:
        self._steps = list(steps)
        self.measured: list[int] = []
        self.said: list[str] = []
        self.slept = 0.0

    def find(self) -> Checkpoint | None:
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        return None if step is None else Checkpoint(step, Path(f"step-{step}"), step)

    def measure(self, checkpoint: Checkpoint) -> EvalResult:
        self.measured.append(checkpoint.step)
        return replace(RESULT, step=checkpoint.step)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def watch(self, idle_seconds: float | None, sleep: Callable[[float], None] | None = None) -> EvalResult:
        wait = sleep or self.sleep
        find, measure, say = self.find, self.measure, self.said.append
        return command.watch(find, measure, idle_seconds=idle_seconds, sleep=wait, say=say)


def test_watching_measures_each_new_checkpoint_once_and_logs_why_it_waits() -> None:
    turns = Turns(None, None, 10, 10, 10, 30, 30, 20, 20)
    assert turns.watch(40.0) == replace(RESULT, step=20, evaluations=3)
    assert turns.measured == [10, 30, 20]
    same = "skip this checkpoint global_step_val={} (same as the previous one)."
    assert turns.said == ["No checkpoint file found.", *(same.format(step) for step in (10, 30, 20))]


def test_watching_goes_on_with_the_next_checkpoint_if_one_is_deleted_while_it_loads(tmp_path: Path) -> None:
    """train deletes its oldest checkpoint at each new one."""
    folders = [write_model(tmp_path / f"step-{step}") for step in (10, 20)]
    found = iter([Checkpoint(10, folders[0], 1), *[Checkpoint(20, folders[1], 2)] * 9])
    said: list[str] = []

    def measure(checkpoint: Checkpoint) -> EvalResult:
        if checkpoint.step == 10:
            shutil.rmtree(checkpoint.folder)
        read_facts(checkpoint.folder)
        return replace(RESULT, step=checkpoint.step)

    result = command.watch(lambda: next(found), measure, idle_seconds=10.0, sleep=lambda _: None, say=said.append)
    assert (result.step, result.evaluations) == (20, 1)
    assert said[0] == f"{folders[0]} was replaced by newer checkpoints while it was loaded."


def test_watching_a_model_of_other_records_is_an_error(tmp_path: Path) -> None:
    checkpoint = Checkpoint(10, write_model(tmp_path / "step-10"), 1)

    def refuse(_: Checkpoint) -> EvalResult:
        raise UsageError("the model is of another embedder")

    with pytest.raises(UsageError, match="another embedder"):
        command.watch(lambda: checkpoint, refuse, idle_seconds=10.0, sleep=lambda _: None, say=lambda _: None)


def test_several_files_are_measured_as_one(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a.tfrecord", [says([255, 0, 0], (0,)), says([0, 9, 0], (1,))], ("a", "b", "c"))
    write_dataset(tmp_path / "b.tfrecord", [says([0, 0, 30], (2,))], ("a", "b", "c"))
    result, _ = measured(tmp_path / "a.tfrecord", tmp_path / "b.tfrecord", "--run_once")
    assert (result.examples, result.hit_at_1, len(result.records or ())) == (3, 1.0, 2)


def test_watching_without_a_checkpoint_is_an_error() -> None:
    turns = Turns(None)
    with pytest.raises(EdgeDetectorError, match="no checkpoint came within 30 s"):
        turns.watch(30.0)
    assert turns.slept == 30.0


def test_watching_continues_until_it_is_interrupted() -> None:
    turns = Turns(5)

    def interrupt(seconds: float) -> None:
        turns.sleep(seconds)
        if turns.slept > 100.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        turns.watch(None, interrupt)
    assert turns.measured == [5]
