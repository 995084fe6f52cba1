"""What compare does with each model: train, measure, export and time it; and how the runs become one table."""

import hashlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.evaluation.records import Measuring, Predictor, as_json, evaluate, evaluate_model
from convert.files import read_json, write_json
from convert.records.batches import batches
from convert.records.damage import Damage
from convert.records.files import Form, read_dataset
from convert.sequence.splits import Split
from edge_detector.detection.tflite import Graph
from edge_detector.errors import EdgeDetectorError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Float32

BASELINE = "label frequency"
FIGURES = {"hit_at_1": "Hit@1", "perr": "PERR", "gap": "GAP", "map": "MAP", "auc": "AUC", "d_prime": "d′", "loss": "loss"}
WARM_UP_STEPS, TIMED_STEPS = 20, 200
PARITY_FRAMES = "40"

Command = Callable[[Sequence[str]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Steps:
    """The commands that compare is made of: train and export take their command lines, load a trained folder."""

    train: Command
    export: Command
    load: Callable[[Path], Predictor]


@dataclass(frozen=True, slots=True)
class Contender:
    """A model to compare: its kind, and options of train."""

    kind: str
    options: tuple[str, ...]


def train_and_measure(
    steps: Steps, contender: Contender, split: Split, *, seed: int, folder: Path, measuring: Measuring
) -> dict[str, Any]:
    """One run. A finished one is not done again, an interrupted one goes on, one with other options or data starts anew."""
    key = {
        "model": contender.kind,
        "options": list(contender.options),
        "seed": seed,
        "data": {part: _digest(path) for part, path in (("train", split.train), ("validation", split.validation))},
    }
    started, done = folder / "started.json", folder / "trained.json"
    same = started.exists() and read_json(started) == key
    if not (same and done.exists()):
        done.unlink(missing_ok=True)
        write_json(started, key)
        data = [str(split.train), "--validation", str(split.validation)]
        choice = ["--model", contender.kind, "--seed", str(seed), "-o", str(folder), *contender.options]
        trained = steps.train([*data, *choice, *([] if same else ["--no-resume"])])
        write_json(done, {"trained": {name: value for name, value in trained.items() if name not in ("labels", "classes")}})
    model = steps.load(folder)
    figures = evaluate_model(model, split.test, measuring, Damage(), say=_silent)
    cost = {"parameters": int(model.parameters), "macs": int(model.macs_per_frame)}
    run = {"model": contender.kind, "split": split.name, "seed": seed, "folder": str(folder)}
    return {**run, **as_json(figures, measuring), **cost}


def baseline(split: Split, classes: int, measuring: Measuring) -> dict[str, Any]:
    """What someone reaches who gives each class its share of the training records, whatever is heard."""
    form = Form(classes=classes, min_frames=1)
    counts, records = np.zeros(classes, np.int64), 0
    for record in read_dataset(split.train, form):
        counts[list(record.labels)] += 1
        records += 1
    shares = (counts / max(records, 1)).astype(np.float32)

    def pairs() -> Iterator[tuple[Float32, Any]]:
        for batch in batches(read_dataset(split.test, form), classes, measuring.batch, measuring.max_frames):
            yield np.tile(shares, (len(batch.ids), 1)), batch.labels

    figures = evaluate(pairs(), measuring, say=_silent)
    return {"model": BASELINE, "split": split.name, "seed": 0, **as_json(figures, measuring), "parameters": classes, "macs": 0}


def export_and_time(steps: Steps, folder: Path, precision: str) -> dict[str, Any]:
    """Size of the streaming step and the median time of one, with one row on one thread; why not, where it is refused."""
    path = folder / f"step-{precision}.tflite"
    try:
        steps.export([str(folder), "--precision", precision, "--frames", PARITY_FRAMES, "-o", str(path)])
    except EdgeDetectorError as error:
        return {"export_error": str(error)}
    content = path.read_bytes()
    return {"tflite_bytes": len(content), "ms_per_step": step_milliseconds(content)}


def step_milliseconds(content: bytes) -> float:
    """Median time of one streaming step over a stream of random codes."""
    graph = Graph(content, "step", rows=1)
    states = {name: np.zeros(details["shape"], np.float32) for name, details in graph.inputs.items()}
    del states["embedding"], states["row"]
    row = np.zeros(1, np.int32)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (WARM_UP_STEPS + TIMED_STEPS, 1, EMBEDDING_SIZE), dtype=np.uint8)
    spent = []
    for frame in codes:
        start = time.perf_counter()
        graph.run(embedding=frame, row=row, **states)
        states = {name: graph.output(f"next_{name}") for name in states}
        spent.append(time.perf_counter() - start)
    return 1_000.0 * statistics.median(spent[WARM_UP_STEPS:])


def summary(runs: Sequence[Mapping[str, Any]], costs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each model: means, and standard deviations over splits and over seeds; None where a run has no such figure."""
    rows = []
    for model in dict.fromkeys(run["model"] for run in runs):
        own = [run for run in runs if run["model"] == model]
        row: dict[str, Any] = {"model": model, "parameters": own[0]["parameters"], "macs": own[0]["macs"]}
        row["seeds"] = len({run["seed"] for run in own})
        for figure in FIGURES:
            whole = all(run[figure] is not None for run in own)
            row[figure] = statistics.fmean(run[figure] for run in own) if whole else None
            for key in ("split", "seed"):
                row[f"{figure}_over_{key}s"] = _spread(own, figure, key) if whole else None
        rows.append({**row, **costs.get(model, {})})
    return rows


def _spread(runs: Sequence[Mapping[str, Any]], figure: str, key: str) -> float | None:
    """Standard deviation of the means over everything but `key`."""
    values: dict[Any, list[float]] = {}
    for run in runs:
        values.setdefault(run[key], []).append(run[figure])
    means = [statistics.fmean(of_one) for of_one in values.values()]
    return statistics.stdev(means) if len(means) > 1 else None


def table(rows: Sequence[Mapping[str, Any]], precision: str) -> str:
    """The rows as a Markdown table."""
    head = ["model", *FIGURES.values(), "parameters", "MACs a step", f"TFLite bytes ({precision})", "ms a step"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in rows:
        cells = [str(row["model"]), *(_cell(row, figure) for figure in FIGURES)]
        size, spent = row.get("tflite_bytes"), row.get("ms_per_step")
        refused = "refused" if "export_error" in row else "–"
        cost = [f"{row['parameters']:,}", f"{row['macs']:,}", refused if size is None else f"{size:,}"]
        lines.append("| " + " | ".join([*cells, *cost, "–" if spent is None else f"{spent:.3f}"]) + " |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any], figure: str) -> str:
    if row[figure] is None:
        return "–"
    spreads = (row[f"{figure}_over_splits"], row[f"{figure}_over_seeds"])
    return " ± ".join(f"{value:.3f}" for value in (row[figure], *spreads) if value is not None)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(_line: str) -> None:
    """A table of many runs needs no line for each batch."""
