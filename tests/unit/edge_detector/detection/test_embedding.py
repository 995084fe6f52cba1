import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.detection.embedding import Pca, dequantise, quantise

IDENTITY = Pca(np.eye(128, dtype=np.float32), np.zeros(128, np.float32))


def test_codes_dequantise_to_youtube_8m_s_table() -> None:
    codes = np.array([0, 1, 128, 255], np.uint8)
    expected = [-1.9921875, -1.9765012254901961, 0.015655637254901933, 2.0078125]
    assert dequantise(codes) == pytest.approx(expected, abs=1e-6)


def test_quantisation_truncates_and_clips() -> None:
    raw = np.zeros(128, np.float32)
    raw[:6] = [-5.0, -2.0, 0.0, 1.999, 2.0, 5.0]
    assert quantise(raw, IDENTITY)[:6].tolist() == [0, 0, 127, 254, 255, 255]


@given(st.floats(-2, 1.984375, width=32))
def test_a_round_trip_is_within_half_a_step(value: float) -> None:
    raw = np.full(128, value, np.float32)
    assert abs(float(dequantise(quantise(raw, IDENTITY))[0]) - value) <= 0.0079


def test_pca_subtracts_the_means_and_then_rotates() -> None:
    random = np.random.default_rng(0)
    pca = Pca(random.normal(0, 0.1, (128, 128)).astype(np.float32), random.normal(0, 1, 128).astype(np.float32))
    raw = random.normal(0, 1, (5, 128)).astype(np.float32)
    expected = ((pca.matrix.astype(float) @ (raw.T - pca.means[:, None].astype(float))).T.clip(-2, 2) + 2) * 63.75
    assert np.abs(quantise(raw, pca).astype(int) - expected.astype(np.uint8)).max() <= 1


@pytest.mark.parametrize("matrix", [np.eye(127, dtype=np.float32), np.full((128, 128), np.nan, np.float32)])
def test_pca_of_a_wrong_shape_or_with_nan_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="PCA"):
        Pca(matrix, np.zeros(128, np.float32))
