"""Components of synthesised sound: filtered noise, voices, envelopes, rooms. Signals are float64 at 16 kHz."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_detector.params import FRONT_END

Signal: TypeAlias = NDArray[np.float64]
Gain: TypeAlias = Callable[[Signal], Signal]
"""Linear gain at each of the given frequencies in Hz."""

RATE_HZ = FRONT_END.sample_rate_hz
HIGHEST_PARTIAL_HZ = 7_600.0
LOWEST_TILTED_HZ = 50.0
TILT_PIVOT_HZ = 500.0
DB_PER_OCTAVE_OF_SLOPE_1 = 20.0 * np.log10(2.0)


@dataclass(frozen=True, slots=True)
class Formant:
    """A resonance of a throat, a pipe or a case: centre and width in Hz, linear gain at the centre."""

    centre_hz: float
    bandwidth_hz: float
    gain: float = 1.0


def samples(seconds: float) -> int:
    """Convert seconds to samples."""
    return round(seconds * RATE_HZ)


def band(low_hz: float, high_hz: float) -> Gain:
    """Return the gain of a first-order high-pass and low-pass in series, 6 dB per octave on either side."""

    def gain(hz: Signal) -> Signal:
        attenuation: Signal = np.sqrt((1.0 + (low_hz / np.maximum(hz, 1.0)) ** 2) * (1.0 + (hz / high_hz) ** 2))
        return 1.0 / attenuation

    return gain


def tilted(gain: Gain, db_per_octave: float) -> Gain:
    """Return the gain with a constant slope per octave, 0 dB at 500 Hz, flat below 50 Hz."""
    exponent = db_per_octave / DB_PER_OCTAVE_OF_SLOPE_1

    def sloped(hz: Signal) -> Signal:
        slope: Signal = (np.maximum(hz, LOWEST_TILTED_HZ) / TILT_PIVOT_HZ) ** exponent
        return gain(hz) * slope

    return sloped


def resonances(formants: Sequence[Formant], db_per_octave: float) -> Gain:
    """Return the gain of parallel resonators, with the slope of their source's spectrum."""

    def gain(hz: Signal) -> Signal:
        total = np.zeros_like(hz)
        for formant in formants:
            total += formant.gain / np.sqrt(1.0 + ((hz - formant.centre_hz) / (formant.bandwidth_hz / 2.0)) ** 2)
        return total

    return tilted(gain, db_per_octave)


def filtered(signal: Signal, gain: Gain) -> Signal:
    """Filter a signal with zero phase."""
    hz: Signal = np.fft.rfftfreq(len(signal), 1.0 / RATE_HZ).astype(np.float64)
    return np.fft.irfft(np.fft.rfft(signal) * gain(hz), len(signal))


def noise(random: np.random.Generator, count: int, gain: Gain) -> Signal:
    """Generate Gaussian noise of the given spectrum, RMS 1."""
    return at_rms(filtered(random.standard_normal(count), gain))


def wander(random: np.random.Generator, count: int, rate_hz: float) -> Signal:
    """Generate a smooth random curve with mean 0, variance about 1 and `rate_hz` knots per second."""
    knots = random.standard_normal(int(count / RATE_HZ * rate_hz) + 4)
    position = np.linspace(0.0, len(knots) - 1.001, count)
    before = position.astype(int)
    part = position - before
    part = part * part * (3.0 - 2.0 * part)
    line: Signal = knots[before] * (1.0 - part) + knots[before + 1] * part
    return line


def curve(count: int, points: Sequence[tuple[float, float]], smooth_seconds: float = 0.01) -> Signal:
    """Interpolate points (share of the length in [0, 1], value) linearly, with smoothed corners."""
    places, values = zip(*points, strict=True)
    line = np.interp(np.linspace(0.0, 1.0, count), places, values)
    half = samples(smooth_seconds) // 2
    weights = np.hanning(2 * half + 3)[1:-1]
    return np.convolve(np.pad(line, half, mode="edge"), weights / weights.sum(), "valid")


def voice(random: np.random.Generator, pitch_hz: Signal, gain: Gain) -> Signal:
    """Generate all partials of a varying pitch, each with `gain` at its current frequency."""
    table_hz = np.linspace(0.0, RATE_HZ / 2.0, 4_001)
    table = np.where(table_hz < HIGHEST_PARTIAL_HZ, gain(table_hz), 0.0)
    phase = 2.0 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    total = np.zeros(len(pitch_hz))
    for number in range(1, int(HIGHEST_PARTIAL_HZ / pitch_hz.min()) + 1):
        strength = np.interp(number * pitch_hz, table_hz, table, right=0.0)
        total += strength * np.sin(number * phase + random.uniform(0.0, 2.0 * np.pi))
    return total


def add(signal: Signal, first_sample: int, part: Signal) -> None:
    """Add `part` to `signal` in place, cut at the end."""
    target = signal[first_sample : first_sample + len(part)]
    target += part[: len(target)]


def in_room(random: np.random.Generator, signal: Signal, decay_seconds: float, gain: float) -> Signal:
    """Add an exponentially decaying diffuse echo, -60 dB after `decay_seconds`; the length stays the same."""
    count = samples(decay_seconds)
    echo = random.standard_normal(count) * 10.0 ** (-3.0 * np.arange(count) / count)
    echo *= gain / np.sqrt(np.sum(echo**2))
    echo[0] += 1.0
    padded = len(signal) + count
    return np.fft.irfft(np.fft.rfft(signal, padded) * np.fft.rfft(echo, padded), padded)[: len(signal)]


def at_rms(signal: Signal, level_dbfs: float = 0.0) -> Signal:
    """Scale the signal to an RMS level in dB relative to 1."""
    scaled: Signal = signal * (10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(signal**2)))
    return scaled


def at_peak(signal: Signal) -> Signal:
    """Scale the signal to a peak magnitude of 1."""
    scaled: Signal = signal / np.abs(signal).max()
    return scaled
