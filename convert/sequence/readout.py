"""Read-out of AudioSet's labels from codes, beside a sequence model's own classes."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from convert.embedder.readout import BIAS, KERNEL
from convert.sequence.base import Tensor, dequantised
from edge_detector.params import EMBEDDING_SIZE


def readout_variables(labels: int, classes: int, scores: int) -> dict[str, Any]:
    """Return zero variables of a read-out of `labels` labels, and of `scores` more log-odds for each class."""
    columns = labels + classes * scores
    shapes = {KERNEL: (EMBEDDING_SIZE, columns), BIAS: (columns,)}
    return {name: tf.Variable(tf.zeros(shape), trainable=False) for name, shape in shapes.items()}


def readout_log_odds(weights: Mapping[str, Tensor], codes: Tensor, labels: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return log-odds of codes (n, 128): of the labels (n, labels), and each class's maximum over its labels (n, classes)."""
    found = dequantised(codes) @ weights[KERNEL] + weights[BIAS]
    if not classes:
        return found, found[:, :0]
    of_classes = tf.reshape(found[:, labels:], [-1, classes, (found.shape[-1] - labels) // classes])
    return found[:, :labels], tf.reduce_max(of_classes, axis=-1)


def readout_macs(labels: int, classes: int, scores: int) -> int:
    """Return multiply-accumulates per frame."""
    return EMBEDDING_SIZE * (labels + classes * scores)
