"""Projection of a classifier's pooled vector to 128 bytes, and read-out of its classes from them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convert.embedder.projection import (
    CLIP,
    POOLED_SIZE,
    Projection,
    agreement,
    fit_projection,
    fit_readout,
    label_weights,
)
from edge_detector.detection.embedding import CODES_PER_UNIT, Pca, dequantise, quantise
from edge_detector.params import CODE_LIMIT, EMBEDDING_SIZE
from edge_detector.types import Float32

WINDOWS, LABELS, RANK = 2_500, 160, 40
EQUAL = np.ones(LABELS)
SHRINKAGE, RIDGE = 0.3, 1e-3


@pytest.fixture(scope="module")
def pooled() -> Float32:
    """Vectors as after a ReLU and pooling: not negative, of different scales, correlated."""
    rng = np.random.default_rng(1)
    causes = rng.gamma(2.0, 1.0, (WINDOWS, 60))
    mixed = causes @ rng.gamma(1.0, 0.05, (60, POOLED_SIZE)) + rng.gamma(1.0, 0.1, (WINDOWS, POOLED_SIZE))
    return np.asarray(mixed * rng.uniform(0.2, 2.0, POOLED_SIZE), np.float32)


def kernel(rank: int) -> Float32:
    """Kernel of a classifier whose logits depend on `rank` directions."""
    rng = np.random.default_rng(2)
    return np.asarray(rng.normal(0.0, 0.05, (POOLED_SIZE, rank)) @ rng.normal(0.0, 0.3, (rank, LABELS)), np.float32)


@pytest.fixture(scope="module")
def projection(pooled: Float32) -> Projection:
    return fit_projection(pooled, kernel(RANK), EQUAL, SHRINKAGE)


def components(projection: Projection, pooled: Float32) -> Float32:
    """Values that are quantised: embeddings less their mean, scaled."""
    return np.asarray((pooled @ projection.matrix.T - projection.pca.means) @ projection.pca.matrix.T, np.float32)


def test_logits_of_at_most_128_directions_follow_from_the_components_exactly(pooled: Float32, projection: Projection) -> None:
    logits = pooled @ kernel(RANK)
    inputs = np.concatenate([components(projection, pooled), np.ones((WINDOWS, 1))], axis=1).astype(np.float64)
    line = np.linalg.lstsq(inputs, logits, rcond=None)[0]
    assert np.abs(inputs @ line - logits).max() < 1e-3 * logits.std()


def test_logits_follow_from_the_codes_within_their_resolution(pooled: Float32, projection: Projection) -> None:
    logits = pooled @ kernel(RANK) + 3.0
    codes = quantise(pooled @ projection.matrix.T, projection.pca)
    weights, bias = fit_readout(codes, logits, RIDGE)
    assert (weights.shape, bias.shape) == ((EMBEDDING_SIZE, LABELS), (LABELS,))
    left = dequantise(codes) @ weights + bias - logits
    assert (left.std(axis=0) / logits.std(axis=0)).max() < 0.05
    assert np.abs(left.mean(axis=0)).max() < 1e-3, "the ridge does not change the mean"


def test_the_components_are_white_on_the_recordings_and_clip_standard_deviations_are_the_limit_of_a_byte(
    pooled: Float32, projection: Projection
) -> None:
    spread = []
    for fitted in (projection, fit_projection(pooled, kernel(RANK), EQUAL, 0.0)):
        found = components(fitted, pooled).astype(np.float64)
        assert np.abs(found.mean(axis=0)).max() < 1e-3
        assert np.allclose(found.std(axis=0) * CLIP, CODE_LIMIT, rtol=1e-3)
        spread.append(np.abs(np.corrcoef(found, rowvar=False) - np.eye(EMBEDDING_SIZE)).mean())
    assert spread[0] < 0.1, "shrinkage lets them correlate a little"
    assert spread[1] < 1e-4
    one_step = 1.0 / CODES_PER_UNIT
    assert one_step * CLIP / CODE_LIMIT < 0.07, "a byte's step is a fifteenth of a standard deviation"


def test_the_most_useful_component_comes_first(pooled: Float32, projection: Projection) -> None:
    logits = (pooled @ kernel(RANK)).astype(np.float64)
    found = components(projection, pooled).astype(np.float64)
    explained = [float(np.square((logits - logits.mean(0)).T @ found[:, index]).sum()) for index in (0, RANK // 2, RANK)]
    assert explained[0] > explained[1] > explained[2]


def test_with_more_than_128_directions_labels_of_a_high_weight_have_the_smaller_error(pooled: Float32) -> None:
    every = kernel(155)
    logits = pooled @ every
    heavy = np.where(np.arange(LABELS) < 20, 1.0, 1e-4)

    def left(weights: NDArray[np.float64]) -> float:
        fitted = fit_projection(pooled, every, weights, SHRINKAGE)
        codes = quantise(pooled @ fitted.matrix.T, fitted.pca)
        line, bias = fit_readout(codes, logits, RIDGE)
        return float(np.square(dequantise(codes) @ line + bias - logits)[:, :20].mean())

    assert left(heavy) < left(EQUAL)


def test_a_label_is_weighted_by_the_square_of_its_highest_probability() -> None:
    log_odds = np.array([[-9.0, 0.0, -2.0], [-8.0, 4.0, -1.0]], np.float32)
    assert label_weights(log_odds, least=0.02) == pytest.approx([0.02**2, 0.982014**2, 0.268941**2], rel=1e-4)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.0, 1e-3, 1.0, 50.0, 1e6]))
def test_any_pooled_vector_becomes_codes_and_values_beyond_the_limit_are_clipped(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0.0, 0.1, (EMBEDDING_SIZE, POOLED_SIZE)).astype(np.float32)
    vectors = (scale * rng.gamma(1.0, 1.0, (3, POOLED_SIZE))).astype(np.float32)
    fitted = Projection(matrix, _pca())
    codes = quantise(vectors @ fitted.matrix.T, fitted.pca)
    exact = np.clip(vectors @ fitted.matrix.T * (CODE_LIMIT / CLIP), -CODE_LIMIT, CODE_LIMIT)
    assert codes.dtype == np.uint8
    assert np.abs(dequantise(codes) - exact).max() <= 1.0 / CODES_PER_UNIT
    assert (codes[exact >= CODE_LIMIT] == 255).all()
    assert (codes[exact <= -CODE_LIMIT] == 0).all()


def test_agreement_counts_the_labels_that_a_read_out_keeps() -> None:
    wanted = np.array([[0.9, 0.25, 0.05, 0.0, 0.0, 0.0, 0.0], [0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6]], np.float32)
    found = np.array([[0.8, 0.16, 0.9, 0.0, 0.0, 0.0, 0.0], [0.2, 0.3, 0.4, 0.5, 0.6, 0.0, 0.1]], np.float32)
    near = agreement(found, wanted)
    assert near.windows == 2
    assert near.mean_difference == pytest.approx((0.1 + 0.09 + 0.08 + 0.5) / 4)
    assert near.kept_at_15 == pytest.approx(2 / 3), "0.9 and 0.25 stay, 0.6 does not"
    assert near.kept_at_20 == pytest.approx(1 / 3)
    assert near.top_in_five == 0.5, "of the second window the best label is sixth"
    same = agreement(wanted, wanted)
    assert (same.mean_difference, same.kept_at_15, same.kept_at_20, same.top_in_five) == (0.0, 1.0, 1.0, 1.0)


def _pca() -> Pca:
    return Pca((CODE_LIMIT / CLIP * np.eye(EMBEDDING_SIZE)).astype(np.float32), np.zeros(EMBEDDING_SIZE, np.float32))
