"""The three losses of YouTube-8M's starter code, one value per row."""

from collections.abc import Callable

import tensorflow as tf

from convert.sequence.base import Tensor
from convert.sequence.settings import LossName

CROSS_ENTROPY_FLOOR = 1e-5
SOFTMAX_FLOOR = 1e-7
MARGIN = 1.0


def cross_entropy(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Summed over classes, with 1e-5 inside both logarithms; a little below 0 at best."""
    cells = targets * tf.math.log(probabilities + CROSS_ENTROPY_FLOOR)
    cells += (1.0 - targets) * tf.math.log(1.0 - probabilities + CROSS_ENTROPY_FLOOR)
    return -tf.reduce_sum(cells, axis=-1)


def hinge(targets: Tensor, probabilities: Tensor) -> Tensor:
    """How far each probability is from the margin on its side, summed over classes."""
    return tf.reduce_sum(tf.maximum(0.0, MARGIN - (2.0 * targets - 1.0) * probabilities), axis=-1)


def softmax(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Cross-entropy between the labels, shared out to sum 1, and a softmax over the probabilities."""
    shares = targets / tf.maximum(tf.reduce_sum(targets, axis=-1, keepdims=True), SOFTMAX_FLOOR)
    return -tf.reduce_sum(shares * tf.nn.log_softmax(probabilities), axis=-1)


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": cross_entropy,
    "hinge": hinge,
    "softmax": softmax,
}
