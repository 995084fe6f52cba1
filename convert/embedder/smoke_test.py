"""Published smoke test of the released VGGish: mean and standard deviation of embeddings and codes for a 1 kHz sine.

Google's code states them for three generations, each with a relative tolerance of 0.1, over all values of three patches.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detector.audio.resampler import StreamResampler
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.detection.logmel import log_mel
from edge_detector.detection.tflite import TfliteEmbedder
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Codes, Float32

SINE_HZ, SECONDS, PATCHES, OLD_RATE_HZ = 1_000.0, 3, 3, 44_100
PUBLISHED_RELATIVE = 0.1


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of raw embeddings and of codes; of codes None without a PCA. None also for NaN."""

    raw_mean: float | None
    raw_std: float | None
    code_mean: float | None
    code_std: float | None


@dataclass(frozen=True, slots=True)
class AllowedDifferences:
    """Largest differences from the published statistics: of the mean absolute, the others relative."""

    raw_mean: float
    raw_std_relative: float
    codes_relative: float


@dataclass(frozen=True, slots=True)
class EarlierGeneration:
    """Statistics beside those published for an earlier generation, and whether all agree within a tenth."""

    raw_mean: float | None
    raw_std: float | None
    code_mean: float | None
    code_std: float | None
    published: Statistics
    within_a_tenth: bool


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """Result of the published smoke test.

    Attributes:
        precision: of the network.
        raw_mean, raw_std, code_mean, code_std: measured statistics, see Statistics.
        published: published statistics of the current generation.
        allowed: largest differences from them.
        before_2023, before_august_2020: earlier generations, reported only.
        passed: the current generation agrees.

    """

    precision: str
    raw_mean: float | None
    raw_std: float | None
    code_mean: float | None
    code_std: float | None
    published: Statistics
    allowed: AllowedDifferences
    before_2023: EarlierGeneration
    before_august_2020: EarlierGeneration
    passed: bool


NOW = Statistics(0.000657, 0.343, 126.0, 89.3)
"""Since July 2023: 16 kHz, not resampled, before any activation."""
RESAMPLED = Statistics(-0.0333, 0.380, 122.0, 93.5)
"""August 2020 to 2023: 44.1 kHz, resampled, before any activation."""
RESAMPLED_RELU = Statistics(0.131, 0.238, 123.0, 75.0)
"""Until August 2020: 44.1 kHz, resampled, after a ReLU that the released features do not have."""

LARGEST_MEAN_DIFFERENCE = {"float32": 0.0000657, "float16": 0.02, "dynamic": 0.02, "int8": 0.02}
"""Absolute. In float32 a tenth of the published mean, which is near zero; too little for rounded weights."""
LARGEST_STD_DIFFERENCE = {"float32": PUBLISHED_RELATIVE, "float16": 0.05, "dynamic": 0.05, "int8": 0.05}
"""Relative."""


def sine_patches() -> Float32:
    """Return the input published since 2023, (3, 96, 64), with features computed in float64."""
    time = np.arange(0.0, SECONDS, 1.0 / FRONT_END.sample_rate_hz)
    return _patches(np.sin(2.0 * np.pi * SINE_HZ * time))


def resampled_sine_patches() -> Float32:
    """Return the input published before 2023, resampled by the detector's resampler."""
    time = np.linspace(0.0, SECONDS, SECONDS * OLD_RATE_HZ)
    resampler = StreamResampler(OLD_RATE_HZ)
    sine = np.sin(2.0 * np.pi * SINE_HZ * time).astype(np.float32)
    parts = [resampler.push(Block(sine, first_sample=0)), resampler.finish()]
    return _patches(np.concatenate([part.samples for part in parts if part is not None]))


def _patches(samples: NDArray[np.floating]) -> Float32:
    frames = log_mel(np.asarray(samples, np.float64), np.float64)[: PATCHES * FRONT_END.patch_frames]
    return frames.reshape(PATCHES, FRONT_END.patch_frames, FRONT_END.mel_bands).astype(np.float32)


def smoke_test(embed: Callable[[Float32], Float32], pca: Pca | None, precision: str) -> SmokeTest:
    """Run the smoke test on raw embeddings (n, 128) of patches (n, 96, 64). Only the current generation decides.

    The older two depend on Google's resampler, whose versions changed them before; they are reported.

    Args:
        embed: the released weights, in any form.
        pca: the released PCA parameters, or None to compare raw embeddings only.
        precision: of `embed`; decides the tolerance.

    """
    found = _statistics(embed(sine_patches()), pca)
    allowed = AllowedDifferences(LARGEST_MEAN_DIFFERENCE[precision], LARGEST_STD_DIFFERENCE[precision], PUBLISHED_RELATIVE)
    passed = (
        _within(found.raw_mean, NOW.raw_mean, allowed.raw_mean)
        and _near(found.raw_std, NOW.raw_std, allowed.raw_std_relative)
        and (pca is None or (_near(found.code_mean, NOW.code_mean) and _near(found.code_std, NOW.code_std)))
    )
    resampled = embed(resampled_sine_patches())
    return SmokeTest(
        precision=precision,
        **asdict(found),
        published=NOW,
        allowed=allowed,
        before_2023=_earlier(_statistics(resampled, pca), RESAMPLED),
        before_august_2020=_earlier(_statistics(np.maximum(resampled, 0.0), pca), RESAMPLED_RELU),
        passed=passed,
    )


def tflite_smoke_test(content: bytes, pca: Pca | None, precision: str) -> SmokeTest:
    """Run the smoke test on a .tflite file."""
    embedder = TfliteEmbedder(content)
    return smoke_test(lambda patches: np.stack([embedder.embed(patch) for patch in patches]), pca, precision)


def _statistics(raw: Float32, pca: Pca | None) -> Statistics:
    codes = None if pca is None else quantise(raw, pca)
    return Statistics(*_mean_and_std(raw), *((None, None) if codes is None else _mean_and_std(codes)))


def _mean_and_std(values: Float32 | Codes) -> tuple[float | None, float | None]:
    """Return both, None for NaN, which JSON does not have."""
    mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    return mean if np.isfinite(mean) else None, std if np.isfinite(std) else None


def _near(found: float | None, published: float | None, relative: float = PUBLISHED_RELATIVE) -> bool:
    return published is not None and _within(found, published, relative * abs(published))


def _within(found: float | None, published: float | None, difference: float) -> bool:
    return found is not None and published is not None and abs(found - published) <= difference


def _earlier(found: Statistics, published: Statistics) -> EarlierGeneration:
    pairs = zip(asdict(found).values(), asdict(published).values(), strict=True)
    within = all(one is None or _near(one, two) for one, two in pairs)
    return EarlierGeneration(**asdict(found), published=published, within_a_tenth=within)
