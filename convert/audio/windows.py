"""Augmented windows of recordings (rooms, devices, backgrounds), on which exports are fitted and measured."""

import math
from collections.abc import Sequence

import numpy as np

from convert.audio.augment import band_limited, recorded, reverberant
from edge_detector.audio.activity import active_starts, cut
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import equalised, gain_of_db, rms, speed_changed
from edge_detector.teaching.noise import Backgrounds
from edge_detector.types import Float32

BACKGROUND_SHARE = 0.1
MIXTURE_SHARE = 0.35
NOISY_SHARE = 0.6
ECHO_SHARE = 0.25
SPEEDS = (0.8, 1.25)
ACTIVE_RANGE_DB = 30.0
EMPTY_SHARE_OF_PIECE = 0.02
SILENT_RMS = 1e-6
BAND_LIMITED_SHARE = 0.2
BAND_LIMITS_HZ = (3_400.0, 7_000.0)
LEVELS_DBFS = (-50.0, -8.0)
START_STEP_SAMPLES = 400


class WindowSource:
    """Draws windows from recordings with equal probability. Equal generator states give equal windows.

    Args:
        recordings: 16 kHz mono.
        seed: of the noise.

    """

    def __init__(self, recordings: Sequence[Float32], seed: int) -> None:
        self._recordings = recordings
        size = FRONT_END.patch_samples
        self._starts = [
            active_starts(samples, size, step_samples=START_STEP_SAMPLES, range_db=ACTIVE_RANGE_DB, overhang_samples=size // 2)
            for samples in recordings
        ]
        self._backgrounds = Backgrounds(seed)

    def draw(self, rng: np.random.Generator, count: int) -> Float32:
        """Return float32 (count, 15600) in [-1, 1]."""
        return np.stack([self._window(rng) for _ in range(count)])

    def _window(self, rng: np.random.Generator) -> Float32:
        kind = rng.random()
        if kind < BACKGROUND_SHARE:
            mix = self._backgrounds.draw(rng, FRONT_END.patch_samples)
            level = float(rng.uniform(-90.0, -15.0))
            return recorded(mix, level, rng)
        mix = self._event(rng)
        if kind < BACKGROUND_SHARE + MIXTURE_SHARE:
            mix += self._event(rng) * gain_of_db(float(rng.uniform(-6.0, 6.0)))
        if rng.random() < ECHO_SHARE:
            mix = reverberant(mix, rng)
        mix = equalised(mix, rng, depth_db=6.0)
        mix /= np.float32(max(rms(mix), 1e-9))
        if rng.random() < NOISY_SHARE:
            noise = self._backgrounds.draw(rng, FRONT_END.patch_samples)
            mix += noise * gain_of_db(-float(rng.uniform(0.0, 40.0)))
        return recorded(mix / np.float32(max(rms(mix), 1e-9)), float(rng.uniform(*LEVELS_DBFS)), rng)

    def _event(self, rng: np.random.Generator) -> Float32:
        """Return one sound at RMS 1."""
        index = int(rng.random() * len(self._recordings))
        samples, starts = self._recordings[index], self._starts[index]
        for _ in range(10):
            factor = float(rng.uniform(*SPEEDS))
            start = int(rng.choice(starts))
            piece = cut(samples, start, math.ceil(FRONT_END.patch_samples * factor) + 1)
            window = speed_changed(piece, factor, FRONT_END.patch_samples)
            level = rms(window)
            # At another speed the window may miss the active part of the clip; an empty one is drawn again.
            if level > max(EMPTY_SHARE_OF_PIECE * rms(piece), SILENT_RMS):
                break
        if rng.random() < BAND_LIMITED_SHARE:
            window = band_limited(window, float(rng.uniform(*BAND_LIMITS_HZ)))
            level = rms(window)
        return window / np.float32(max(level, 1e-9))
