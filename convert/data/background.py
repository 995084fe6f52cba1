"""Sound that belongs to no class: noises of several colours, hum, tones, and silence."""

import numpy as np

from convert.data.augment import equalised, gain_of_db, rms
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

POOL_SECONDS = 30
EXPONENTS = (0.0, 0.5, 1.0)
MAINS_HZ = (50.0, 60.0)
MAINS_SHARE = 0.5
TONE_SHARE = 0.25
TONES_HZ = (60.0, 7_000.0)
DRIVEN_SHARE = 0.25
DRIVE_DB = (6.0, 30.0)


class Backgrounds:
    """Draws backgrounds of any length at RMS 1. The noises are cut from pools made once, from one seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._pools = [_coloured_noise(rng, exponent) for exponent in EXPONENTS]

    def draw(self, rng: np.random.Generator, length_samples: int) -> Float32:
        """One to two layers, filtered at random, RMS 1."""
        total = np.zeros(length_samples, np.float32)
        for _ in range(rng.integers(1, 3)):
            kind = int(rng.integers(0, len(self._pools) + 1))
            layer = _steady(rng, length_samples) if kind == len(self._pools) else self._cut(rng, kind, length_samples)
            total += layer * np.float32(rng.uniform(0.2, 1.0))
        total = equalised(total, rng, depth_db=10.0)
        return total / np.float32(max(rms(total), 1e-9))

    def _cut(self, rng: np.random.Generator, kind: int, length_samples: int) -> Float32:
        pool = self._pools[kind]
        start = int(rng.integers(0, len(pool)))
        return np.asarray(np.take(pool, np.arange(start, start + length_samples), mode="wrap"), np.float32)


def _coloured_noise(rng: np.random.Generator, exponent: float) -> Float32:
    """Noise whose amplitude falls as 1 / f^exponent: 0 white, 0.5 pink, 1 brown."""
    length = POOL_SECONDS * FRONT_END.sample_rate_hz
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1.0 / FRONT_END.sample_rate_hz)
    spectrum *= np.maximum(frequency, 20.0) ** -exponent
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / noise.std(), np.float32)


def _steady(rng: np.random.Generator, length_samples: int) -> Float32:
    """A tone or a hum, now and then driven so far into an amplifier's limits that it buzzes."""
    if rng.random() < TONE_SHARE:
        frequency_hz = float(np.exp(rng.uniform(*np.log(TONES_HZ))))
        phase = 2.0 * np.pi * frequency_hz / FRONT_END.sample_rate_hz
        steady = (np.sqrt(2.0) * np.sin(phase * np.arange(length_samples))).astype(np.float32)
    else:
        steady = _hum(rng, length_samples)
    if rng.random() < DRIVEN_SHARE:
        steady = np.clip(steady * gain_of_db(float(rng.uniform(*DRIVE_DB))), -1.0, 1.0)
        steady /= np.float32(max(rms(steady), 1e-9))
    return np.asarray(steady, np.float32)


def _hum(rng: np.random.Generator, length_samples: int) -> Float32:
    """Mains or a small motor: a few harmonics of a steady tone."""
    base_hz = float(rng.choice(MAINS_HZ)) if rng.random() < MAINS_SHARE else float(rng.uniform(40.0, 400.0))
    phase = 2.0 * np.pi * base_hz * np.arange(length_samples) / FRONT_END.sample_rate_hz
    harmonics = int(rng.integers(1, 9))
    total = np.zeros(length_samples)
    for harmonic in range(1, harmonics + 1):
        total += rng.uniform(0.0, 1.0) / harmonic * np.sin(harmonic * phase + rng.uniform(0.0, 2.0 * np.pi))
    return (total / max(float(total.std()), 1e-9)).astype(np.float32)
