"""What the embedder has learnt of its teacher's classes, as log-odds of ours, computed from codes alone."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from convert.graphs.models.base import Tensor, dequantised
from convert.prior import BIAS, KERNEL, MEANS, UNWHITENED
from edge_detector.params import EMBEDDING_SIZE


def prior_variables(classes: int, scores: int) -> dict[str, Any]:
    """Variables, all zero, of a prior that is for each class the highest of so many of the teacher's scores."""
    shapes = {
        UNWHITENED: (EMBEDDING_SIZE, EMBEDDING_SIZE),
        MEANS: (EMBEDDING_SIZE,),
        KERNEL: (EMBEDDING_SIZE, classes * scores),
        BIAS: (classes * scores,),
    }
    return {name: tf.Variable(tf.zeros(shape), trainable=False) for name, shape in shapes.items()}


def prior_log_odds(weights: Mapping[str, Tensor], codes: Tensor, classes: int) -> Tensor:
    """Float32 (n, classes) of codes (n, 128): back to the embedding, through the teacher's layer, the highest for each class."""
    embedding = dequantised(codes) @ weights[UNWHITENED] + weights[MEANS]
    scores = tf.nn.relu(embedding) @ weights[KERNEL] + weights[BIAS]
    return tf.reduce_max(tf.reshape(scores, [-1, classes, scores.shape[-1] // classes]), axis=-1)


def prior_macs(classes: int, scores: int) -> int:
    """Multiplications for a frame."""
    return EMBEDDING_SIZE * (EMBEDDING_SIZE + classes * scores)
