"""Losses of YouTube-8M's starter code (losses.py), one value per row."""

from collections.abc import Callable

import tensorflow as tf

from convert.sequence.base import Tensor
from convert.sequence.settings import LossName

CROSS_ENTROPY_FLOOR = 1e-5
SOFTMAX_FLOOR = 1e-7
MARGIN = 1.0


def cross_entropy(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Return the cross-entropy summed over classes, with 1e-5 inside both logarithms; its minimum is slightly below 0."""
    cells = targets * tf.math.log(probabilities + CROSS_ENTROPY_FLOOR)
    cells += (1.0 - targets) * tf.math.log(1.0 - probabilities + CROSS_ENTROPY_FLOOR)
    return -tf.reduce_sum(cells, axis=-1)


def hinge(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Return the hinge loss summed over classes, with probabilities as scores and margin 1."""
    return tf.reduce_sum(tf.maximum(0.0, MARGIN - (2.0 * targets - 1.0) * probabilities), axis=-1)


def softmax(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Return the cross-entropy between labels normalised to sum 1 and a softmax over the probabilities."""
    shares = targets / tf.maximum(tf.reduce_sum(targets, axis=-1, keepdims=True), SOFTMAX_FLOOR)
    return -tf.reduce_sum(shares * tf.nn.log_softmax(probabilities), axis=-1)


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": cross_entropy,
    "hinge": hinge,
    "softmax": softmax,
}
