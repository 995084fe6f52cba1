"""Room tone: the spectrum of a recording's pauses, without its sounds or digital silence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.teaching.augment import gain_of_db, rms
from edge_detector.teaching.noise import PAUSE_SAMPLES, ROOM_TONE_SHARE, Backgrounds, room_tone, room_tones
from edge_detector.types import Float32
from tests.support.synthetic import RATE_HZ

BANDS_HZ = ((100.0, 400.0), (400.0, 1_600.0), (1_600.0, 6_400.0))
ROOM_DB = (0.0, -20.0, -45.0)
"""Level of the room in each band."""

SECOND = RATE_HZ
LOUD = np.random.default_rng(1).uniform(-0.5, 0.5, 2 * SECOND).astype(np.float32)


def coloured(samples: int, dbs: tuple[float, ...] = ROOM_DB, seed: int = 0) -> Float32:
    """Noise of RMS 1 with the given level in each band, and none outside of them."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    hz = np.fft.rfftfreq(samples, 1.0 / RATE_HZ)
    gain = sum(gain_of_db(db) * ((hz >= low) & (hz < high)) for (low, high), db in zip(BANDS_HZ, dbs, strict=True))
    noise = np.fft.irfft(spectrum * gain, samples).astype(np.float32)
    return noise / np.float32(rms(noise))


def decibels(magnitudes: Float32) -> list[float]:
    """Mean power of each band of a spectrum, in dB relative to the first."""
    hz = np.linspace(0.0, RATE_HZ / 2, len(magnitudes))
    # A margin at the edges, which a short window blurs.
    powers = [np.square(magnitudes[(hz >= 1.1 * low) & (hz < 0.9 * high)]).mean() for low, high in BANDS_HZ]
    return [float(10.0 * np.log10(power / powers[0])) for power in powers]


def with_pause(pause: Float32, seconds: float = 1.0) -> Float32:
    """The pause between two stretches of loud white noise."""
    loud = LOUD[: round(seconds * RATE_HZ)]
    return np.concatenate([loud, pause, loud])


@settings(max_examples=30)
@given(level_db=st.floats(-70.0, -35.0), seed=st.integers(0, 1_000), seconds=st.floats(0.7, 1.5))
def test_room_tone_has_the_spectrum_of_the_pause(level_db: float, seed: int, seconds: float) -> None:
    pause = gain_of_db(level_db) * coloured(SECOND, seed=seed)
    tone = room_tone(with_pause(pause, seconds))
    assert tone is not None
    assert decibels(tone) == pytest.approx(ROOM_DB, abs=4.0)


def test_background_of_a_room_has_the_spectrum_of_its_room_tone_within_the_random_filter() -> None:
    tones = room_tones([with_pause(gain_of_db(-50.0) * coloured(SECOND))])
    assert len(tones) == 1
    backgrounds = Backgrounds(0, tones)
    # The first random number of a background decides whether it is room tone.
    of_room = [seed for seed in range(120) if np.random.default_rng(seed).random() < ROOM_TONE_SHARE]
    drawn = [backgrounds.draw(np.random.default_rng(seed), 2 * SECOND) for seed in of_room]
    spectra = np.array([decibels(np.abs(np.fft.rfft(samples)).astype(np.float32)) for samples in drawn])
    assert spectra.mean(axis=0) == pytest.approx(ROOM_DB, abs=2.5)
    assert np.abs(spectra - ROOM_DB).max() < 11.0, "the random filter changes the bands by up to 5 dB each"


def test_backgrounds_have_rms_1_with_room_tones_too() -> None:
    rng = np.random.default_rng(0)
    backgrounds = Backgrounds(0, room_tones([with_pause(gain_of_db(-50.0) * coloured(SECOND))]))
    assert [rms(backgrounds.draw(rng, 4_096)) for _ in range(60)] == pytest.approx([1.0] * 60, rel=1e-3)


@settings(max_examples=60)
@given(first=st.integers(0, SECOND), length=st.integers(1, SECOND))
def test_a_sound_in_digital_silence_has_no_room_tone_at_any_place_and_length(first: int, length: int) -> None:
    samples = np.zeros(5 * SECOND // 2, np.float32)
    samples[first : first + length] = LOUD[:length]
    assert room_tone(samples) is None


@settings(max_examples=30)
@given(st.integers(0, PAUSE_SAMPLES // 2))
def test_room_tone_is_taken_from_a_pause_with_noise_rather_than_from_digital_silence(offset: int) -> None:
    room = gain_of_db(-50.0) * coloured(SECOND)
    silent = np.zeros(SECOND, np.float32)
    samples = np.concatenate([with_pause(room), silent, with_pause(room)])[offset:]
    tone = room_tone(samples)
    assert tone is not None
    assert decibels(tone) == pytest.approx(ROOM_DB, abs=4.0)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(5 * SECOND, np.float32),
        np.full(PAUSE_SAMPLES - 1, 0.1, np.float32),
        np.zeros(0, np.float32),
        coloured(5 * SECOND),
        with_pause(gain_of_db(-20.0) * coloured(SECOND)),
        with_pause(gain_of_db(-100.0) * coloured(SECOND)),
    ],
    ids=["silence", "too short", "empty", "without a pause", "pause too loud", "pause too quiet"],
)
def test_a_recording_without_a_usable_pause_has_no_room_tone(samples: Float32) -> None:
    assert room_tone(samples) is None
    assert room_tones([samples]) == ()
