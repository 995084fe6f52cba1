"""Training plans: the hyper-parameters of YouTube-8M, and those of the default bundle."""

import math
from dataclasses import dataclass
from typing import Literal

from convert.records.training_set import Target
from convert.sequence.losses import LossName
from convert.tf.optimiser import Clip

COSINE_FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        target: what an example's targets are.
        loss: by name.
        epochs: passes over the data, at most.
        max_steps: batches at most, or None.
        patience: epochs without a better validation after which training stops.
        stop_by: what is better: a lower loss, or a higher GAP (for the last frame's target only).
        batch: examples in one.
        learning_rate: the first, or the cosine's highest.
        schedule: "staircase" multiplies it by `decay` every `decay_examples`; "cosine" falls over all epochs.
        clip: gradients of each variable, or of all together.
        clip_norm: their length at most; 0 for any.
        l2: penalty on the classifier's weights.
        weight_decay: decoupled, per step and learning rate.
        weight_average: decay of the averaged weights that are kept; 0 keeps the newest.
        keep: share of the LSTM's outputs kept in training.
        keep_inputs: share of an embedding's components kept in training, the same ones in all frames of an example.
        batch_norm_decay: of DBoF's statistics; at first they follow faster, or a short training would keep their start.
        seed: of the order, of drawn frames and of dropped outputs.
        checkpoint_seconds: between checkpoints.
        checkpoints: how many are kept for evaluation.

    """

    target: Target = "last"
    loss: LossName = "cross-entropy"
    epochs: int = 5
    max_steps: int | None = None
    patience: int = 8
    stop_by: Literal["loss", "gap"] = "loss"
    batch: int = 1_024
    learning_rate: float = 0.01
    schedule: Literal["staircase", "cosine"] = "staircase"
    decay: float = 0.95
    decay_examples: int = 4_000_000
    clip: Clip = "each"
    clip_norm: float = 1.0
    l2: float = 1e-8
    weight_decay: float = 0.0
    weight_average: float = 0.0
    keep: float = 1.0
    keep_inputs: float = 1.0
    batch_norm_decay: float = 0.999
    seed: int = 0
    checkpoint_seconds: float = 60.0
    checkpoints: int = 5

    def rate(self, step: int, fraction: float) -> float:
        """Learning rate of the step after `step` steps, `fraction` of all epochs."""
        if self.schedule == "staircase":
            return self.learning_rate * self.decay ** (step * self.batch // self.decay_examples)
        return self.learning_rate * max(0.5 * (1.0 + math.cos(math.pi * fraction)), COSINE_FLOOR)

    def statistics_decay(self, step: int) -> float:
        """Decay of batch-norm statistics after `step` steps: they never look back further than about a ninth of all steps."""
        return min(self.batch_norm_decay, (1.0 + step) / (10.0 + step))
