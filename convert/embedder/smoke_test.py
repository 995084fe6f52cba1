"""The published smoke test of the released VGGish: what a 1 kHz sine gives, as mean and spread of embeddings and of codes.

Google's code states it for three generations, each with a relative tolerance of a tenth; the spread is over all values of three
patches.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge_detector.audio.resampler import StreamResampler
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.detection.logmel import log_mel
from edge_detector.detection.tflite import TfliteEmbedder
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

SINE_HZ, SECONDS, PATCHES, OLD_RATE_HZ = 1_000.0, 3, 3, 44_100
PUBLISHED_RELATIVE = 0.1


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of raw embeddings and, where there is a PCA, of codes."""

    raw_mean: float
    raw_std: float
    code_mean: float | None
    code_std: float | None


NOW = Statistics(0.000657, 0.343, 126.0, 89.3)
"""Since July 2023: 16 kHz, nothing resampled, before any activation."""
RESAMPLED = Statistics(-0.0333, 0.380, 122.0, 93.5)
"""August 2020 to 2023: 44.1 kHz, resampled, before any activation."""
RESAMPLED_RELU = Statistics(0.131, 0.238, 123.0, 75.0)
"""Until August 2020: 44.1 kHz, resampled, after the ReLU that the released features never had."""

LARGEST_MEAN_DIFFERENCE = {"float32": PUBLISHED_RELATIVE * NOW.raw_mean, "float16": 0.02, "dynamic": 0.02, "int8": 0.02}
"""Absolute. A tenth of the published mean, which is near zero, is 0.00007: fair to float32, too little for rounded weights."""
LARGEST_STD_DIFFERENCE = {"float32": PUBLISHED_RELATIVE, "float16": 0.05, "dynamic": 0.05, "int8": 0.05}
"""Relative."""


def sine_patches() -> Float32:
    """The input as published since 2023: (3, 96, 64), features in float64."""
    time = np.arange(0.0, SECONDS, 1.0 / FRONT_END.sample_rate_hz)
    return _patches(np.sin(2.0 * np.pi * SINE_HZ * time))


def resampled_sine_patches() -> Float32:
    """The input as published before, by our resampler."""
    time = np.linspace(0.0, SECONDS, SECONDS * OLD_RATE_HZ)
    resampler = StreamResampler(OLD_RATE_HZ)
    sine = np.sin(2.0 * np.pi * SINE_HZ * time).astype(np.float32)
    parts = [resampler.push(Block(sine, first_sample=0)), resampler.finish()]
    return _patches(np.concatenate([part.samples for part in parts if part is not None]))


def _patches(samples: np.ndarray[Any, Any]) -> Float32:
    frames = log_mel(np.asarray(samples, np.float64), np.float64)[: PATCHES * FRONT_END.patch_frames]
    return frames.reshape(PATCHES, FRONT_END.patch_frames, FRONT_END.mel_bands).astype(np.float32)


def smoke_test(embed: Callable[[Float32], Float32], pca: Pca | None, precision: str) -> dict[str, Any]:
    """Run it on raw embeddings (n, 128) of patches (n, 96, 64). Only the current generation decides whether it passed.

    The older two depend on the resampler, which Google's is not and which moved their figures before; they are reported.

    Args:
        embed: the released weights, in any form.
        pca: the released PCA parameters, or None to look at raw embeddings alone.
        precision: of `embed`; says how close is close enough.

    """
    found = _statistics(embed(sine_patches()), pca)
    mean, std = LARGEST_MEAN_DIFFERENCE[precision], LARGEST_STD_DIFFERENCE[precision]
    passed = abs(found.raw_mean - NOW.raw_mean) <= mean and _near(found.raw_std, NOW.raw_std, std)
    passed = passed and _near(found.code_mean, NOW.code_mean) and _near(found.code_std, NOW.code_std)
    resampled = embed(resampled_sine_patches())
    return {
        "precision": precision,
        **_json(found),
        "published": _json(NOW),
        "allowed": {"raw_mean": mean, "raw_std_relative": std, "codes_relative": PUBLISHED_RELATIVE},
        "before_2023": _history(_statistics(resampled, pca), RESAMPLED),
        "before_august_2020": _history(_statistics(np.maximum(resampled, 0.0), pca), RESAMPLED_RELU),
        "passed": bool(passed),
    }


def tflite_smoke_test(content: bytes, pca: Pca | None, precision: str) -> dict[str, Any]:
    """The same on a .tflite file."""
    embedder = TfliteEmbedder(content)
    return smoke_test(lambda patches: np.stack([embedder.embed(patch) for patch in patches]), pca, precision)


def _statistics(raw: Float32, pca: Pca | None) -> Statistics:
    codes = None if pca is None else quantise(raw, pca).astype(np.float64)
    values = raw.astype(np.float64)
    return Statistics(
        float(values.mean()),
        float(values.std()),
        None if codes is None else float(codes.mean()),
        None if codes is None else float(codes.std()),
    )


def _near(found: float | None, published: float | None, relative: float = PUBLISHED_RELATIVE) -> bool:
    """Within tolerance; what was not measured cannot fail, and NaN is never near."""
    return found is None or published is None or abs(found - published) <= relative * abs(published)


def _history(found: Statistics, published: Statistics) -> dict[str, Any]:
    pairs = zip(asdict(found).values(), asdict(published).values(), strict=True)
    return {**_json(found), "published": _json(published), "within_a_tenth": all(_near(*pair) for pair in pairs)}


def _json(statistics: Statistics) -> dict[str, float | None]:
    """Without NaN, which JSON does not have."""
    return {key: value if value is not None and np.isfinite(value) else None for key, value in asdict(statistics).items()}
