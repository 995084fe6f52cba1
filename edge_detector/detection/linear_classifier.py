"""Taught classes: logistic regression on an embedding and on the mean of the recent ones."""

from dataclasses import dataclass

import numpy as np

from edge_detector.detection.embedding import DEQUANTISE_OFFSET, DEQUANTISE_SCALE, dequantise
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Codes, Float32

RECENT_FRAMES = 3
"""Frames of the mean, the newest included: steady sounds differ from each other more in it than in a single frame."""

FEATURES = 2 * EMBEDDING_SIZE


def features_of(recent: Codes) -> Float32:
    """Return the features float32 (256,) of a frame: its embedding, and the mean of it and the frames before.

    Args:
        recent: codes uint8 (1 to RECENT_FRAMES, 128) of a stream, the newest last; fewer at its start.

    """
    # Sums of codes are exact in float32.
    mean = recent.sum(axis=0, dtype=np.float32) / np.float32(len(recent))
    return np.concatenate([dequantise(recent[-1]), mean * np.float32(DEQUANTISE_SCALE) + np.float32(DEQUANTISE_OFFSET)])


@dataclass(frozen=True, slots=True)
class LinearClassifier:
    """Logistic regression of V classes, each by itself.

    Attributes:
        weights: float32 (V, 256).
        biases: float32 (V,).

    """

    weights: Float32
    biases: Float32

    def __post_init__(self) -> None:
        """Raise ValueError for wrong shapes and for values that are not finite."""
        if self.weights.ndim != 2 or self.weights.shape[1] != FEATURES or self.biases.shape != self.weights.shape[:1]:  # noqa: PLR2004 - a matrix
            message = f"weights and biases must be (V, {FEATURES}) and (V,), not {self.weights.shape} and {self.biases.shape}"
            raise ValueError(message)
        if not (np.isfinite(self.weights).all() and np.isfinite(self.biases).all()):
            message = "weights and biases are not all finite"
            raise ValueError(message)

    def probabilities(self, recent: Codes) -> Float32:
        """Return the probabilities float32 (V,) of a frame, from its codes and those before, as `features_of` takes them."""
        (only,) = self.of_features(features_of(recent)[np.newaxis])
        return np.asarray(only, np.float32)

    def of_features(self, features: Float32) -> Float32:
        """Return the probabilities float32 (n, V) of features float32 (n, 256)."""
        # Summed row by row: the bits of a class then depend neither on the other classes nor on the number of frames.
        odds = np.stack([(features * weights).sum(axis=1) for weights in self.weights], axis=1) + self.biases
        with np.errstate(over="ignore"):  # the exponential of a large number is infinite, and the probability 0
            return np.asarray(1.0 / (1.0 + np.exp(-odds)), np.float32)
