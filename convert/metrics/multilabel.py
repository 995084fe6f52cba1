"""Figures of an evaluation, accumulated over batches."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.metrics.curve import class_areas, d_prime, mean_average_precision
from convert.metrics.ranking import Pool, class_average_precisions, global_average_precision
from convert.metrics.rows import checked, ranked_classes, row_figures
from edge_detector.errors import UsageError

TOP_K = 20
"""Predictions of each example that enter GAP and MAP, as in YouTube-8M."""

MapOver = Literal["labelled", "all"]
"""Classes that MAP averages over: those with an example (YouTube-8M since 2019), or all, with 0 for the others (before)."""


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """Means over one batch; GAP over the batch alone."""

    hit_at_1: float
    perr: float
    gap: float
    loss: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of an evaluation.

    Attributes:
        hit_at_1, perr, loss: means over examples.
        gap, map: from each example's best `top_k` predictions, by class for `map`; equal scores in a random order.
        map_all_scores: mean over labelled classes of the average precision with every score ranked, equal scores as one group, as
            AudioSet's papers have it.
        auc: mean over classes that are in some examples and not in others; None without such a class.
        d_prime: of that mean; None if it is infinite or there is no such mean.
        examples, classes, labelled_classes: how many.

    """

    hit_at_1: float
    perr: float
    gap: float
    map: float
    loss: float
    map_all_scores: float
    auc: float | None
    d_prime: float | None
    examples: int
    classes: int
    labelled_classes: int


class MetricAccumulator:
    """Accumulator of batches; the figures of all examples do not depend on the batches.

    All scores are kept in their precision, because AUC needs them: 46 MB for AudioSet's 22,000 segments in float32.

    Args:
        top_k: predictions of each example that enter GAP and MAP; all classes if there are fewer.

    """

    def __init__(self, top_k: int = TOP_K) -> None:
        self._top_k = top_k
        self._rows: list[NDArray[np.float64]] = []
        self._pools: list[Pool] = []
        self._scores: list[NDArray[Any]] = []
        self._labels: list[NDArray[np.bool_]] = []
        self.examples = 0

    def add(self, predictions: NDArray[Any], labels: NDArray[Any]) -> BatchFigures:
        """Add a batch of probabilities (n, V) and labels 0 or 1 (n, V). Raises EdgeDetectorError for other values."""
        scores, truth = checked(predictions, labels)
        if not len(scores):
            raise UsageError("there is no example to measure; give records or arrays that hold some")
        if self._scores and self._scores[0].shape[1] != scores.shape[1]:
            raise UsageError(
                f"a batch has {scores.shape[1]} classes, the one before {self._scores[0].shape[1]}; give all the same"
            )
        ranking = ranked_classes(scores)
        rows = row_figures(scores, truth, ranking)
        pool = Pool.best(scores, truth, ranking, self._top_k)
        self._rows.append(np.stack([rows.hit_at_1, rows.perr, rows.loss]))
        self._pools.append(pool)
        self._scores.append(predictions if np.issubdtype(predictions.dtype, np.floating) else scores)
        self._labels.append(truth)
        self.examples += len(scores)
        gap = global_average_precision(pool, int(truth.sum()))
        return BatchFigures(float(rows.hit_at_1.mean()), float(rows.perr.mean()), gap, float(rows.loss.mean()))

    def figures(self, map_over: MapOver = "labelled") -> Figures:
        """Return the figures of all examples so far. Raises UsageError without examples."""
        if not self.examples:
            raise UsageError("there is no example to measure; give records or arrays that hold some")
        hit_at_1, perr, loss = np.concatenate(self._rows, axis=1).mean(axis=1)
        labels = np.concatenate(self._labels)
        scores = np.concatenate(self._scores)
        positives = labels.sum(axis=0)
        labelled = positives > 0
        areas = class_areas(scores, labels)
        auc = float(np.nanmean(areas)) if np.isfinite(areas).any() else None
        pool = Pool.joined(self._pools)
        precisions = class_average_precisions(pool, positives)
        return Figures(
            hit_at_1=float(hit_at_1),
            perr=float(perr),
            gap=global_average_precision(pool, int(positives.sum())),
            map=_mean(precisions if map_over == "all" else precisions[labelled]),
            loss=float(loss),
            map_all_scores=mean_average_precision(scores, labels),
            auc=auc,
            d_prime=None if auc is None else d_prime(auc),
            examples=self.examples,
            classes=len(positives),
            labelled_classes=int(labelled.sum()),
        )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
