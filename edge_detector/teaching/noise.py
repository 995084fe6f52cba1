"""Sound of no class: noise of several colours, room tone, hum and tones."""

from collections.abc import Iterable, Sequence

import numpy as np

from edge_detector.audio.activity import window_energy
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import equalised, fast_length, gain_of_db, rms
from edge_detector.types import Float32

POOL_SECONDS = 30
EXPONENTS = (0.0, 0.5, 1.0, 1.5)
MAINS_HZ = (50.0, 60.0)
MAINS_SHARE = 0.5
TONE_SHARE = 0.25
TONES_HZ = (60.0, 7_000.0)
CLIPPED_SHARE = 0.25
CLIPPED_GAIN_DB = (6.0, 30.0)

PAUSE_SAMPLES = FRONT_END.sample_rate_hz * 2 // 5
PAUSE_PARTS = 8
PAUSE_BELOW_LOUDEST_DB = 20.0
PAUSE_LOWEST_RMS = 10.0 ** (-85.0 / 20.0)
"""A pause with a part below this is digital silence, or the codec's residue of it, not room tone."""

ROOM_TONE_SHARE = 0.4
ROOM_DBFS = (-80.0, -35.0)
"""Levels of noise in rooms. Louder noise may be rain, a helicopter or the sea."""

REDRAWN_SECONDS = 10


def room_tone(samples: Float32) -> Float32 | None:
    """Return the magnitude spectrum (n,) of a recording's quietest 0.4 s, the noise of room and microphone.

    None if no pause is 20 dB below the loudest 0.4 s, or if the pause has digital silence.
    """
    starts = np.arange(0, len(samples) - PAUSE_SAMPLES + 1, PAUSE_SAMPLES // 2, dtype=np.int64)
    if not len(starts):
        return None
    energy = window_energy(samples, PAUSE_SAMPLES, starts)
    size = PAUSE_SAMPLES // PAUSE_PARTS
    parts = [window_energy(samples, size, starts + part * size) for part in range(PAUSE_PARTS)]
    # The rest of a partly silent pause would be the end of a sound.
    candidates = np.flatnonzero(np.min(parts, axis=0) >= PAUSE_LOWEST_RMS**2)
    if not len(candidates):
        return None
    quietest = int(candidates[energy[candidates].argmin()])
    if energy[quietest] > energy.max() * 10.0 ** (-PAUSE_BELOW_LOUDEST_DB / 10.0):
        return None
    pause = samples[int(starts[quietest]) :][:PAUSE_SAMPLES]
    return np.abs(np.fft.rfft(pause * np.hanning(PAUSE_SAMPLES))).astype(np.float32)


def room_tones(recordings: Iterable[Float32]) -> tuple[Float32, ...]:
    """Return the room tones of all recordings that have one."""
    return tuple(tone for tone in map(room_tone, recordings) if tone is not None)


class Backgrounds:
    """Draws backgrounds of any length at RMS 1. Noise is cut from pools that are computed once.

    Args:
        seed: of the pools.
        tones: magnitude spectra of rooms, for noise of the same spectrum.

    """

    def __init__(self, seed: int, tones: Sequence[Float32] = ()) -> None:
        rng = np.random.default_rng(seed)
        self._pools = [_coloured_noise(rng, exponent) for exponent in EXPONENTS]
        self._tones = tuple(tones)

    def draw(self, rng: np.random.Generator, length_samples: int) -> Float32:
        """Return one or two layers, randomly filtered, at RMS 1."""
        if self._tones and rng.random() < ROOM_TONE_SHARE:
            noise = _in_room(self._tones[int(rng.integers(len(self._tones)))], rng, length_samples)
            return _normalised(equalised(noise, rng, depth_db=5.0))
        total = np.zeros(length_samples, np.float32)
        for _ in range(rng.integers(1, 3)):
            kind = int(rng.integers(0, len(self._pools) + 1))
            layer = _steady(rng, length_samples) if kind == len(self._pools) else self._cut(rng, kind, length_samples)
            total += layer * np.float32(rng.uniform(0.2, 1.0))
        return _normalised(equalised(total, rng, depth_db=10.0))

    def _cut(self, rng: np.random.Generator, kind: int, length_samples: int) -> Float32:
        pool = self._pools[kind]
        start = int(rng.integers(0, len(pool)))
        return np.asarray(np.take(pool, np.arange(start, start + length_samples), mode="wrap"), np.float32)


def _in_room(tone: Float32, rng: np.random.Generator, length_samples: int) -> Float32:
    """Return noise with the spectrum of a room."""
    padded = fast_length(length_samples)
    bins = padded // 2 + 1
    magnitude = np.interp(np.linspace(0.0, len(tone) - 1.0, bins), np.arange(len(tone)), tone)
    spectrum = magnitude * (rng.standard_normal(bins) + 1j * rng.standard_normal(bins))
    return np.fft.irfft(spectrum, padded)[:length_samples].astype(np.float32)


def _normalised(samples: Float32) -> Float32:
    return np.asarray(samples / np.float32(max(rms(samples), 1e-9)), np.float32)


def _coloured_noise(rng: np.random.Generator, exponent: float) -> Float32:
    """Return noise with an amplitude of 1 / f^exponent: 0 white, 0.5 pink, 1 brown, 1.5 the rumble of a building."""
    length = POOL_SECONDS * FRONT_END.sample_rate_hz
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1.0 / FRONT_END.sample_rate_hz)
    spectrum *= np.maximum(frequency, 20.0) ** -exponent
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / noise.std(), np.float32)


def _steady(rng: np.random.Generator, length_samples: int) -> Float32:
    """Return a tone or a hum, sometimes clipped until it buzzes."""
    if rng.random() < TONE_SHARE:
        frequency_hz = float(np.exp(rng.uniform(*np.log(TONES_HZ))))
        phase = 2.0 * np.pi * frequency_hz / FRONT_END.sample_rate_hz
        steady = (np.sqrt(2.0) * np.sin(phase * np.arange(length_samples))).astype(np.float32)
    else:
        steady = _hum(rng, length_samples)
    if rng.random() < CLIPPED_SHARE:
        steady = np.clip(steady * gain_of_db(float(rng.uniform(*CLIPPED_GAIN_DB))), -1.0, 1.0)
        steady /= np.float32(max(rms(steady), 1e-9))
    return np.asarray(steady, np.float32)


def _hum(rng: np.random.Generator, length_samples: int) -> Float32:
    """Return the hum of mains or of a small motor: a few harmonics of a steady tone."""
    base_hz = float(rng.choice(MAINS_HZ)) if rng.random() < MAINS_SHARE else float(rng.uniform(40.0, 400.0))
    phase = 2.0 * np.pi * base_hz * np.arange(length_samples) / FRONT_END.sample_rate_hz
    harmonics = int(rng.integers(1, 9))
    total = np.zeros(length_samples)
    for harmonic in range(1, harmonics + 1):
        total += rng.uniform(0.0, 1.0) / harmonic * np.sin(harmonic * phase + rng.uniform(0.0, 2.0 * np.pi))
    return (total / max(float(total.std()), 1e-9)).astype(np.float32)


def room_noise(rng: np.random.Generator, backgrounds: Backgrounds, minutes: float) -> Float32:
    """Return coloured noise, room tones and hum at the levels of rooms, drawn again every ten seconds; empty for 0 minutes."""
    size = REDRAWN_SECONDS * FRONT_END.sample_rate_hz
    count = round(60.0 * minutes / REDRAWN_SECONDS)
    parts = [backgrounds.draw(rng, size) * gain_of_db(float(rng.uniform(*ROOM_DBFS))) for _ in range(count)]
    return np.asarray(np.clip(np.concatenate([np.zeros(0, np.float32), *parts]), -1.0, 1.0), np.float32)
