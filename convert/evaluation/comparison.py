"""Training, measuring, export and timing of several models on the same records, and the table of their figures."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.evaluation.records import Measuring, evaluate, evaluate_model, open_model
from convert.files import read_json, write_json
from convert.fingerprint import digest_of_files
from convert.metrics.multilabel import Figures
from convert.plain_data import to_plain
from convert.records.batches import batches
from convert.records.damage import Damage
from convert.records.files import Form, read_dataset
from convert.sequence.facts import read_facts
from convert.sequence.splits import Split
from convert.sequence.training_job import ModelSettings, TrainingJob, train_model
from edge_detector.class_names import ClassName
from edge_detector.detection.tflite import Graph
from edge_detector.errors import EdgeDetectorError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Float32

BASELINE = "label frequency"
FIGURES = {
    "hit_at_1": "Hit@1",
    "perr": "PERR",
    "gap": "GAP",
    "map": "MAP",
    "map_all_scores": "mAP",
    "auc": "AUC",
    "d_prime": "d′",
    "loss": "loss",
}
WARM_UP_STEPS, TIMED_STEPS = 20, 200
PARITY_FRAMES = 40
PRECISION: Literal["dynamic"] = "dynamic"
MEASURING = Measuring()


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one model on one split with one seed.

    Attributes:
        model: its kind.
        split: name of the split.
        seed: of the training.
        figures: on the test records.
        parameters: number of trained numbers.
        macs: multiply-accumulates of one step.
        best_epoch: epoch of the weights; 0 without training.
        epochs: number of epochs run.
        at_limit: training ended at the recipe's maximum of epochs or steps, and may have gone on improving.

    """

    model: str
    split: str
    seed: int
    figures: Figures
    parameters: int
    macs: int
    best_epoch: int = 0
    epochs: int = 0
    at_limit: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a streaming step: bytes of its file and median milliseconds, or the reason why it was not exported."""

    tflite_bytes: int | None = None
    ms_per_step: float | None = None
    export_error: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean of a figure over all runs of a model, and its standard deviation over splits and over seeds (None for one)."""

    mean: float
    over_splits: float | None
    over_seeds: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the table.

    Attributes:
        model, parameters, macs: of its runs.
        seeds: number of seeds.
        figures: by name; None for a figure that a run does not have.
        best_epochs: lowest and highest epoch of the weights that were kept; (0, 0) without training.
        at_limit: number of trainings that did not stop by themselves.
        cost: of its streaming step.

    """

    model: str
    parameters: int
    macs: int
    seeds: int
    figures: Mapping[str, Spread | None]
    best_epochs: tuple[int, int]
    at_limit: int
    cost: Cost


def train_and_measure(settings: ModelSettings, classes: tuple[ClassName, ...], split: Split, folder: Path) -> Run:
    """Train one model and measure it; a finished training is kept, one with another recipe or other data starts anew."""
    seed = settings.training.seed
    key = {"settings": to_plain(settings), "data": digest_of_files([split.train, split.validation])}
    started, done = folder / "started.json", folder / "trained.json"
    same = started.exists() and read_json(started) == key
    if not (same and done.exists()):
        done.unlink(missing_ok=True)
        write_json(started, key)
        train_model(TrainingJob([split.train], [split.validation], classes, settings, folder, resume=same))
        write_json(done, {"trained": True})
    model = open_model(folder)
    figures = evaluate_model(model, split.test, MEASURING, Damage(), say=_silent)
    trained = read_facts(folder).training
    best_epoch, epochs = (trained.best_epoch, trained.epochs) if trained else (0, 0)
    at_limit = epochs - best_epoch < settings.training.patience
    parameters, macs = int(model.parameters), int(model.macs_per_frame)
    return Run(settings.model, split.name, seed, figures, parameters, macs, best_epoch, epochs, at_limit)


def baseline(split: Split, classes: int) -> Run:
    """Measure the constant prediction of each class's share of the training records."""
    form = Form(classes=classes, min_frames=1)
    counts, records = np.zeros(classes, np.int64), 0
    for record in read_dataset(split.train, form):
        counts[list(record.labels)] += 1
        records += 1
    shares = (counts / max(records, 1)).astype(np.float32)

    def pairs() -> Iterator[tuple[Float32, NDArray[np.bool_]]]:
        for batch in batches(read_dataset(split.test, form), classes, MEASURING.batch, MEASURING.max_frames):
            yield np.tile(shares, (len(batch.ids), 1)), batch.labels

    return Run(BASELINE, split.name, 0, evaluate(pairs(), MEASURING, say=_silent), classes, 0)


def export_and_time(folder: Path) -> Cost:
    """Export the streaming step and time it, with one row on one thread; a refused export is a cost with its reason."""
    from convert.sequence.export import export_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    path = folder / f"step-{PRECISION}.tflite"
    try:
        export_model(folder, PRECISION, path, records=None, frames=PARITY_FRAMES)
    except EdgeDetectorError as error:
        return Cost(export_error=str(error))
    content = path.read_bytes()
    return Cost(len(content), step_milliseconds(content))


def step_milliseconds(content: bytes) -> float:
    """Return the median time of one streaming step over a stream of random codes."""
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


def summary(runs: Sequence[Run], costs: Mapping[str, Cost]) -> tuple[Row, ...]:
    """Return a row for each model, in the order of the runs."""
    rows = []
    for model in dict.fromkeys(run.model for run in runs):
        own = [run for run in runs if run.model == model]
        figures = {figure: _spread(own, figure) for figure in FIGURES}
        seeds = len({run.seed for run in own})
        best = tuple(run.best_epoch for run in own)
        at_limit = sum(run.at_limit for run in own)
        cost = costs.get(model, Cost())
        rows.append(Row(model, own[0].parameters, own[0].macs, seeds, figures, (min(best), max(best)), at_limit, cost))
    return tuple(rows)


def _spread(runs: Sequence[Run], figure: str) -> Spread | None:
    values = [getattr(run.figures, figure) for run in runs]
    if any(value is None for value in values):
        return None
    return Spread(
        statistics.fmean(values),
        _deviation(values, [run.split for run in runs]),
        _deviation(values, [run.seed for run in runs]),
    )


def _deviation(values: Sequence[float], keys: Sequence[object]) -> float | None:
    """Return the standard deviation of the means of the values with one key; None for one key."""
    groups: dict[object, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    means = [statistics.fmean(group) for group in groups.values()]
    return statistics.stdev(means) if len(means) > 1 else None


def table(rows: Sequence[Row]) -> str:
    """Format the rows as a Markdown table."""
    head = ["model", *FIGURES.values(), "epochs", "parameters", "MACs a step", f"TFLite bytes ({PRECISION})", "ms a step"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in rows:
        first, last = row.best_epochs
        epochs = f"{first} to {last}" if first < last else str(last or "–")
        cells = [row.model, *(_cell(row.figures[figure]) for figure in FIGURES), epochs]
        size, spent = row.cost.tflite_bytes, row.cost.ms_per_step
        refused = "refused" if row.cost.export_error else "–"
        cost = [f"{row.parameters:,}", f"{row.macs:,}", refused if size is None else f"{size:,}"]
        lines.append("| " + " | ".join([*cells, *cost, "–" if spent is None else f"{spent:.3f}"]) + " |")
    return "\n".join(lines)


def _cell(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    return " ± ".join(f"{value:.3f}" for value in (spread.mean, spread.over_splits, spread.over_seeds) if value is not None)


def _silent(_line: str) -> None:
    """Discard the log line of a batch."""
