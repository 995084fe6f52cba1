"""Figures that every example has for itself: Hit@1, PERR, cross-entropy, and its best-scored classes.

Predictions are probabilities float (n, V), labels bool (n, V). Equal scores are decided by the lower class index.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detector.errors import EdgeDetectorError

LOSS_FLOOR = 1e-5
"""Inside both logarithms of the cross-entropy."""

ROUNDING = 1e-6
"""A float32 softmax may leave [0, 1] by this much; it is brought back."""

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RowFigures:
    """One value for each example: float64 (n,)."""

    hit_at_1: Scores
    perr: Scores
    loss: Scores


def checked(predictions: NDArray[Any], labels: NDArray[Any]) -> tuple[Scores, Labels]:
    """Both as this package takes them: float64 in [0, 1] and bool, of one shape (n, V) with at least one class."""
    if predictions.ndim != 2 or predictions.shape != labels.shape or not predictions.shape[1]:  # noqa: PLR2004 - (n, V)
        raise EdgeDetectorError(
            f"predictions {predictions.shape} and labels {labels.shape} must both be (examples, classes), with a class at least"
        )
    if not (np.issubdtype(predictions.dtype, np.floating) or np.issubdtype(predictions.dtype, np.integer)):
        raise EdgeDetectorError(f"predictions are {predictions.dtype}, they must be numbers")
    scores = predictions.astype(np.float64)
    if not ((scores >= -ROUNDING) & (scores <= 1.0 + ROUNDING)).all():
        low, high = scores.min(), scores.max()
        raise EdgeDetectorError(f"predictions range from {low:g} to {high:g}; they must be probabilities within 0 and 1")
    if labels.dtype != np.bool_ and not ((labels == 0) | (labels == 1)).all():
        raise EdgeDetectorError("labels hold values that are neither 0 nor 1; give one 0 or 1 for each example and class")
    return np.clip(scores, 0.0, 1.0), labels.astype(np.bool_)


def ranked_classes(scores: Scores) -> NDArray[np.int64]:
    """Class indices (n, V) of each example, best score first; of equal scores the lower index."""
    return np.argsort(-scores, axis=1, kind="stable")


def row_figures(scores: Scores, labels: Labels, ranking: NDArray[np.int64]) -> RowFigures:
    """Hit@1, PERR and cross-entropy of each example. An example without labels has 0 for the first two, and is counted.

    Args:
        scores: probabilities (n, V).
        labels: what sounds, (n, V).
        ranking: `ranked_classes(scores)`.

    """
    ordered = np.take_along_axis(labels, ranking, axis=1)
    # As many classes as the example has labels; a score of exactly 0 was never a prediction.
    wanted = labels.sum(axis=1)
    taken = np.arange(labels.shape[1]) < wanted[:, np.newaxis]
    found = (ordered & taken & (np.take_along_axis(scores, ranking, axis=1) > 0.0)).sum(axis=1)
    cells = np.log(np.where(labels, scores, 1.0 - scores) + LOSS_FLOOR)
    return RowFigures(
        hit_at_1=ordered[:, 0].astype(np.float64),
        perr=found / np.maximum(wanted, 1),
        loss=-cells.sum(axis=1),
    )
