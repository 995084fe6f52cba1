"""Augmentation: reverberation, the telephone band, levels and backgrounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.audio.augment import OVERDRIVEN_SHARE, TELEPHONE_HZ, in_room, of_telephone, recorded, reverberant
from edge_detector.teaching.augment import rms
from edge_detector.teaching.noise import Backgrounds
from edge_detector.types import Float32

RATE_HZ = 16_000


def click(length: int = RATE_HZ) -> Float32:
    samples = np.zeros(length, np.float32)
    samples[length // 4] = 1.0
    return samples


@given(st.integers(0, 2**32))
def test_reverberation_follows_its_sound_decays_and_keeps_the_level(seed: int) -> None:
    reverberated = reverberant(click(), np.random.default_rng(seed))
    at = RATE_HZ // 4
    assert np.abs(reverberated[:at]).max() < 1e-5
    assert int(np.abs(reverberated).argmax()) == at
    early, late = reverberated[at + 1 : at + 1_000], reverberated[-1_000:]
    assert rms(early) > 3.0 * rms(late)
    assert np.isclose(rms(reverberated), rms(click()), rtol=1e-4)


@settings(max_examples=30)
@given(decay=st.floats(0.1, 1.5), direct_db=st.floats(-5.0, 20.0), seed=st.integers(0, 2**32))
def test_reverberation_has_the_requested_level_and_decay_time(decay: float, direct_db: float, seed: int) -> None:
    reverberated = in_room(click(3 * RATE_HZ), decay, direct_db, np.random.default_rng(seed))
    at = 3 * RATE_HZ // 4
    echo = reverberated[at + 1 :]
    assert 20.0 * np.log10(reverberated[at] / np.linalg.norm(echo)) == pytest.approx(direct_db, abs=2.0)
    early, late = (rms(echo[int(share * decay * RATE_HZ) :][: RATE_HZ // 50]) for share in (0.0, 0.5))
    assert 20.0 * np.log10(early / late) == pytest.approx(30.0, abs=4.0)


def tone(hz: float, samples: int = RATE_HZ) -> Float32:
    return np.sin(2.0 * np.pi * hz * np.arange(samples) / RATE_HZ).astype(np.float32)


@given(hz=st.floats(20.0, 7_980.0), samples=st.integers(8_000, 40_000))
def test_a_telephone_keeps_300_to_3400_hz_and_nothing_else(hz: float, samples: int) -> None:
    low, high = TELEPHONE_HZ
    assert (low, high) == (300.0, 3_400.0)
    original, filtered = tone(hz, samples), of_telephone(tone(hz, samples))
    assert filtered.dtype == np.float32
    assert len(filtered) == samples
    # A truncated tone leaks about 50 Hz into neighbouring frequencies.
    if low + 50.0 < hz < high - 50.0:
        assert rms(filtered - original) < 0.1 * rms(original)
    elif not low - 50.0 < hz < high + 50.0:
        assert rms(filtered) < 0.1 * rms(original)


def test_most_recordings_have_the_requested_level_and_a_few_clip() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(2_000).astype(np.float32)
    noise /= np.float32(rms(noise))
    made = [recorded(noise, -30.0, rng) for _ in range(400)]
    assert all(np.abs(samples).max() <= 1.0 for samples in made)
    at_level = [abs(20.0 * np.log10(rms(samples - samples.mean())) + 30.0) < 0.1 for samples in made]
    assert 1.0 - 3.0 * OVERDRIVEN_SHARE < np.mean(at_level) < 1.0
    assert any(np.mean(np.abs(samples) == 1.0) > 0.1 for samples in made), "no recording clips"
    assert any(abs(float(samples.mean())) > 0.02 for samples in made), "no recording has a DC offset"


def test_backgrounds_contain_tones_hum_and_noise_at_the_same_level() -> None:
    backgrounds, rng = Backgrounds(0), np.random.default_rng(0)
    drawn = [backgrounds.draw(rng, 4_096) for _ in range(200)]
    assert all(np.isclose(rms(samples), 1.0, rtol=1e-3) for samples in drawn)
    # Share of the power in the strongest of 2,049 bins: nearly all for a tone, almost none for noise.
    peaks = [float((power := np.abs(np.fft.rfft(samples * np.hanning(4_096))) ** 2).max() / power.sum()) for samples in drawn]
    assert min(peaks) < 0.02
    assert max(peaks) > 0.5
