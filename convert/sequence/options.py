"""Options of each sequence model: its table in a recipe, and `options` of sequence.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from convert.recipe import require_not_negative, require_positive, require_share

HeadName: TypeAlias = Literal["moe", "logistic"]
"""Classifier on top of LSTM and DBoF: a mixture of experts per class, or one logistic."""


@dataclass(frozen=True, slots=True)
class LstmOptions:
    """LSTM.

    Attributes:
        layers: number of layers.
        cells: cells of each layer.
        head: classifier on the top layer.
        mixtures: experts per class, besides the dummy one; for head "moe".
        keep_outputs: share of the top layer's outputs kept in training (dropout).
        learning_rate: initial, or the maximum of the cosine.
        readout_labels: AudioSet labels that the step outputs before its own classes; 0 for none. Set by fuse.
        readout_scores: AudioSet labels fused into each class. Set by fuse.

    """

    layers: int
    cells: int
    head: HeadName
    mixtures: int
    keep_outputs: float
    learning_rate: float
    readout_labels: int = 0
    readout_scores: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "layers", "cells", "mixtures", "keep_outputs", "learning_rate")
        require_share(self, "keep_outputs")
        require_not_negative(self, "readout_labels", "readout_scores")

    @property
    def experts(self) -> int:
        """Experts per class of the head; 0 for one logistic."""
        return self.mixtures if self.head == "moe" else 0


@dataclass(frozen=True, slots=True)
class DbofOptions:
    """Deep bag of frames.

    Attributes:
        clusters: size of the first layer, whose outputs are pooled over frames.
        hidden: size of the second layer.
        activation: of both layers. YouTube-8M's last version has sigmoid, that of 2018 relu6.
        pooling: over frames.
        batch_norm: batch normalisation, or biases.
        batch_norm_decay: decay of the batch-norm statistics.
        iterations: frames drawn from each example in training.
        sampling: "random", each frame by itself with replacement, or "sequence", consecutive frames.
        head: classifier on the second layer.
        mixtures: experts per class, besides the dummy one; for head "moe".
        learning_rate: initial, or the maximum of the cosine.

    """

    clusters: int
    hidden: int
    activation: Literal["sigmoid", "relu6"]
    pooling: Literal["max", "average"]
    batch_norm: bool
    batch_norm_decay: float
    iterations: int
    sampling: Literal["random", "sequence"]
    head: HeadName
    mixtures: int
    learning_rate: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "clusters", "hidden", "iterations", "mixtures", "learning_rate")
        require_share(self, "batch_norm_decay")

    @property
    def experts(self) -> int:
        """Experts per class of the head; 0 for one logistic."""
        return self.mixtures if self.head == "moe" else 0


@dataclass(frozen=True, slots=True)
class MoeOptions:
    """Mixture of experts on the mean frame.

    Attributes:
        mixtures: experts per class, besides the dummy one.
        learning_rate: initial, or the maximum of the cosine.

    """

    mixtures: int
    learning_rate: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "mixtures", "learning_rate")


@dataclass(frozen=True, slots=True)
class LogisticOptions:
    """One logistic per class on the mean frame; learning_rate: initial, or the maximum of the cosine."""

    learning_rate: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "learning_rate")


@dataclass(frozen=True, slots=True)
class ReadoutOptions:
    """Read-out of AudioSet labels alone; readout_labels: their number. It is not trained."""

    readout_labels: int


ModelOptions: TypeAlias = LstmOptions | DbofOptions | MoeOptions | LogisticOptions | ReadoutOptions
TRAINED_MODELS: Mapping[str, type[ModelOptions]] = {
    "lstm": LstmOptions,
    "dbof": DbofOptions,
    "frame-logistic": LogisticOptions,
    "moe": MoeOptions,
    "logistic": LogisticOptions,
}
"""Options of each model that can be trained, by the name of its table."""

VIDEO_LEVEL = ("moe", "logistic")
"""Models whose input is the mean of a video's frames; the others need the frames."""
