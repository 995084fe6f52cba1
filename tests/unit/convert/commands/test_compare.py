"""compare: fixed splits, runs that are not done twice, and one table with the label frequency as its first row."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.__main__ import main
from convert.commands import compare as command
from convert.evaluation.comparison import Steps, summary, table
from convert.files import read_json
from edge_detector.errors import EdgeDetectorError, UsageError
from tests.support.stub_model import CLASSES, StubModel, many, says, write_model, written


class StubSteps:
    """Train writes a folder and keeps the words it was given; export refuses."""

    def __init__(self) -> None:
        self.trained: list[list[str]] = []
        self.failing = False

    def train(self, words: Sequence[str]) -> dict[str, Any]:
        self.trained.append(list(words))
        if self.failing:
            raise KeyboardInterrupt
        write_model(Path(words[words.index("-o") + 1]))
        return {"epochs": 3, "labels": list(CLASSES)}

    @staticmethod
    def export(words: Sequence[str]) -> dict[str, Any]:
        raise EdgeDetectorError(f"{words[0]} cannot be exported")

    def compare(self, records: Path, *more: object) -> dict[str, Any]:
        parser = argparse.ArgumentParser()
        command.configure(parser)
        output = records.with_name("compared")
        arguments = parser.parse_args([str(word) for word in (records, "-o", output, *more)])
        return command.run(arguments, Steps(self.train, self.export, lambda _: StubModel()))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return written(tmp_path / "records.tfrecord", many(100))


def test_every_model_is_trained_with_every_seed_on_the_same_parts(records: Path) -> None:
    steps = StubSteps()
    result = steps.compare(
        records, "--models", "lstm", "dbof", "--seeds", "0,5", "--option", "lstm:cells=8", "--option", "all:epochs=2"
    )
    assert [words[words.index("--model") + 1] for words in steps.trained] == ["lstm", "lstm", "dbof", "dbof"]
    assert [words[words.index("--seed") + 1] for words in steps.trained] == ["0", "5", "0", "5"]
    assert steps.trained[0][-5:] == ["--cells", "8", "--epochs", "2", "--no-resume"]
    assert "--cells" not in steps.trained[2]
    assert len({tuple(words[:3]) for words in steps.trained}) == 1
    assert [row["model"] for row in result["rows"]] == ["label frequency", "lstm", "dbof"]
    assert [run["seed"] for run in result["runs"]] == [0, 0, 5, 0, 5]
    assert result["rows"][1]["export_error"].endswith("cannot be exported")
    assert (result["rows"][1]["parameters"], result["rows"][1]["macs"]) == (12, 34)
    assert read_json(records.with_name("compared") / "table.json") == json.loads(json.dumps(result))
    text = (records.with_name("compared") / "table.md").read_text(encoding="utf-8")
    assert command.describe(result).startswith(text.rstrip("\n"))
    assert "refused" in text


def test_what_is_done_is_not_done_again_and_what_changed_is_trained_anew(records: Path) -> None:
    steps = StubSteps()
    steps.compare(records, "--models", "lstm", "--seeds", "0")
    first = steps.compare(records, "--models", "lstm", "--seeds", "0,1")
    assert len(steps.trained) == 2, "seed 0 was there"
    assert len(first["runs"]) == 3
    steps.compare(records, "--models", "lstm", "--seeds", "0", "--option", "lstm:cells=8")
    assert len(steps.trained) == 3
    written(records, many(120))
    steps.compare(records, "--models", "lstm", "--seeds", "0", "--option", "lstm:cells=8")
    assert len(steps.trained) == 4
    assert all(words[-1] == "--no-resume" for words in steps.trained)


def test_an_interrupted_run_goes_on_from_its_checkpoint(records: Path) -> None:
    steps = StubSteps()
    steps.failing = True
    with pytest.raises(KeyboardInterrupt):
        steps.compare(records, "--models", "lstm", "--seeds", "0")
    steps.failing = False
    steps.compare(records, "--models", "lstm", "--seeds", "0")
    assert [words[-1] == "--no-resume" for words in steps.trained] == [True, False]


def test_the_label_frequency_is_what_the_training_part_has(tmp_path: Path) -> None:
    """Class 0 in every training record and class 1 in none: its ranking is always 0 first."""
    train = (says([1], (0,), f"clip{number}") for number in range(40))
    own = written(tmp_path / "own.tfrecord", iter([says([1], (0,), "x"), says([2], (1,), "y")]))
    source = written(tmp_path / "records.tfrecord", train)
    result = StubSteps().compare(source, "--test", own, "--models", "lstm", "--seeds", "0")
    (row,) = [row for row in result["rows"] if row["model"] == "label frequency"]
    assert (row["hit_at_1"], row["auc"], row["macs"]) == (0.5, 0.5, 0)
    assert row["loss"] == pytest.approx((0 + 2 * -np.log(1e-5)) / 2, abs=1e-3)


def test_the_mean_is_over_folds_and_seeds_and_each_has_its_spread() -> None:
    def run(model: str, seed: int, part: str, gap: float, auc: float | None = 0.5) -> dict[str, Any]:
        rest = dict.fromkeys(("hit_at_1", "perr", "map", "d_prime", "loss"), 0.25)
        return {"model": model, "seed": seed, "split": part, "gap": gap, "auc": auc, "parameters": 1234, "macs": 5, **rest}

    runs = [
        run("m", 0, "x", 0.1),
        run("m", 0, "y", 0.3),
        run("m", 1, "x", 0.3),
        run("m", 1, "y", 0.5, None),
        run("one", 0, "x", 1.0),
    ]
    first, second = summary(runs, {"m": {"tflite_bytes": 2048, "ms_per_step": 0.5}})
    assert first["gap"] == pytest.approx(0.3)
    assert first["gap_over_seeds"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert first["gap_over_splits"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert first["auc"] is None, "a fold had none"
    assert second["gap_over_seeds"] is None
    lines = table([first, second], "float16").splitlines()
    assert lines[0].startswith("| model | Hit@1 | PERR | GAP | MAP | AUC | d′ | loss | parameters |")
    assert lines[2].startswith(
        "| m | 0.250 ± 0.000 ± 0.000 | 0.250 ± 0.000 ± 0.000 | 0.300 ± 0.141 ± 0.141 | 0.250 ± 0.000 ± 0.000 | – |"
    )
    assert lines[2].endswith("| 1,234 | 5 | 2,048 | 0.500 |")
    assert lines[3].endswith("| – | – |")


@pytest.mark.parametrize("option", ["cells=8", "gru:cells=8", "lstm:", "lstm"])
def test_an_option_for_no_model_is_refused(records: Path, option: str) -> None:
    with pytest.raises(UsageError, match="is not MODEL:NAME=VALUE"):
        StubSteps().compare(records, "--option", option)


def test_records_without_class_names_need_their_number(tmp_path: Path) -> None:
    path = written(tmp_path / "records.tfrecord", many(100))
    with pytest.raises(UsageError, match="--classes 4, but"):
        StubSteps().compare(path, "--classes", 4)
    (tmp_path / "records.tfrecord.json").unlink()
    with pytest.raises(UsageError, match="has no file of class names beside it; give --class-names"):
        StubSteps().compare(path)
    assert StubSteps().compare(path, "--classes", 3, "--models", "lstm", "--seeds", "0")["rows"]


def test_two_models_are_really_trained_measured_exported_and_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorflow")
    path = written(tmp_path / "records.tfrecord", many(120))
    output = tmp_path / "compared"
    options = ["--option", "all:batch=16", "--option", "lstm:cells=8", "--option", "lstm:layers=1", "--option", "all:epochs=2"]
    words = ["compare", str(path), "--models", "lstm", "logistic", "--seeds", "0", *options, "-o", str(output), "--json"]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["model"] for row in rows] == ["label frequency", "lstm", "logistic"]
    for row in rows[1:]:
        assert row["tflite_bytes"] > 500
        assert row["ms_per_step"] > 0
        assert row["parameters"] > 3 * 128
        assert 0 < row["gap"] <= 1
    folder = output / "lstm" / "all-seed-0"
    test = output / "splits" / "all" / "test.tfrecord"
    assert main(["eval", str(folder), str(test), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["gap"] == pytest.approx(rows[1]["gap"], abs=1e-12), "eval says what the table says"
    history = tmp_path / "history.jsonl"
    watching = ["--idle-seconds", "0.01", "--poll-seconds", "0.01", "--history", str(history)]
    assert main(["eval", str(folder), str(test), "--watch", *watching, "--json"]) == 0
    watched = json.loads(capsys.readouterr().out)
    assert (watched.pop("evaluations"), watched["step"] > 0) == (1, True)
    assert json.loads(history.read_text(encoding="utf-8")) == watched
    assert main(["infer", str(folder), str(test), "-o", str(tmp_path / "out.csv")]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == measured["examples"] + 1
