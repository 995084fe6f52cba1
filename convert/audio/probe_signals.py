"""Probe signals that exports are measured on: clips if given, otherwise synthetic sound."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from convert.audio.windows import WindowSource
from edge_detector.audio.clips import find_clips, labels_of, load_clips
from edge_detector.detection.logmel import log_mel
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import gain_of_db
from edge_detector.teaching.noise import Backgrounds
from edge_detector.types import Float32


def probe_patches(count: int, seed: int, clips: Path | None = None, folds: Collection[int] | None = None) -> Float32:
    """Return log-mel patches float32 (count, 96, 64) of augmented clips, or of noise, hum and sweeps at many levels."""
    return np.stack([log_mel(samples) for samples in probe_windows(count, seed, clips, folds)])


def probe_windows(count: int, seed: int, clips: Path | None = None, folds: Collection[int] | None = None) -> Float32:
    """Return the samples of such patches: float32 (count, 15600)."""
    rng = np.random.default_rng([seed, 77])
    if clips is not None:
        found = find_clips(clips, folds)
        return WindowSource([clip.samples for clip in load_clips(found, labels_of(found))], seed).draw(rng, count)
    backgrounds = Backgrounds(seed)
    return np.stack([_synthetic(rng, backgrounds, FRONT_END.patch_samples) for _ in range(count)])


def probe_stream(seconds: float, seed: int) -> Float32:
    """Return a stream whose sound changes every 0.44 s: float32, 16 kHz."""
    rng = np.random.default_rng([seed, 78])
    backgrounds = Backgrounds(seed)
    length = int(seconds * FRONT_END.sample_rate_hz)
    parts = [_synthetic(rng, backgrounds, 7_000) for _ in range(length // 7_000 + 1)]
    return np.concatenate(parts)[:length]


def _synthetic(rng: np.random.Generator, backgrounds: Backgrounds, length: int) -> Float32:
    seconds = np.arange(length) / FRONT_END.sample_rate_hz
    low_hz, high_hz = rng.uniform(100.0, 4_000.0, 2)
    sweep = np.sin(2.0 * np.pi * (low_hz + (high_hz - low_hz) * seconds / 2.0) * seconds).astype(np.float32)
    mix = backgrounds.draw(rng, length) + sweep * np.float32(rng.uniform(0.0, 3.0))
    return np.asarray(np.clip(mix * gain_of_db(float(rng.uniform(-70.0, -12.0))), -1.0, 1.0), np.float32)
