"""Synthetic signals without events, as broken wiring and quiet nights give them; each detection in them is false.

Levels are RMS in dB relative to full scale; those of tones are peak levels.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from edge_detector.demo.synthesis import RATE_HZ, Gain, at_rms, band, noise, tilted, wander
from edge_detector.types import Float32

TONE_HZ = 1_000.0
TONES_DBFS = (-60, -50, -40, -30, -20, -10, 0)
NOISES_DBFS = (-60, -40, -20)
HUM_DBFS = -30.0
HUM_HARMONICS = 8
CLIPPED_GAIN_DB = 30.0
OFFSET = 0.1
ROOM_NOISE_DBFS, ROOM_DRIFT_DB = -62.0, 3.0
ROOM_HUM_DBFS = -72.0
TICK_DBFS = -45.0
TICKS_PER_MINUTE = 1.0
QUIET_ROOM = "quiet room, made"
QUIET_ROOM_LENGTH_FACTOR = 6
"""Length of the quiet room, as a multiple of that of the other signals."""


def signals(minutes: float, seed: int) -> dict[str, Callable[[], Float32]]:
    """Return by name the function that makes each signal: float32, 16 kHz mono."""
    count = round(60.0 * minutes * RATE_HZ)
    found: dict[str, Callable[[], Float32]] = {
        "silence": lambda: np.zeros(count, np.float32),
        f"DC {OFFSET:g}": lambda: np.full(count, OFFSET, np.float32),
    }
    for name, slope in (("white noise", 0.0), ("pink noise", -3.0)):
        for level in NOISES_DBFS:
            found[f"{name} {level} dBFS"] = partial(steady_noise, count, slope, float(level), seed)
    for mains_hz in (50.0, 60.0):
        found[f"mains hum {mains_hz:g} Hz"] = partial(hum, count, mains_hz, 0.0)
        found[f"mains hum {mains_hz:g} Hz, clipped"] = partial(hum, count, mains_hz, CLIPPED_GAIN_DB)
    for level in TONES_DBFS:
        found[f"{TONE_HZ:g} Hz tone {level} dBFS"] = partial(tone, count, float(level))
    found[QUIET_ROOM] = partial(quiet_room, QUIET_ROOM_LENGTH_FACTOR * count, seed)
    return found


def steady_noise(count: int, db_per_octave: float, level_dbfs: float, seed: int) -> Float32:
    """Return noise whose spectrum has a constant slope."""
    return long_noise(np.random.default_rng([seed, 76]), count, db_per_octave, level_dbfs)


def hum(count: int, mains_hz: float, gain_db: float) -> Float32:
    """Return mains hum with harmonics of falling level, at -30 dBFS plus `gain_db`, clipped at full scale."""
    phase = 2.0 * np.pi * mains_hz * np.arange(count) / RATE_HZ
    total = np.zeros(count)
    for harmonic in range(1, HUM_HARMONICS + 1):
        total += np.sin(harmonic * phase + harmonic) / harmonic
    return np.clip(at_rms(total, HUM_DBFS + gain_db), -1.0, 1.0).astype(np.float32)


def tone(count: int, peak_dbfs: float) -> Float32:
    """Return a steady tone."""
    phase = 2.0 * np.pi * TONE_HZ * np.arange(count) / RATE_HZ
    made: Float32 = (10.0 ** (peak_dbfs / 20.0) * np.sin(phase)).astype(np.float32)
    return made


def quiet_room(count: int, seed: int) -> Float32:
    """Return the sound of an empty room through a microphone of medium quality; real rooms have more sounds.

    It consists of noise at -62 dBFS, strongest at low frequencies, whose level drifts by about 3 dB over minutes; of a hum of
    50 Hz 10 dB below it; and of a faint tick about once a minute, as of wood or a radiator: a damped tone of some milliseconds
    at -45 dBFS.
    """
    rng = np.random.default_rng([seed, 77])
    drift = wander(rng, count, 1.0 / 60.0)
    room = long_noise(rng, count, -4.0, ROOM_NOISE_DBFS) * (10.0 ** (ROOM_DRIFT_DB * drift / 20.0)).astype(np.float32)
    room += hum(count, 50.0, ROOM_HUM_DBFS - HUM_DBFS)
    for _ in range(rng.poisson(TICKS_PER_MINUTE * count / RATE_HZ / 60.0)):
        tick = _tick(rng)
        first = int(rng.integers(0, max(count - len(tick), 1)))
        room[first : first + len(tick)] += tick[: count - first]
    return room


def long_noise(rng: np.random.Generator, count: int, db_per_octave: float, level_dbfs: float) -> Float32:
    """Return noise whose spectrum has a constant slope, made minute by minute: an FFT over an hour would take gigabytes."""
    gain: Gain = tilted(band(20.0, 8_000.0), db_per_octave)
    size = 60 * RATE_HZ
    parts = [noise(rng, size, gain).astype(np.float32) for _ in range(0, max(count, 1), size)]
    made: Float32 = np.concatenate(parts)[:count] * np.float32(10.0 ** (level_dbfs / 20.0))
    return made


def _tick(rng: np.random.Generator) -> Float32:
    time = np.arange(RATE_HZ // 50) / RATE_HZ
    pitch_hz, decay_seconds = rng.uniform(400.0, 3_000.0), rng.uniform(0.001, 0.004)
    tick = np.sin(2.0 * np.pi * pitch_hz * time) * np.exp(-time / decay_seconds)
    made: Float32 = (tick / np.abs(tick).max() * 10.0 ** (TICK_DBFS / 20.0)).astype(np.float32)
    return made
