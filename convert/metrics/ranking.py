"""Average precision over pooled predictions: GAP, and per class as YouTube-8M counts it.

An average precision is non-interpolated: the mean over all positives of the precision at each. Positives that were never
predicted stay in the denominator and give 0. Equal scores are in a random order of a fixed seed, YouTube-8M's own, and never
in the order of the records, which may be sorted by class.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.metrics.rows import Labels, Scores


@dataclass(frozen=True, slots=True)
class Pool:
    """Best predictions of each example; all arrays have the shape (m,).

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


def ranked_hits(scores: Scores, hits: Labels) -> Labels:
    """Return the hits (m,) by falling score, equal scores as YouTube-8M's AveragePrecisionCalculator orders them.

    It keeps scores and hits in a heap, permutes the heap with `random.seed(0)`, and sorts stably. What is added to it in
    ascending order stays in that order, so that is the order before the permutation here: the result depends on the scores
    and hits alone.
    """
    ascending = np.lexsort((hits, scores))
    scores, hits = scores[ascending], hits[ascending]
    # The permutation matters only if hits and misses have equal scores.
    if not ((scores[1:] == scores[:-1]) & (hits[1:] != hits[:-1])).any():
        return hits[::-1]
    permuted = np.array(random.Random(0).sample(range(len(scores)), len(scores)))
    falling = np.argsort(-scores[permuted], kind="stable")
    return np.asarray(hits[permuted[falling]])


def precision_sum(hits: Labels) -> float:
    """Return the sum of the precisions at the hits of a ranked list."""
    places = np.flatnonzero(hits)
    return float(np.sum(np.arange(1, len(places) + 1) / (places + 1.0)))


def global_average_precision(pool: Pool, positives: int) -> float:
    """Return GAP over all examples and classes; `positives` counts those outside the pool too. 0 without positives.

    Formula: docs/reference.md, Metrics.
    """
    return precision_sum(ranked_hits(pool.scores, pool.hits)) / positives if positives else 0.0


def class_average_precisions(pool: Pool, positives: NDArray[np.int64]) -> Scores:
    """Return the average precision of each class (V,) over its pooled predictions; 0 for a class without positives."""
    order = np.argsort(pool.classes, kind="stable")
    edges = np.searchsorted(pool.classes[order], np.arange(len(positives) + 1))
    of_classes = [order[first:end] for first, end in itertools.pairwise(edges)]
    sums = [precision_sum(ranked_hits(pool.scores[places], pool.hits[places])) for places in of_classes]
    return np.asarray(sums) / np.maximum(positives, 1)
