"""Evaluation of a model on records: predictions by batch, log lines as YouTube-8M starter code, eval.py, and figures."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convert.metrics.multilabel import TOP_K, BatchFigures, Figures, MapOver, MetricAccumulator
from convert.records.batches import MAX_FRAMES, Batch, batches
from convert.records.damage import Damage
from convert.records.files import Form, Records, find_embedder, named_records, read_dataset
from convert.records.forms import Features
from convert.records.identity import embedder_id, require_same_embedder
from convert.sequence.facts import read_facts
from edge_detector.errors import UsageError
from edge_detector.types import Codes, Float32

Log = Callable[[str], None]
BATCH_EXAMPLES = 1_024


class Predictor(Protocol):
    """Interface of a model; implemented in convert.sequence.models."""

    @property
    def classes(self) -> int:
        """Number of classes V."""

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""

    @property
    def macs_per_frame(self) -> int:
        """Multiply-accumulates of one streaming step."""

    @property
    def frame_level(self) -> bool:
        """Whether the model needs frames, not their mean."""

    @property
    def features(self) -> Features:
        """What its frames are."""

    def predict(self, codes: Codes | Float32, frames: NDArray[np.int32]) -> Float32:
        """Return probabilities float32 (n, V) of a batch's codes (n, T, 128) with `frames` frames each."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """Evaluation options.

    Attributes:
        top_k: predictions of each example that enter GAP and MAP.
        map_over: classes that MAP averages over.
        batch: number of examples in a batch.
        max_frames: maximum frames of an example.

    """

    top_k: int = TOP_K
    map_over: MapOver = "labelled"
    batch: int = BATCH_EXAMPLES
    max_frames: int = MAX_FRAMES


def require_embedder(folder: Path, records: Records) -> None:
    """Reject records of a different embedder. Raises UsageError with both names."""
    require_same_embedder(
        embedder_id(read_facts(folder).made_of),
        f"the model in {folder}",
        embedder_id(find_embedder(records) or {}),
        named_records(records),
        "embed the recordings again with the model's embedder",
    )


@dataclass(frozen=True, slots=True)
class OwnClasses:
    """Own classes of a fused model, which number the records' labels, without the AudioSet labels before them."""

    model: Predictor
    audioset_labels: int

    @property
    def classes(self) -> int:
        """Number of classes V."""
        return self.model.classes - self.audioset_labels

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return self.model.parameters

    @property
    def macs_per_frame(self) -> int:
        """Multiply-accumulates of one streaming step, those of the labels included."""
        return self.model.macs_per_frame

    @property
    def frame_level(self) -> bool:
        """Whether the model needs frames, not their mean."""
        return self.model.frame_level

    @property
    def features(self) -> Features:
        """What its frames are."""
        return self.model.features

    def predict(self, codes: Codes | Float32, frames: NDArray[np.int32]) -> Float32:
        """Return probabilities float32 (n, V)."""
        return self.model.predict(codes, frames)[:, self.audioset_labels :]


def open_model(folder: Path) -> Predictor:
    """Load the model of a folder without its AudioSet labels. Raises UsageError if it has no other class."""
    from convert.sequence.models import load_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    model = load_model(folder)
    labels = model.readout_labels
    if labels and labels == model.classes:
        raise UsageError(f"{folder} holds a read-out of AudioSet's labels and no trained class; measure it with score")
    return OwnClasses(model, labels) if labels else model


def log(line: str) -> None:
    """Write a line to stderr; stdout is for the result."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def predicted(model: Predictor, source: Iterable[Batch]) -> Iterator[tuple[Batch, Float32]]:
    """Yield each batch with its probabilities."""
    for batch in source:
        yield batch, model.predict(batch.codes, batch.frames)


def evaluate(
    predictions: Iterable[tuple[NDArray[Any], NDArray[Any]]], measuring: Measuring, step: int = 0, say: Log = log
) -> Figures:
    """Compute all figures over batches of probabilities and labels, both (n, V); logs each batch and the total."""
    metrics = MetricAccumulator(measuring.top_k)
    started = time.monotonic()
    for probabilities, labels in predictions:
        figures = metrics.add(probabilities, labels)
        elapsed = max(time.monotonic() - started, 1e-9)
        say(batch_line(metrics.examples, step, figures, len(labels) / elapsed))
        started = time.monotonic()
    say("Done with batched inference. Now calculating global performance metrics.")
    result = metrics.figures(measuring.map_over)
    say(end_line(step, result, measuring.map_over))
    return result


def form_of(model: Predictor, *, labelled: bool = True) -> Form:
    """Return what records of a model must be; without labels they may come from any set of classes."""
    classes = model.classes if labelled else None
    return Form(classes, labelled=labelled, frame_level=model.frame_level, min_frames=1, features=model.features)


def evaluate_model(
    model: Predictor, records: Records, measuring: Measuring, damage: Damage, *, step: int = 0, say: Log = log
) -> Figures:
    """Compute all figures of a model on labelled records."""
    source = read_dataset(records, form_of(model), damage)
    found = predicted(model, batches(source, model.classes, measuring.batch, measuring.max_frames))
    return evaluate(((probabilities, batch.labels) for batch, probabilities in found), measuring, step, say)


def batch_line(examples: int, step: int, figures: BatchFigures, examples_per_second: float) -> str:
    """Format YouTube-8M's line after a batch."""
    return (
        f"examples_processed: {examples} | global_step {step} | Batch Hit@1: {figures.hit_at_1:.3f} | "
        f"Batch PERR: {figures.perr:.3f} | Batch Loss: {figures.loss:.3f} | Examples_per_sec: {examples_per_second:.3f}"
    )


def end_line(step: int, figures: Figures, map_over: MapOver) -> str:
    """Format YouTube-8M's last line, with the number of labelled classes if MAP averages over these."""
    line = (
        f"epoch/eval number {step} | Avg_Hit@1: {figures.hit_at_1:.3f} | Avg_PERR: {figures.perr:.3f} | "
        f"MAP: {figures.map:.3f} | GAP: {figures.gap:.3f} | Avg_Loss: {figures.loss:3f}"
    )
    return line if map_over == "all" else f"{line} | num_classes: {figures.labelled_classes}"
