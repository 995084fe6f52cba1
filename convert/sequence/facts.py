"""sequence.json: the description of a trained or fused sequence model beside its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.files import read_json, write_json
from convert.plain_data import from_plain, to_plain
from convert.records.forms import Features

FACTS, WEIGHTS = "sequence.json", "weights.npz"


@dataclass(frozen=True, slots=True)
class StateShape:
    """One state of the streaming step: its name, and the shape of one row."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """One training.

    Attributes:
        target: "frame" or "last".
        seed: of weights, order and all random draws.
        sequences: number of training examples.
        validation_sequences: number of validation examples.
        skipped: number of damaged records.
        epochs: number of epochs run.
        steps: number of batches run.
        best_epoch: epoch of the weights.
        validation_loss: of that epoch, or None without validation.
        step: of a checkpoint, the number of batches run so far.

    """

    target: str
    seed: int
    sequences: int
    validation_sequences: int
    skipped: int
    epochs: int = 0
    steps: int = 0
    best_epoch: int = 0
    validation_loss: float | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """A sequence model.

    Attributes:
        model: kind, such as "lstm".
        options: the model's options, by the names of its options dataclass.
        states: states of the streaming step.
        parameters: number of trained numbers.
        macs_per_frame: multiply-accumulates of one step.
        labels: slugs of its own classes.
        classes: label, identifier and AudioSet labels of each class, by slug (convert.records.classes).
        made_of: checksums of the embedder of its records; empty if unknown.
        folds: folds of the clips used for training or early stopping; None if unknown.
        context: frames of a training example.
        features: what its frames are.
        training: how it was trained; None for a read-out.
        recipe: tables of the recipe that it was trained by.
        audioset: AudioSet labels before its own classes, each with its identifier or None.
        fused: slugs of the classes fused with AudioSet labels.
        label_share: weight of the labels in them; None without fusion.

    """

    model: str
    options: Mapping[str, object]
    states: tuple[StateShape, ...]
    parameters: int
    macs_per_frame: int
    labels: tuple[str, ...]
    classes: Mapping[str, Mapping[str, object]]
    made_of: Mapping[str, str]
    folds: tuple[int, ...] | None
    context: int
    features: Features = "audio"
    training: TrainingFacts | None = None
    recipe: Mapping[str, Mapping[str, object]] | None = None
    audioset: tuple[tuple[str, str | None], ...] = ()
    fused: tuple[str, ...] = ()
    label_share: float | None = None


def read_facts(folder: Path) -> SequenceFacts:
    """Read sequence.json of a model's folder. Raises UsageError if it is missing or wrong."""
    return from_plain(SequenceFacts, read_json(folder / FACTS), str(folder / FACTS))


def write_facts(folder: Path, facts: SequenceFacts) -> None:
    """Write sequence.json."""
    write_json(folder / FACTS, to_plain(facts))
