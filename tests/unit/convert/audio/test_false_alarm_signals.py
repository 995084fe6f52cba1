"""Signals without events match their names."""

import numpy as np
import pytest

from convert.audio.false_alarm_signals import QUIET_ROOM, QUIET_ROOM_LENGTH_FACTOR, signals
from edge_detector.teaching.augment import rms
from edge_detector.types import Float32

RATE_HZ = 16_000
MINUTES = 0.5


def made(name: str) -> Float32:
    return signals(MINUTES, seed=0)[name]()


def dbfs(samples: Float32) -> float:
    return float(20.0 * np.log10(rms(samples)))


@pytest.mark.parametrize("name", signals(MINUTES, seed=0))
def test_a_signal_has_the_requested_length_and_stays_within_full_scale(name: str) -> None:
    samples = made(name)
    assert samples.dtype == np.float32
    assert len(samples) == 60 * MINUTES * RATE_HZ * (QUIET_ROOM_LENGTH_FACTOR if name == QUIET_ROOM else 1)
    assert np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("name", [name for name in signals(MINUTES, seed=0) if "noise" in name])
def test_noise_has_the_level_in_its_name(name: str) -> None:
    assert dbfs(made(name)) == pytest.approx(float(name.split()[2]), abs=0.2)


@pytest.mark.parametrize("name", [name for name in signals(MINUTES, seed=0) if "tone" in name])
def test_a_tone_has_the_peak_level_and_frequency_in_its_name(name: str) -> None:
    samples = made(name)
    assert 20.0 * np.log10(np.abs(samples).max()) == pytest.approx(float(name.split()[3]), abs=0.01)
    assert np.argmax(np.abs(np.fft.rfft(samples[:RATE_HZ]))) == 1_000


def test_hum_has_the_mains_frequency_and_clips_only_if_named_clipped() -> None:
    hum, clipped = made("mains hum 50 Hz"), made("mains hum 50 Hz, clipped")
    assert np.argmax(np.abs(np.fft.rfft(hum[:RATE_HZ]))) == 50
    assert np.mean(np.abs(hum) >= 1.0) == 0.0
    assert np.mean(np.abs(clipped) >= 1.0) > 0.1


def test_pink_noise_falls_by_three_decibels_an_octave_and_white_noise_does_not() -> None:
    for name, fall in (("white noise -20 dBFS", 0.0), ("pink noise -20 dBFS", -9.0)):
        spectrum = np.abs(np.fft.rfft(made(name))) ** 2
        hz = np.fft.rfftfreq(round(60 * MINUTES * RATE_HZ), 1.0 / RATE_HZ)
        low, high = (spectrum[(hz > centre / 1.1) & (hz < centre * 1.1)].mean() for centre in (250.0, 2_000.0))
        assert 10.0 * np.log10(high / low) == pytest.approx(fall, abs=0.7)


def test_a_quiet_room_is_quiet_and_drifts() -> None:
    room = made(QUIET_ROOM)
    levels = [dbfs(room[first : first + 10 * RATE_HZ]) for first in range(0, len(room), 10 * RATE_HZ)]
    assert -72.0 < min(levels) < max(levels) < -50.0
    assert max(levels) - min(levels) > 1.0
    assert np.array_equal(room, made(QUIET_ROOM))
