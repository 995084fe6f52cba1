"""Augmentation of waveforms that keeps their labels: speed, spectrum and level.

All random numbers come from the generator that is passed in.
"""

import math

import numpy as np

from edge_detector.params import FRONT_END
from edge_detector.types import Float32

EQ_POINTS = 7
EQ_LOWEST_HZ = 60.0


def speed_changed(samples: Float32, factor: float, length_samples: int) -> Float32:
    """Return the first `length_samples` of `samples` played `factor` times as fast; short input is padded with silence."""
    positions = np.arange(length_samples) * factor
    changed = np.interp(positions, np.arange(len(samples)), samples, right=0.0)
    return np.asarray(changed, np.float32)


def equalised(samples: Float32, rng: np.random.Generator, depth_db: float) -> Float32:
    """Apply a random smooth filter of about ± depth_db, as rooms and microphones do."""
    padded = fast_length(len(samples))
    spectrum = np.fft.rfft(samples, padded)
    points_hz = np.geomspace(EQ_LOWEST_HZ, FRONT_END.sample_rate_hz / 2, EQ_POINTS)
    gains_db = rng.uniform(-depth_db, depth_db, EQ_POINTS)
    # The smooth filter is computed on a coarse grid and interpolated: a logarithm per bin costs more than the FFT.
    grid_hz = np.linspace(0.0, FRONT_END.sample_rate_hz / 2, 257)
    grid = 10.0 ** (np.interp(np.log(np.maximum(grid_hz, EQ_LOWEST_HZ)), np.log(points_hz), gains_db) / 20.0)
    gain = np.interp(np.linspace(0.0, 256.0, len(spectrum)), np.arange(257), grid).astype(np.float32)
    return np.fft.irfft(spectrum * gain, padded)[: len(samples)].astype(np.float32)


def fast_length(length: int) -> int:
    """Return the next length with small prime factors: a large one makes an FFT several times slower."""
    candidates = (small << max(0, math.ceil(math.log2(length / small))) for small in (1, 3, 5, 9, 15))
    return min(candidate for candidate in candidates if candidate >= length)


def rms(samples: Float32) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.dot(samples, samples) / max(len(samples), 1)))


def gain_of_db(decibels: float) -> np.float32:
    """Return the amplitude factor."""
    return np.float32(10.0 ** (decibels / 20.0))
