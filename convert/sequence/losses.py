"""Losses, one value per row: the three of YouTube-8M's starter code (losses.py), and two more."""

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


def mean_squared_error(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Return the squared difference of labels and probabilities, averaged over classes."""
    return tf.reduce_mean(tf.square(targets - probabilities), axis=-1)


def sparse_categorical(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Return -log of the label's share of all probabilities, for rows with exactly one label.

    Equals Keras' SparseCategoricalCrossentropy of the label's index and probabilities that do not sum to 1.
    """
    total = tf.maximum(tf.reduce_sum(probabilities, axis=-1), SOFTMAX_FLOOR)
    share = tf.reduce_sum(targets * probabilities, axis=-1) / total
    return -tf.math.log(tf.clip_by_value(share, SOFTMAX_FLOOR, 1.0 - SOFTMAX_FLOOR))


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": cross_entropy,
    "hinge": hinge,
    "softmax": softmax,
    "mean-squared-error": mean_squared_error,
    "sparse-categorical": sparse_categorical,
}
