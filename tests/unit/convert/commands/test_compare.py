"""compare: fixed splits, runs that are not done twice, and one table with the label frequency as its first row."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.__main__ import main
from convert.commands import compare as command
from convert.evaluation.comparison import Cost, Run, Spread, summary, table
from convert.files import read_json
from convert.metrics.multilabel import MetricAccumulator
from convert.plain_data import to_plain
from edge_detector.errors import UsageError
from tests.support.stub_model import many, says, written

pytest.importorskip("tensorflow")

SMALL = ("training.batch=16", "training.epochs=2", "lstm.cells=8", "lstm.layers=1")


def compare(records: Path, *more: object, changes: tuple[str, ...] = ()) -> command.Comparison:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    output = records.with_name("compared")
    words = [str(word) for word in (records, "-o", output, *more, "--set", *SMALL, *changes)]
    return command.run(parser.parse_args(words))


def trained(records: Path) -> dict[str, int]:
    """When each model of a comparison was trained, by its folder."""
    folder = records.with_name("compared")
    return {str(path.parent.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/*/weights.npz")}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return written(tmp_path / "records.tfrecord", many(100))


def test_every_model_is_trained_with_every_seed_on_the_same_parts(records: Path) -> None:
    result = compare(records, "--models", "moe", "logistic", "--seeds", "0,5")
    assert sorted(trained(records)) == [f"{model}/all-seed-{seed}" for model in ("logistic", "moe") for seed in (0, 5)]
    assert [row.model for row in result.rows] == ["label frequency", "moe", "logistic"]
    assert [run.seed for run in result.runs] == [0, 0, 5, 0, 5]
    assert read_json(records.with_name("compared") / "table.json") == json.loads(json.dumps(to_plain(result)))
    text = (records.with_name("compared") / "table.md").read_text(encoding="utf-8")
    assert command.describe(result).startswith(text.rstrip("\n"))
    seeds = {read_json(path)["training"]["seed"] for path in records.with_name("compared").glob("*/*/sequence.json")}
    assert seeds == {0, 5}


def test_a_finished_run_is_kept_and_a_changed_one_is_trained_anew(records: Path) -> None:
    logistic = ("--models", "logistic")
    compare(records, *logistic, "--seeds", "0")
    first = trained(records)
    assert len(compare(records, *logistic, "--seeds", "0,1").runs) == 3
    assert trained(records).items() > first.items()
    compare(records, *logistic, "--seeds", "0", changes=("logistic.learning_rate=0.5",))
    changed = trained(records)
    assert changed["logistic/all-seed-0"] > first["logistic/all-seed-0"]
    written(records, many(120))
    compare(records, *logistic, "--seeds", "0", changes=("logistic.learning_rate=0.5",))
    assert trained(records)["logistic/all-seed-0"] > changed["logistic/all-seed-0"]


def test_an_interrupted_run_resumes_from_its_checkpoint(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convert.sequence.training import Training  # noqa: PLC0415 - after TensorFlow was found

    validate = Training._validate  # noqa: SLF001 - the end of an epoch, where a user interrupts

    def interrupt(_training: Training) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_validate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compare(records, "--models", "logistic", "--seeds", "0")
    monkeypatch.setattr(Training, "_validate", validate)
    compare(records, "--models", "logistic", "--seeds", "0")
    steps = read_json(records.with_name("compared") / "logistic" / "all-seed-0" / "sequence.json")["training"]["steps"]
    whole = compare(written(records.with_name("other") / "records.tfrecord", many(100)), "--models", "logistic", "--seeds", "0")
    again = read_json(records.with_name("other") / "compared" / "logistic" / "all-seed-0" / "sequence.json")["training"]["steps"]
    assert (steps, whole.rows[1].model) == (again, "logistic"), "the first epoch was not run twice"


def test_the_label_frequency_is_what_the_training_part_has(tmp_path: Path) -> None:
    """Class 0 in every training record and class 1 in none: its ranking is always 0 first."""
    train = (says([1], (0,), f"clip{number}") for number in range(40))
    own = written(tmp_path / "own.tfrecord", iter([says([1], (0,), "x"), says([2], (1,), "y")]))
    source = written(tmp_path / "records.tfrecord", train)
    result = compare(source, "--test", own, "--models", "logistic", "--seeds", "0")
    (run,) = [run for run in result.runs if run.model == "label frequency"]
    assert (run.figures.hit_at_1, run.figures.auc, run.macs) == (0.5, 0.5, 0)
    assert run.figures.loss == pytest.approx((0 + 2 * -np.log(1e-5)) / 2, abs=1e-3)


def runs() -> Iterator[Run]:
    tally = MetricAccumulator()
    tally.add(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), np.array([[1, 0], [0, 1]], np.float32))
    base = replace(tally.figures("labelled"), hit_at_1=0.25, perr=0.25, map=0.25, d_prime=0.25, loss=0.25, auc=0.5)
    gaps = {(0, "x"): (0.1, 0.5), (0, "y"): (0.3, 0.5), (1, "x"): (0.3, 0.5), (1, "y"): (0.5, None)}
    for (seed, split), (gap, auc) in gaps.items():
        yield Run("m", split, seed, replace(base, gap=gap, auc=auc), 1234, 5, best_epoch=seed + 7, at_limit=split == "x")
    yield Run("one", "x", 0, replace(base, gap=1.0), 1234, 5)


def test_the_mean_is_over_folds_and_seeds_and_each_has_its_spread() -> None:
    first, second = summary(list(runs()), {"m": Cost(2048, 0.5), "one": Cost(export_error="too far off")})
    gap = first.figures["gap"]
    assert gap is not None
    deviation = float(np.std([0.2, 0.4], ddof=1))
    assert [gap.mean, gap.over_splits, gap.over_seeds] == pytest.approx([0.3, deviation, deviation])
    assert first.figures["auc"] is None, "a fold had none"
    assert second.figures["gap"] == Spread(1.0, None, None)
    assert (first.best_epochs, first.at_limit, second.best_epochs) == ((7, 8), 2, (0, 0))
    lines = table([first, second]).splitlines()
    assert lines[0].startswith("| model | Hit@1 | PERR | GAP | MAP | mAP | AUC | d′ | loss | epochs | parameters |")
    assert lines[2].startswith(
        "| m | 0.250 ± 0.000 ± 0.000 | 0.250 ± 0.000 ± 0.000 | 0.300 ± 0.141 ± 0.141 | 0.250 ± 0.000 ± 0.000 | "
        "1.000 ± 0.000 ± 0.000 | – |"
    )
    assert lines[2].endswith("| 7 to 8 | 1,234 | 5 | 2,048 | 0.500 |")
    assert lines[3].endswith("| refused | – |")


def test_a_value_that_no_model_has_is_refused(records: Path) -> None:
    with pytest.raises(UsageError, match=r"has no table \[gru\]"):
        compare(records, changes=("gru.cells=8",))


def test_records_without_class_names_need_their_number(tmp_path: Path) -> None:
    path = written(tmp_path / "records.tfrecord", many(100))
    with pytest.raises(UsageError, match="--classes 4, but"):
        compare(path, "--classes", 4)
    (tmp_path / "records.tfrecord.json").unlink()
    with pytest.raises(UsageError, match="has no file of class names beside it; give --classes with a CSV file"):
        compare(path)
    assert compare(path, "--classes", 3, "--models", "logistic", "--seeds", "0").rows


def test_the_table_equals_eval_and_infer_reads_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("convert.commands.eval.POLL_SECONDS", 0.01)
    path = written(tmp_path / "records.tfrecord", many(120))
    result = compare(path, "--models", "lstm", "logistic", "--seeds", "0")
    output = tmp_path / "compared"
    for row in result.rows[1:]:
        assert row.cost.tflite_bytes is not None
        assert row.cost.tflite_bytes > 500
        assert row.cost.ms_per_step is not None
        assert row.cost.ms_per_step > 0
        assert row.parameters > 3 * 128
    gap = result.rows[1].figures["gap"]
    assert gap is not None
    assert 0 < gap.mean <= 1
    folder = output / "lstm" / "all-seed-0"
    test = output / "splits" / "all" / "test.tfrecord"
    capsys.readouterr()
    assert main(["eval", str(folder), str(test), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["gap"] == pytest.approx(gap.mean, abs=1e-12), "eval says what the table says"
    history = tmp_path / "history.jsonl"
    watching = ["--idle-seconds", "0.01", "--history", str(history)]
    assert main(["eval", str(folder), str(test), "--watch", *watching, "--json"]) == 0
    watched = json.loads(capsys.readouterr().out)
    assert (watched.pop("evaluations"), watched["step"] > 0) == (1, True)
    assert json.loads(history.read_text(encoding="utf-8")) == watched
    assert main(["infer", str(folder), str(test), "-o", str(tmp_path / "out.csv")]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == measured["examples"] + 1
