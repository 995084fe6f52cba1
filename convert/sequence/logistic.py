"""The models without memory but a sum: logistic on the mean of frames, and both video-level models on the mean audio."""

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from convert.sequence.base import Arrays, SequenceModel, Tensor, counting, dequantised, l2_normalised, normalised
from convert.sequence.heads import make_head, plain_copy
from convert.sequence.options import LogisticOptions, MoeOptions
from edge_detector.params import EMBEDDING_SIZE


class PooledModel(SequenceModel):
    """A classifier on a function of the sum of all frames."""

    options: LogisticOptions | MoeOptions

    def __init__(self, options: LogisticOptions | MoeOptions, classes: int, seed: int = 0) -> None:
        super().__init__(options, classes)
        mixtures = options.mixtures if isinstance(options, MoeOptions) else 0
        self._head = make_head(self, EMBEDDING_SIZE, classes, np.random.default_rng(seed), mixtures=mixtures)

    @abstractmethod
    def pooled(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """The classifier's input (n, 128)."""

    @property
    def macs_per_frame(self) -> int:
        """The classifier alone."""
        return self._head.macs

    def offline_probabilities(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Probabilities (n, classes)."""
        return self._head(self.weights, self.pooled(codes, lengths))

    def training_probabilities(self, codes: Tensor, lengths: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """The same: there is nothing to draw or drop."""
        del seed
        return self.offline_probabilities(codes, lengths), {}

    def frozen(self) -> Arrays:
        """The classifier's weights."""
        return plain_copy(self)


class FrameLogistic(PooledModel):
    """One logistic per class on the mean of the normalised frames; its length, up to 1, is part of what it sees."""

    kind = "frame-logistic"

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The sum of the frames so far, and how many there were."""
        return {"total": (EMBEDDING_SIZE,), "count": (1,)}

    def pooled(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """The mean frame; without any frame it is 0, where the original divides 0 by 0."""
        total = tf.reduce_sum(normalised(codes) * counting(lengths, tf.shape(codes)[1]), axis=1)
        return total / tf.cast(tf.maximum(lengths, 1), tf.float32)[:, tf.newaxis]

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """One frame: add it, count it."""
        total, count = states[0] + normalised(embedding), states[1] + 1.0
        return self._head(weights, tf.gather(total, row) / tf.gather(count, row)), [total, count]


class VideoLogistic(PooledModel):
    """One logistic per class on the mean of the dequantised frames, brought to length 1.

    The mean of a video-level record is such a mean. Its scale does not matter, so the step needs no count.
    """

    kind = "logistic"

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The sum of the frames so far."""
        return {"total": (EMBEDDING_SIZE,)}

    def pooled(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """The direction of the mean frame."""
        mask = counting(lengths, tf.shape(codes)[1])
        mean = tf.reduce_sum(dequantised(codes) * mask, axis=1) / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)
        return l2_normalised(mean)

    def step(
        self, weights: Mapping[str, Tensor], embedding: Tensor, row: Tensor, states: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """One frame: add it."""
        total = states[0] + dequantised(embedding)
        return self._head(weights, l2_normalised(tf.gather(total, row))), [total]


class VideoMoe(VideoLogistic):
    """A mixture of experts per class on the same input."""

    kind = "moe"
