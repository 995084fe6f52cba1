"""Models on the mean of the frames: frame-level logistic, and the video-level logistic and mixture of experts."""

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from convert.records.forms import Features
from convert.sequence.base import Arrays, SequenceModel, Tensor, counting, dequantised, l2_normalised, normalised
from convert.sequence.heads import make_head, plain_copy
from convert.sequence.options import LogisticOptions, MoeOptions


class PooledModel(SequenceModel):
    """Classifier on a function of the sum of all frames."""

    options: LogisticOptions | MoeOptions

    def __init__(self, options: LogisticOptions | MoeOptions, classes: int, seed: int = 0, features: Features = "audio") -> None:
        super().__init__(options, classes, features)
        mixtures = options.mixtures if isinstance(options, MoeOptions) else 0
        self._head = make_head(self, self.width, classes, np.random.default_rng(seed), mixtures=mixtures)

    @abstractmethod
    def pooled(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return the classifier's input (n, 128)."""

    @property
    def macs_per_frame(self) -> int:
        """Multiply-accumulates of the classifier."""
        return self._head.macs

    def offline_probabilities(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return probabilities (n, classes)."""
        return self._head(self.weights, self.pooled(codes, lengths))

    def training_probabilities(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same; the model has no dropout and draws no frames."""
        del seed
        return self.offline_probabilities(codes, lengths), {}

    def frozen(self) -> Arrays:
        """Return the classifier's weights."""
        return plain_copy(self)


class FrameLogistic(PooledModel):
    """One logistic per class on the mean of the normalised frames, of length up to 1: YouTube-8M's FrameLevelLogisticModel."""

    kind = "frame-logistic"

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Sum of the frames so far, and their number."""
        return {"total": (self.width,), "count": (1,)}

    def pooled(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean frame; without frames it is 0, where the original divides 0 by 0."""
        total = tf.reduce_sum(normalised(codes) * counting(lengths, tf.shape(codes)[1]), axis=1)
        return total / tf.cast(tf.maximum(lengths, 1), tf.float32)[:, tf.newaxis]

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Process one frame: add it and count it."""
        total, count = states[0] + normalised(embedding), states[1] + 1.0
        return self._head(weights, tf.gather(total, row) / tf.gather(count, row)), [total, count]


class VideoLogistic(PooledModel):
    """One logistic per class on the mean of the dequantised frames, normalised to length 1: YouTube-8M's LogisticModel.

    A video-level record holds such a mean. Its scale does not matter, so the step needs no count.
    """

    kind = "logistic"

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Sum of the frames so far."""
        return {"total": (self.width,)}

    def pooled(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean frame, normalised to length 1."""
        mask = counting(lengths, tf.shape(codes)[1])
        mean = tf.reduce_sum(dequantised(codes) * mask, axis=1) / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)
        return l2_normalised(mean)

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Process one frame: add it."""
        total = states[0] + dequantised(embedding)
        return self._head(weights, l2_normalised(tf.gather(total, row))), [total]


class VideoMoe(VideoLogistic):
    """Mixture of experts per class on the same input: YouTube-8M's MoeModel."""

    kind = "moe"
