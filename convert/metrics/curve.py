"""AudioSet's figures: average precision and area under the ROC curve per class, and d′. All scores are ranked.

Scores are probabilities in any float dtype (n, V), labels bool (n, V).
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.metrics.rows import Labels, Scores


def class_precisions(scores: NDArray[Any], labels: Labels) -> Scores:
    """Return the average precision of each class (V,) over all examples; 0 for a class without positives.

    Equal scores are one group, all of it above the threshold or none: scikit-learn's `average_precision_score`.
    """
    return np.array([_average_precision(column, truth) for column, truth in zip(scores.T, labels.T, strict=True)])


def mean_average_precision(scores: NDArray[Any], labels: Labels) -> float:
    """Return the mean of `class_precisions` over the classes that have a positive; 0 without one."""
    labelled = labels.any(axis=0)
    return float(class_precisions(scores[:, labelled], labels[:, labelled]).mean()) if labelled.any() else 0.0


def _average_precision(scores: NDArray[Any], labels: Labels) -> float:
    order = np.argsort(-scores)
    scores, labels = scores[order], labels[order]
    last_of_group = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    found = np.cumsum(labels)[last_of_group]
    precision = found / (last_of_group + 1.0)
    return float((np.diff(found, prepend=0) * precision).sum() / max(int(found[-1]), 1))


def class_areas(scores: NDArray[Any], labels: Labels) -> Scores:
    """Return the area under the ROC curve of each class (V,); NaN for a class that is in all examples (n, V) or in none.

    It is the chance that an example with the class is scored above one without it; equal scores count half
    (J. A. Hanley, B. J. McNeil, Radiology 1982).
    """
    return np.array([_area(column, truth) for column, truth in zip(scores.T, labels.T, strict=True)])


def _area(scores: NDArray[Any], labels: Labels) -> float:
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return math.nan
    # A positive's score stands above the negatives left of it, and level with those between both sides.
    without = np.sort(scores[~labels])
    above = np.searchsorted(without, scores[labels], side="left")
    level = np.searchsorted(without, scores[labels], side="right") - above
    return float((above.sum() + 0.5 * level.sum()) / (positives * negatives))


def d_prime(area: float) -> float | None:
    """Return the distance between two normal distributions of unit width with this area; None if it is infinite.

    Formula: docs/reference.md, Metrics.
    """
    return math.sqrt(2.0) * NormalDist().inv_cdf(area) if 0.0 < area < 1.0 else None
