"""Table [training] of a recipe: how a sequence model is trained."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from convert.recipe import require_not_negative, require_positive, require_share
from convert.records.batches import MAX_FRAMES
from convert.records.forms import Features
from convert.records.training_set import Target

LossName: TypeAlias = Literal["cross-entropy", "hinge", "softmax", "mean-squared-error", "sparse-categorical"]
COSINE_FLOOR = 0.01
LENGTH = ("epochs", "max_steps", "patience", "checkpoint_seconds", "checkpoints")
"""Settings that may differ when a training is resumed."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Hyper-parameters of a training.

    Attributes:
        target: "frame", the labels of every frame, or "last", the labels of the whole example after its last frame.
        features: what is learnt from of each frame; the detector runs models of audio alone.
        context_frames: maximum frames of an example.
        loss: function that is minimised (convert.sequence.losses).
        epochs: maximum passes over the data.
        patience: epochs without a better validation after which training stops.
        stop_by: validation figure: "loss", or "average-precision" of all scores, the mean over classes (for target "last").
        batch: examples of a batch.
        schedule: "staircase" multiplies the rate by `decay` every `decay_examples`; "cosine" falls over all epochs.
        decay: factor of the staircase.
        decay_examples: examples between its steps.
        clip: clip each variable's gradient, or all gradients together.
        clip_norm: maximum norm of a gradient; 0 for no clipping.
        l2: penalty on the classifier's weights.
        weight_decay: decoupled weight decay.
        weight_average: decay of averaged weights; 0 for the newest weights.
        keep_inputs: share of an embedding's components kept in training, the same ones in all frames of an example.
        shuffle_records: records in memory that the order is drawn from.
        seed: of initial weights, order and all random draws.
        checkpoint_seconds: time between checkpoints.
        checkpoints: number of checkpoints kept.
        max_steps: maximum batches; 0 for no limit.

    """

    target: Target
    features: Features
    context_frames: int
    loss: LossName
    epochs: int
    patience: int
    stop_by: Literal["loss", "average-precision"]
    batch: int
    schedule: Literal["staircase", "cosine"]
    decay: float
    decay_examples: int
    clip: Literal["each", "together"]
    clip_norm: float
    l2: float
    weight_decay: float
    weight_average: float
    keep_inputs: float
    shuffle_records: int
    seed: int
    checkpoint_seconds: float
    checkpoints: int
    max_steps: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "context_frames", "epochs", "patience", "batch", "decay", "decay_examples", "shuffle_records")
        require_positive(self, "checkpoint_seconds", "checkpoints", "keep_inputs")
        require_not_negative(self, "clip_norm", "l2", "weight_decay", "seed", "max_steps")
        require_share(self, "weight_average", "keep_inputs")
        if self.context_frames > MAX_FRAMES:
            raise ValueError(f"context_frames must be {MAX_FRAMES} at most, not {self.context_frames}")
        if self.stop_by == "average-precision" and self.target == "frame":
            raise ValueError('stop_by = "average-precision" needs target = "last": it ranks whole examples')

    def rate(self, highest: float, step: int, fraction: float) -> float:
        """Return the learning rate after `step` steps, at `fraction` of all epochs; `highest` is the model's learning rate.

        Formulas: docs/reference.md, Training.
        """
        if self.schedule == "staircase":
            return highest * self.decay ** (step * self.batch // self.decay_examples)
        return highest * max(0.5 * (1.0 + math.cos(math.pi * fraction)), COSINE_FLOOR)
