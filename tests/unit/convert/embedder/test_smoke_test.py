"""The published smoke test: its signal, and its tolerance in each precision."""

import json
from typing import Any

import numpy as np
import pytest

from convert.embedder.smoke_test import resampled_sine_patches, sine_patches, smoke_test
from convert.plain_data import to_plain
from edge_detector.detection.embedding import Pca


def test_the_smoke_signal_is_the_published_one() -> None:
    patches = sine_patches()
    assert patches.mean(dtype=np.float64) == pytest.approx(-3.4296186961398245, abs=1e-6)
    assert patches[0, 0, 17:22] == pytest.approx([-0.147717, 2.693003, 4.811118, 4.775044, 2.262215], abs=1e-5)
    assert patches[2, 95, 60:64] == pytest.approx([-4.600372, -4.600694, -4.600989, -4.601163], abs=1e-5)
    resampled = resampled_sine_patches()
    assert resampled.shape == patches.shape
    assert np.abs(resampled[1, :, 17:22] - patches[1, :, 17:22]).max() < 1e-2, "the tone itself survives any resampler"


def two_valued(mean: float, std: float) -> Any:  # noqa: ANN401 - a stand-in for a network
    """Return a network whose embeddings have this mean and standard deviation for any patch."""
    signs = np.where(np.arange(128) % 2, 1.0, -1.0)
    return lambda patches: np.tile(mean + std * signs, (len(patches), 1)).astype(np.float32)


PUBLISHED_CODES = Pca(np.eye(128, dtype=np.float32) * np.float32(2.8 / 0.686), np.full(128, 0.0059, np.float32))
"""Maps 0.000657 ± 0.343 to the published mean and standard deviation of codes."""


@pytest.mark.parametrize(
    ("mean", "std", "precision", "passed"),
    [
        (0.000657, 0.343, "float32", True),
        (0.000720, 0.343, "float32", True),
        (0.000730, 0.343, "float32", False),
        (0.000657, 0.380, "float32", False),
        (0.015, 0.350, "int8", True),
        (0.025, 0.343, "int8", False),
        (0.000657, 0.365, "dynamic", False),
        (float("nan"), 0.343, "float32", False),
    ],
)
def test_each_precision_has_its_tolerance(mean: float, std: float, precision: str, passed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    result = smoke_test(two_valued(mean, std), None, precision)
    assert result.passed is passed
    assert result.code_mean is None
    json.dumps(to_plain(result), allow_nan=False)


def test_with_a_pca_the_smoke_test_compares_codes_too() -> None:
    embed = two_valued(0.000657, 0.343)
    right = smoke_test(embed, PUBLISHED_CODES, "float32")
    assert right.passed
    assert not right.before_2023.within_a_tenth
    assert (right.before_august_2020.raw_mean or 0.0) > 0.1, "after a ReLU"
    assert not smoke_test(embed, Pca(np.eye(128, dtype=np.float32), np.zeros(128, np.float32)), "float32").passed
