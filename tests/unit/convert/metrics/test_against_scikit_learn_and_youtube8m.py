"""All figures of 500 arrays against scikit-learn, and against YouTube-8M's rules written once more; ties are everywhere."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from convert.metrics.multilabel import Figures, MetricAccumulator
from tests.support.counting import counted_class_precision, counted_gap, counted_hit, counted_loss, counted_perr, mean

Array = NDArray[Any]
EXACT = 1e-12
ARRAYS_PER_KIND = 50


def _random(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.random(shape)


def _saturated(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Sigmoids in float32, many of them exactly 1 or near 0."""
    return np.asarray(1.0 / (1.0 + np.exp(-rng.normal(0.0, 20.0, shape).astype(np.float32))), np.float32)


KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "random": _random,
    "float32": lambda rng, shape: rng.random(shape, np.float32),
    "saturated": _saturated,
    "one decimal": lambda rng, shape: rng.random(shape).round(1),
    "0 or 1": lambda rng, shape: rng.integers(0, 2, shape).astype(np.float64),
    "mostly 0": lambda rng, shape: np.where(rng.random(shape) < 0.9, 0.0, rng.random(shape)),
    "all 0": lambda _, shape: np.zeros(shape),
    "all equal": lambda rng, shape: np.full(shape, rng.random()),
    "one score for each class": lambda rng, shape: np.tile(rng.random(shape[1]), (shape[0], 1)),
    "float16": lambda rng, shape: rng.random(shape).astype(np.float16),
}


def _arrays(kind: str, number: int) -> tuple[Array, NDArray[np.int64]]:
    """Return scores and labels, the rows sorted by class in every second pair."""
    rng = np.random.default_rng([list(KINDS).index(kind), number])
    shape = int(rng.integers(1, 50)), int(rng.choice([1, 2, 5, 21]))
    labels = (rng.random(shape) < rng.choice([0.02, 0.1, 0.5, 1.0])).astype(np.int64)
    if number % 2:
        labels = labels[np.lexsort(labels.T)]
    return KINDS[kind](rng, shape), labels


def _figures(scores: Array, labels: Array) -> Figures:
    metrics = MetricAccumulator()
    metrics.add(scores, labels)
    return metrics.figures()


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_scikit_learn_and_of_youtube8ms_rules(kind: str) -> None:
    for number in range(ARRAYS_PER_KIND):
        scores, labels = _arrays(kind, number)
        found = _figures(scores, labels)
        labelled = [index for index in range(labels.shape[1]) if labels[:, index].any()]
        both = [index for index in labelled if not labels[:, index].all()]
        precisions = [average_precision_score(labels[:, index], scores[:, index]) for index in labelled]
        assert found.map_all_scores == pytest.approx(mean(precisions), abs=EXACT), number
        areas = [roc_auc_score(labels[:, index], scores[:, index]) for index in both]
        assert found.auc == (pytest.approx(mean(areas), abs=EXACT) if both else None), number
        rows, truth = scores.astype(np.float64).tolist(), labels.tolist()
        assert found.gap == pytest.approx(counted_gap(rows, truth, 20), abs=EXACT), number
        by_class = [counted_class_precision(rows, truth, index, 20) for index in labelled]
        assert found.map == pytest.approx(mean(by_class), abs=EXACT), number
        assert found.hit_at_1 == pytest.approx(float(counted_hit(rows, truth)), abs=EXACT), number
        assert found.perr == pytest.approx(float(counted_perr(rows, truth)), abs=EXACT), number
        assert found.loss == pytest.approx(counted_loss(rows, truth), rel=EXACT), number


@pytest.mark.parametrize("kind", KINDS)
def test_figures_do_not_depend_on_the_order_of_the_records(kind: str) -> None:
    for number in range(ARRAYS_PER_KIND):
        scores, labels = _arrays(kind, number)
        order = np.random.default_rng(number).permutation(len(scores))
        found, shuffled = _figures(scores, labels), _figures(scores[order], labels[order])
        for name in ("hit_at_1", "perr", "gap", "map", "map_all_scores", "auc", "loss"):
            assert getattr(found, name) == pytest.approx(getattr(shuffled, name), abs=EXACT), (number, name)
