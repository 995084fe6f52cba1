"""Degraded copies of clips: from far away, in noise, in rooms and over a telephone."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from convert.audio.augment import in_room, of_telephone
from edge_detector.demo.synthesis import band, noise, tilted
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import gain_of_db, rms
from edge_detector.types import Float32

QUIET_DB = -30.0
NOISE_SNR_DB = 10.0
ROOMS: Mapping[str, tuple[float, float]] = {
    "bedroom": (0.3, 6.0),
    "living room": (0.5, 2.0),
    "kitchen": (0.7, -1.0),
    "staircase": (1.5, -4.0),
}
"""Reverberation time (60 dB) in seconds, and level of the direct sound above the reverberation in dB."""

SILENT_RMS = 1e-6


def conditions(seed: int) -> dict[str, Callable[[Float32], Float32]]:
    """Return by name the functions that degrade a clip: float32 (n,) at 16 kHz to the same length."""
    return {
        f"{QUIET_DB:g} dB": lambda samples: np.asarray(samples * gain_of_db(QUIET_DB), np.float32),
        f"pink noise at {NOISE_SNR_DB:g} dB": partial(_in_pink_noise, seed=seed),
        **{name: partial(_in_room, decay_seconds=decay, direct_db=direct, seed=seed) for name, (decay, direct) in ROOMS.items()},
        "300 to 3,400 Hz": of_telephone,
    }


def _in_pink_noise(samples: Float32, seed: int) -> Float32:
    """Add noise NOISE_SNR_DB below the RMS of the clip's samples that are not silent: clips are padded with silence."""
    random = np.random.default_rng(seed)
    pink = np.asarray(noise(random, len(samples), tilted(band(20.0, FRONT_END.sample_rate_hz / 2), -3.0)), np.float32)
    sounding = samples[np.abs(samples) > SILENT_RMS]
    level = rms(sounding) * gain_of_db(-NOISE_SNR_DB) / max(rms(pink), SILENT_RMS)
    return np.asarray(np.clip(samples + pink * np.float32(level), -1.0, 1.0), np.float32)


def _in_room(samples: Float32, decay_seconds: float, direct_db: float, seed: int) -> Float32:
    return np.clip(in_room(samples, decay_seconds, direct_db, np.random.default_rng(seed)), -1.0, 1.0)
