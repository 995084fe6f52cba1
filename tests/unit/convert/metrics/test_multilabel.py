"""The metrics: golden examples, and a second implementation that counts one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from convert.metrics.curve import d_prime
from convert.metrics.multilabel import Figures, MapOver, MetricAccumulator
from edge_detector.errors import EdgeDetectorError, UsageError
from tests.support.counting import (
    counted_area,
    counted_class_precision,
    counted_gap,
    counted_hit,
    counted_loss,
    counted_perr,
    mean,
)

Array = NDArray[Any]
EXACT = 1e-9


def measured(predictions: Array, labels: Array, top_k: int = 20, map_over: MapOver = "labelled") -> Figures:
    tally = MetricAccumulator(top_k)
    tally.add(predictions, labels)
    return tally.figures(map_over)


def golden_2() -> tuple[Array, Array]:
    state, draws = 12_345, []
    for _ in range(2 * 64 * 30):
        state = (1_103_515_245 * state + 12_345) % 2**31
        draws.append(state / 2**31)
    first = np.array(draws[: 64 * 30]).reshape(64, 30)
    labels = (np.array(draws[64 * 30 :]).reshape(64, 30) < 0.1).astype(np.float64)
    return np.clip(0.6 * first + 0.6 * labels * first.mean(), 0.0, 1.0), labels


def test_the_first_golden_example() -> None:
    found = measured(np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.7]]), np.array([[0.0, 0, 1], [0, 1, 1]]))
    assert (found.hit_at_1, found.perr) == (0.5, 0.5)
    assert found.gap == pytest.approx(0.6388888888888888, abs=EXACT)


def test_the_second_golden_example() -> None:
    predictions, labels = golden_2()
    assert labels.sum() == 171, "the generator is the spec's"
    found = measured(predictions, labels)
    assert found.hit_at_1 == pytest.approx(0.828125, abs=EXACT)
    assert found.perr == pytest.approx(0.566889880952381, abs=EXACT)
    assert found.gap == pytest.approx(0.6625321488953253, abs=EXACT)
    assert found.map == pytest.approx(0.6813637282832219, abs=EXACT)
    assert found.loss == pytest.approx(12.132891588988103, abs=EXACT)
    assert measured(predictions, labels, 30).gap == pytest.approx(0.6644719410121604, abs=EXACT)
    assert measured(predictions, labels, 1).gap == pytest.approx(0.3083878349344647, abs=EXACT)


@st.composite
def examples(draw: st.DrawFn) -> tuple[list[list[float]], list[list[int]]]:
    """Few distinct scores, 0 and 1 among them, so that ties are everywhere; V from 1, below and above 20."""
    rows, classes = draw(st.integers(1, 8)), draw(st.integers(1, 24))
    score = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) if draw(st.booleans()) else st.floats(0.0, 1.0, width=32)
    row = st.lists(score, min_size=classes, max_size=classes)
    truth = st.lists(st.integers(0, 1), min_size=classes, max_size=classes)
    return draw(st.lists(row, min_size=rows, max_size=rows)), draw(st.lists(truth, min_size=rows, max_size=rows))


@given(examples(), st.integers(1, 24))
def test_every_figure_is_what_counting_one_by_one_gives(case: tuple[list[list[float]], list[list[int]]], top_k: int) -> None:
    scores, labels = case
    classes = range(len(scores[0]))
    found = measured(np.array(scores), np.array(labels, np.float64), top_k)
    assert found.hit_at_1 == pytest.approx(float(counted_hit(scores, labels)), abs=EXACT)
    assert found.perr == pytest.approx(float(counted_perr(scores, labels)), abs=EXACT)
    assert found.gap == pytest.approx(counted_gap(scores, labels, top_k), abs=EXACT)
    assert found.loss == pytest.approx(counted_loss(scores, labels), abs=EXACT)
    labelled = [index for index in classes if any(truth[index] for truth in labels)]
    by_class = [counted_class_precision(scores, labels, index, top_k) for index in classes]
    assert found.map == pytest.approx(mean([by_class[index] for index in labelled]), abs=EXACT)
    over_all = measured(np.array(scores), np.array(labels, np.float64), top_k, "all").map
    assert over_all == pytest.approx(mean(by_class), abs=EXACT)
    areas = [area for index in classes if (area := counted_area(scores, labels, index)) is not None]
    assert found.auc == (pytest.approx(mean(areas), abs=EXACT) if areas else None)
    assert (found.examples, found.classes, found.labelled_classes) == (len(scores), len(classes), len(labelled))


@given(examples(), st.lists(st.integers(1, 3), min_size=8, max_size=8), st.sampled_from([np.float32, np.float64]))
def test_the_metrics_do_not_depend_on_the_batches(
    case: tuple[list[list[float]], list[list[int]]], sizes: list[int], dtype: type
) -> None:
    predictions: NDArray[Any] = np.array(case[0], dtype)
    labels = np.array(case[1])
    tally, first = MetricAccumulator(), 0
    for size in sizes:
        if first < len(predictions):
            tally.add(predictions[first : first + size], labels[first : first + size])
        first += size
    whole = measured(predictions, labels)
    got = tally.figures()
    for name in ("hit_at_1", "perr", "gap", "map", "loss", "map_all_scores", "auc", "examples", "labelled_classes"):
        assert getattr(got, name) == pytest.approx(getattr(whole, name), abs=1e-12), name


def test_of_equal_scores_of_an_example_the_lower_class_comes_first() -> None:
    half = np.full((2, 2), 0.5)
    assert measured(half, np.array([[1, 0], [0, 0]])).hit_at_1 == 0.5
    assert measured(half, np.array([[0, 1], [0, 1]])).hit_at_1 == 0.0


@pytest.mark.parametrize("labels_first", [True, False])
def test_a_constant_is_at_chance_however_the_records_are_sorted(*, labels_first: bool) -> None:
    """A tenth of the examples has the class; those that do are together, as `embed` writes them."""
    labels = np.zeros((1_000, 1))
    labels[:100] = labels_first
    labels[900:] += not labels_first
    found = measured(np.full((1_000, 1), 0.1), labels)
    assert found.map_all_scores == pytest.approx(0.1, abs=EXACT)
    assert found.map == pytest.approx(0.1, abs=0.02)
    assert found.gap == pytest.approx(0.1, abs=0.02)


def test_an_example_without_labels_counts_as_zero() -> None:
    found = measured(np.array([[0.9, 0.1]]), np.zeros((1, 2)))
    assert (found.hit_at_1, found.perr, found.gap, found.map) == (0.0, 0.0, 0.0, 0.0)
    assert found.auc is None
    assert found.d_prime is None


def test_perr_ignores_scores_of_zero() -> None:
    assert measured(np.array([[0.0, 0.9, 0.0]]), np.array([[1, 1, 0]])).perr == 0.5


def test_fewer_classes_than_twenty_are_all_ranked() -> None:
    generator = np.random.default_rng(7)
    predictions, labels = generator.random((50, 3)), generator.integers(0, 2, (50, 3))
    assert measured(predictions, labels) == measured(predictions, labels, 3)


def test_classes_without_an_example_are_left_out_of_map_or_give_zero() -> None:
    predictions, labels = np.array([[0.9, 0.1], [0.2, 0.3]]), np.array([[1, 0], [0, 0]])
    assert measured(predictions, labels).map == 1.0
    assert measured(predictions, labels, map_over="all").map == 0.5
    assert measured(predictions, labels).labelled_classes == 1


def test_a_perfect_prediction_has_a_loss_just_below_zero() -> None:
    labels = np.array([[1.0, 0.0, 0.0]])
    assert measured(labels, labels).loss == pytest.approx(-3 * 9.99995e-6, rel=1e-6)
    assert measured(1.0 - labels, labels).loss == pytest.approx(3 * 11.512925, rel=1e-6)


@pytest.mark.parametrize(("area", "published"), [(0.959, 2.460), (0.904, 1.845), (0.5, 0.0)])
def test_d_prime_is_that_of_the_published_areas(area: float, published: float) -> None:
    assert d_prime(area) == pytest.approx(published, abs=5e-4)


def test_a_perfect_separation_has_no_finite_d_prime() -> None:
    assert d_prime(1.0) is None


def test_a_rounding_error_beyond_one_is_clipped() -> None:
    labels = np.array([[1, 0]])
    assert measured(np.array([[1.0000001, 0.0]], np.float32), labels) == measured(np.array([[1.0, 0.0]], np.float32), labels)


@pytest.mark.parametrize("labels", [np.array([[True, False]]), np.array([[1, 0]], np.uint8), np.array([[1.0, 0.0]], np.float32)])
def test_labels_may_have_any_numeric_dtype(labels: NDArray[np.bool_]) -> None:
    assert MetricAccumulator().add(np.array([[0.6, 0.2]], np.float32), labels).hit_at_1 == 1.0


@pytest.mark.parametrize(
    ("predictions", "labels", "what"),
    [
        ([[0.1, float("nan")]], [[0, 1]], "1 of 2 predictions are NaN; they must be probabilities within 0 and 1"),
        ([[0.1, 3.2]], [[0, 1]], "from 0.1 to 3.2; they must be probabilities"),
        ([[0.1, 0.2]], [[0, 2]], "neither 0 nor 1"),
        ([[0.1, 0.2]], [[0, 1, 1]], r"\(1, 2\) and labels \(1, 3\)"),
        ([0.1, 0.2], [0, 1], r"must both be \(examples, classes\)"),
        ([["a"]], [[1]], "must be numbers"),
    ],
)
def test_predictions_and_labels_that_do_not_fit_are_refused(predictions: list[object], labels: list[object], what: str) -> None:
    with pytest.raises(EdgeDetectorError, match=what):
        MetricAccumulator().add(np.array(predictions), np.array(labels))


def test_metrics_without_examples_are_an_error() -> None:
    with pytest.raises(UsageError, match="no example"):
        MetricAccumulator().figures()
    with pytest.raises(UsageError, match="no example"):
        MetricAccumulator().add(np.zeros((0, 3)), np.zeros((0, 3)))


def test_batches_of_different_classes_are_refused() -> None:
    tally = MetricAccumulator()
    tally.add(np.zeros((1, 3)), np.zeros((1, 3)))
    with pytest.raises(UsageError, match="has 4 classes, the one before 3"):
        tally.add(np.zeros((1, 4)), np.zeros((1, 4)))
