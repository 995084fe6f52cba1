"""Sound that nobody recorded: noises that beat, swell, drip, crackle and run like engines, drawn at random.

They lie between rain, fire, surf and rotors, where recordings are few. Nobody can say which of them is which; a teacher can.
"""

import numpy as np

from convert.data.augment import equalised, rms
from edge_detector.core.synthesis import RATE_HZ, Signal, band, noise, tilted, wander
from edge_detector.types import Float32

SLOPES_DB = (-9.0, 3.0)
LOW_HZ, HIGH_HZ = (20.0, 2_000.0), (300.0, 8_000.0)
BEATS_HZ = (3.0, 60.0)
SWELLS_HZ = (0.3, 8.0)
DROPS_PER_SECOND = (1.0, 4_000.0)
TICKS_HZ = (0.8, 25.0)
DECAYS_SECONDS = (0.0005, 0.06)
ENGINES_HZ = (15.0, 300.0)
EQUALISED_DB = 10.0


def texture(rng: np.random.Generator, length_samples: int) -> Float32:
    """One or two layers of one kind each, RMS 1."""
    total = np.zeros(length_samples)
    for _ in range(rng.integers(1, 3)):
        layer = _KINDS[int(rng.integers(len(_KINDS)))](rng, length_samples)
        total += rng.uniform(0.2, 1.0) * layer / max(float(layer.std()), 1e-9)
    coloured = equalised(total.astype(np.float32), rng, EQUALISED_DB)
    return coloured / np.float32(max(rms(coloured), 1e-9))


def _logarithmic(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _hiss(rng: np.random.Generator, count: int) -> Signal:
    low_hz, high_hz = _logarithmic(rng, LOW_HZ), _logarithmic(rng, HIGH_HZ)
    return noise(rng, count, tilted(band(min(low_hz, high_hz), max(low_hz, high_hz)), float(rng.uniform(*SLOPES_DB))))


def _phase(rng: np.random.Generator, count: int, hz: float, unsteadiness: float) -> Signal:
    """Cycles since the start, of a rate that wanders."""
    rate_hz = hz * np.maximum(1.0 + unsteadiness * wander(rng, count, 4.0), 0.1)
    phase: Signal = float(rng.uniform()) + np.cumsum(rate_hz) / RATE_HZ
    return phase


def _beating(rng: np.random.Generator, count: int) -> Signal:
    """Noise in pulses, as of rotors, trains and pumps, over the hum of the pulses themselves."""
    phase = _phase(rng, count, _logarithmic(rng, BEATS_HZ), float(rng.uniform(0.0, 0.05)))
    sharpness, depth = _logarithmic(rng, (1.0, 20.0)), float(rng.uniform(0.3, 1.0))
    pulse = np.exp(sharpness * (np.cos(2.0 * np.pi * phase) - 1.0))
    beating: Signal = _hiss(rng, count) * (1.0 - depth + depth * pulse) + float(rng.uniform(0.0, 1.0)) * (pulse - pulse.mean())
    return beating


def _swelling(rng: np.random.Generator, count: int) -> Signal:
    """Noise that comes and goes, as of surf and wind."""
    loudness_db = float(rng.uniform(2.0, 10.0)) * wander(rng, count, _logarithmic(rng, SWELLS_HZ))
    return _hiss(rng, count) * 10.0 ** (loudness_db / 20.0)


def _struck(rng: np.random.Generator, count: int, at: Signal) -> Signal:
    """What rings for a moment at each place: a drop, a crack, a tick, each of another loudness."""
    hits = np.zeros(count)
    loudness = np.exp(float(rng.uniform(0.1, 1.2)) * rng.standard_normal(len(at))) * rng.choice((-1.0, 1.0), len(at))
    np.add.at(hits, at.astype(np.int64), loudness)
    length = min(count, round(0.3 * RATE_HZ))
    ring = np.exp(-np.arange(length) / (_logarithmic(rng, DECAYS_SECONDS) * RATE_HZ)) * _hiss(rng, length)
    padded = 2 * count
    return np.fft.irfft(np.fft.rfft(hits, padded) * np.fft.rfft(ring, padded), padded)[:count]


def _dripping(rng: np.random.Generator, count: int) -> Signal:
    drops = max(int(rng.poisson(_logarithmic(rng, DROPS_PER_SECOND) * count / RATE_HZ)), 1)
    return _struck(rng, count, rng.uniform(0, count, drops))


def _ticking(rng: np.random.Generator, count: int) -> Signal:
    every = RATE_HZ / _logarithmic(rng, TICKS_HZ)
    at = np.arange(float(rng.uniform(0.0, min(every, count))), count, every)
    return _struck(rng, count, np.clip(at + 0.01 * every * rng.standard_normal(len(at)), 0, count - 1))


def _running(rng: np.random.Generator, count: int) -> Signal:
    """A motor: many harmonics of an unsteady tone, some noise."""
    base_hz = _logarithmic(rng, ENGINES_HZ)
    phase = _phase(rng, count, base_hz, float(rng.uniform(0.0, 0.1)))
    harmonics = np.arange(1, 1 + min(int(rng.integers(2, 24)), int(RATE_HZ / 2.5 / base_hz)))
    sizes = rng.uniform(0.2, 1.0, len(harmonics)) * harmonics ** -float(rng.uniform(0.0, 1.5))
    total = np.zeros(count)
    for harmonic, size in zip(harmonics, sizes, strict=True):
        total += size * np.sin(2.0 * np.pi * (harmonic * phase + float(rng.uniform())))
    return total / max(float(total.std()), 1e-9) + float(rng.uniform(0.0, 0.7)) * _hiss(rng, count)


_KINDS = (_hiss, _beating, _swelling, _dripping, _ticking, _running)
