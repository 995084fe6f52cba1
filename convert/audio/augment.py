"""Augmentation of waveforms that keeps their labels. All random numbers come from the generator that is passed in."""

import math

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import fast_length, gain_of_db, rms
from edge_detector.types import Float32

ECHO_DECAY_SECONDS = (0.1, 0.9)
"""Reverberation time (60 dB): from a furnished bedroom to a bare hall."""

DIRECT_TO_ECHO_DB = (-3.0, 15.0)
TELEPHONE_HZ = (300.0, 3_400.0)
OFFSET_SHARE = 0.05
LARGEST_OFFSET = 0.1
OVERDRIVEN_SHARE = 0.05
OVERDRIVEN_DBFS = (-8.0, 6.0)


def band_limited(samples: Float32, limit_hz: float) -> Float32:
    """Remove all frequencies above a limit."""
    padded = fast_length(len(samples))
    spectrum = np.fft.rfft(samples, padded)
    spectrum[math.ceil(limit_hz * padded / FRONT_END.sample_rate_hz) :] = 0.0
    return np.fft.irfft(spectrum, padded)[: len(samples)].astype(np.float32)


def of_telephone(samples: Float32) -> Float32:
    """Keep 300 to 3,400 Hz, the band of a telephone."""
    padded = fast_length(len(samples))
    spectrum = np.fft.rfft(samples, padded)
    low, high = (math.ceil(hz * padded / FRONT_END.sample_rate_hz) for hz in TELEPHONE_HZ)
    spectrum[:low], spectrum[high:] = 0.0, 0.0
    return np.fft.irfft(spectrum, padded)[: len(samples)].astype(np.float32)


def reverberant(samples: Float32, rng: np.random.Generator) -> Float32:
    """Add the reverberation of a random room, at equal RMS."""
    decay_seconds = float(rng.uniform(*ECHO_DECAY_SECONDS))
    return in_room(samples, decay_seconds, float(rng.uniform(*DIRECT_TO_ECHO_DB)), rng)


def in_room(samples: Float32, decay_seconds: float, direct_db: float, rng: np.random.Generator) -> Float32:
    """Add a reverberation of exponentially decaying noise (J.-D. Polack 1988), at equal RMS.

    Args:
        samples: float32 (n,) at 16 kHz.
        decay_seconds: reverberation time (60 dB).
        direct_db: level of the direct sound above the whole reverberation.
        rng: of the noise.

    """
    rate_hz = FRONT_END.sample_rate_hz
    length = min(round(decay_seconds * rate_hz), len(samples))
    echo = rng.standard_normal(length) * 10.0 ** (-3.0 * np.arange(length) / (decay_seconds * rate_hz))
    echo *= gain_of_db(-direct_db) / max(float(np.linalg.norm(echo)), 1e-9)
    echo[:1] = 1.0
    padded = next_fast_len(len(samples) + length, real=True)
    reverberated = irfft(rfft(samples, padded) * rfft(echo, padded), padded)[: len(samples)].astype(np.float32)
    return np.asarray(reverberated * np.float32(rms(samples) / max(rms(reverberated), 1e-9)), np.float32)


def recorded(samples: Float32, level_dbfs: float, rng: np.random.Generator) -> Float32:
    """Scale sound of RMS 1 to a level as a sound card delivers it: sometimes clipped, sometimes with a DC offset."""
    if rng.random() < OVERDRIVEN_SHARE:
        level_dbfs = float(rng.uniform(*OVERDRIVEN_DBFS))
    scaled = samples * gain_of_db(level_dbfs)
    if rng.random() < OFFSET_SHARE:
        scaled = scaled + np.float32(rng.uniform(-LARGEST_OFFSET, LARGEST_OFFSET))
    return np.asarray(np.clip(scaled, -1.0, 1.0), np.float32)
