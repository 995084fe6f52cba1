"""A model that needs no training: what it says of an example stands in the example's first frame."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.files import write_arrays
from convert.records.files import Record, write_dataset
from convert.records.forms import Features
from convert.sequence.facts import SequenceFacts, TrainingFacts, write_facts
from edge_detector.types import Codes, Float32

CLASSES = ("a", "b", "c")


class StubModel:
    """The probability of class i is the first frame's code i / 255. It keeps the shapes it was asked for."""

    parameters = 12
    macs_per_frame = 34
    frame_level = False
    features: Features = "audio"

    def __init__(self, classes: int = 3) -> None:
        self.classes = classes
        self.asked: list[tuple[tuple[int, ...], list[int]]] = []

    def predict(self, codes: Codes | Float32, frames: NDArray[np.int32]) -> Float32:
        self.asked.append((codes.shape, frames.tolist()))
        return codes[:, 0, : self.classes].astype(np.float32) / np.float32(255)


def says(codes: list[int], labels: tuple[int, ...] = (), name: str = "", frames: int = 2) -> Record:
    """A record of which the stub says `codes` / 255."""
    content = np.full((frames, 128), 9, np.uint8)
    content[:1, : len(codes)] = codes
    return Record(name or f"clip-{codes[0]}", 0.0, float(frames), labels, content)


def written(path: Path, records: Iterator[Record]) -> Path:
    """A file of them, and the names of three classes beside it."""
    write_dataset(path, records, CLASSES)
    return path


def write_three(path: Path) -> Path:
    """Records for three classes: two that the stub has right, one that it has wrong."""
    records = [says([255, 51, 0], (0,), "right"), says([0, 102, 255], (1, 2), "both"), says([204, 0, 51], (2,), "wrong")]
    return written(path, iter(records))


def write_model(folder: Path, *, labels: Sequence[str] = CLASSES, steps: int | None = None) -> Path:
    """The files of a trained model's folder, or without `steps` those of a model that was never trained."""
    facts = SequenceFacts(
        model="logistic",
        options={"learning_rate": 0.01},
        states=(),
        parameters=12,
        macs_per_frame=34,
        labels=tuple(labels),
        classes={},
        made_of={},
        folds=(),
        context=10,
        training=None if steps is None else TrainingFacts("last", 0, 1, 0, 0, steps=steps),
    )
    write_arrays(folder / "weights.npz", {"w": np.zeros(1)})
    write_facts(folder, facts)
    return folder


def many(count: int) -> Iterator[Record]:
    """Records with random scores and labels."""
    generator = np.random.default_rng(1)
    for number in range(count):
        codes = generator.integers(0, 256, 3).tolist()
        yield says(codes, (int(generator.integers(3)),), f"clip{number}")
