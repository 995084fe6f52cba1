"""Figures of single examples: Hit@1, PERR, cross-entropy, and the ranking of classes.

Predictions are probabilities float (n, V), labels bool (n, V). Of equal scores of an example the lower class index comes first:
YouTube-8M's Hit@1 takes it too, and its PERR and its choice of the best 20 leave it to `numpy.argpartition`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detector.errors import EdgeDetectorError

LOSS_FLOOR = 1e-5
"""Added inside both logarithms of the cross-entropy."""

ROUNDING = 1e-6
"""A float32 softmax may exceed [0, 1] by this much; it is clipped."""

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Values of each example: float64 (n,)."""

    hit_at_1: Scores
    perr: Scores
    loss: Scores


def checked(predictions: NDArray[Any], labels: NDArray[Any]) -> tuple[Scores, Labels]:
    """Return predictions as float64 in [0, 1] and labels as bool, of one shape (n, V). Raises EdgeDetectorError for others."""
    if predictions.ndim != 2 or predictions.shape != labels.shape or not predictions.shape[1]:  # noqa: PLR2004 - (n, V)
        raise EdgeDetectorError(
            f"predictions {predictions.shape} and labels {labels.shape} must both be (examples, classes), with a class at least"
        )
    if not (np.issubdtype(predictions.dtype, np.floating) or np.issubdtype(predictions.dtype, np.integer)):
        raise EdgeDetectorError(f"predictions are {predictions.dtype}, they must be numbers")
    scores = predictions.astype(np.float64)
    if missing := int(np.isnan(scores).sum()):
        raise EdgeDetectorError(f"{missing} of {scores.size} predictions are NaN; they must be probabilities within 0 and 1")
    if not ((scores >= -ROUNDING) & (scores <= 1.0 + ROUNDING)).all():
        low, high = scores.min(), scores.max()
        raise EdgeDetectorError(f"predictions range from {low:g} to {high:g}; they must be probabilities within 0 and 1")
    if labels.dtype != np.bool_ and not ((labels == 0) | (labels == 1)).all():
        raise EdgeDetectorError("labels hold values that are neither 0 nor 1; give one 0 or 1 for each example and class")
    return np.clip(scores, 0.0, 1.0), labels.astype(np.bool_)


def ranked_classes(scores: Scores) -> NDArray[np.int64]:
    """Return the class indices (n, V) of each example, best score first; of equal scores the lower index."""
    return np.argsort(-scores, axis=1, kind="stable")


def row_figures(scores: Scores, labels: Labels, ranking: NDArray[np.int64]) -> RowFigures:
    """Return Hit@1, PERR and cross-entropy of each example; the first two are 0 for an example without labels.

    Formulas: docs/reference.md, Metrics.

    Args:
        scores: probabilities (n, V).
        labels: bool (n, V).
        ranking: `ranked_classes(scores)`.

    """
    ordered = np.take_along_axis(labels, ranking, axis=1)
    # PERR takes as many classes as the example has labels; a score of exactly 0 is no prediction.
    wanted = labels.sum(axis=1)
    taken = np.arange(labels.shape[1]) < wanted[:, np.newaxis]
    found = (ordered & taken & (np.take_along_axis(scores, ranking, axis=1) > 0.0)).sum(axis=1)
    cells = np.log(np.where(labels, scores, 1.0 - scores) + LOSS_FLOOR)
    return RowFigures(
        hit_at_1=ordered[:, 0].astype(np.float64),
        perr=found / np.maximum(wanted, 1),
        loss=-cells.sum(axis=1),
    )
