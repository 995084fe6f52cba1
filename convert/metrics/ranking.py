"""Average precision over pooled predictions: GAP, and per class as YouTube-8M counts it.

An average precision is non-interpolated: the mean over all positives of the precision at each. Positives that were never
predicted stay in the denominator and give 0. Equal scores are decided by class index, then by row.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.metrics.rows import Labels, Scores


@dataclass(frozen=True, slots=True)
class Pool:
    """Best predictions of each example, in the order of examples; all arrays have the shape (m,).

    Attributes:
        scores: float64.
        classes: index of the class.
        hits: whether the example has the class.

    """

    scores: Scores
    classes: NDArray[np.int32]
    hits: Labels

    @classmethod
    def best(cls, scores: Scores, labels: Labels, ranking: NDArray[np.int64], top_k: int) -> "Pool":
        """Return the `top_k` best predictions of each example (n, V)."""
        kept = ranking[:, :top_k]
        return cls(
            np.take_along_axis(scores, kept, axis=1).ravel(),
            kept.ravel().astype(np.int32),
            np.take_along_axis(labels, kept, axis=1).ravel(),
        )

    @classmethod
    def joined(cls, pools: Sequence["Pool"]) -> "Pool":
        """Concatenate the pools of batches."""
        return cls(
            np.concatenate([pool.scores for pool in pools]),
            np.concatenate([pool.classes for pool in pools]),
            np.concatenate([pool.hits for pool in pools]),
        )


def precision_sum(hits: Labels) -> float:
    """Return the sum of the precisions at the hits of a ranked list."""
    places = np.flatnonzero(hits)
    return float(np.sum(np.arange(1, len(places) + 1) / (places + 1.0)))


def global_average_precision(pool: Pool, positives: int) -> float:
    """Return GAP over all examples and classes; `positives` counts those outside the pool too. 0 without positives."""
    if not positives:
        return 0.0
    # lexsort is stable, so equal scores of a class stay in the order of examples.
    order = np.lexsort((pool.classes, -pool.scores))
    return precision_sum(pool.hits[order]) / positives


def class_average_precisions(pool: Pool, positives: NDArray[np.int64]) -> Scores:
    """Return the average precision of each class (V,) over its pooled predictions; 0 for a class without positives."""
    order = np.lexsort((-pool.scores, pool.classes))
    classes, hits = pool.classes[order], pool.hits[order]
    edges = np.searchsorted(classes, np.arange(len(positives) + 1))
    sums = [precision_sum(hits[first:end]) for first, end in itertools.pairwise(edges)]
    return np.asarray(sums) / np.maximum(positives, 1)
