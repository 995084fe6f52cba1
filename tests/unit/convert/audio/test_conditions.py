"""Clips at low level, in noise, in rooms and in the telephone band, and the share of them found."""

from pathlib import Path

import numpy as np
import pytest

from convert.evaluation.benchmark import BenchmarkDetector, found_in_conditions
from convert.evaluation.conditions import NOISE_SNR_DB, QUIET_DB, ROOMS, conditions
from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.detection.hysteresis import Rule
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import rms
from edge_detector.types import Float32
from tests.support.synthetic import RATE_HZ, sound

HISS = sound("hiss", 0, 3.0)
"""2.1 s of noise, then silence."""

MADE = conditions(seed=1)


def decibels(samples: Float32) -> float:
    return float(20.0 * np.log10(rms(samples)))


def test_the_conditions_are_named() -> None:
    assert list(MADE) == ["-30 dB", "pink noise at 10 dB", *ROOMS, "300 to 3,400 Hz"]


@pytest.mark.parametrize("name", MADE)
def test_a_condition_keeps_length_and_range_and_repeats_with_its_seed(name: str) -> None:
    loud = np.asarray(3.0 * HISS, np.float32)
    changed = MADE[name](loud)
    assert len(changed) == len(loud)
    assert changed.dtype == np.float32
    assert np.array_equal(changed, conditions(1)[name](loud))
    assert not np.array_equal(changed, loud)
    assert np.isfinite(MADE[name](np.zeros(RATE_HZ, np.float32))).all()
    if name != "300 to 3,400 Hz":
        assert np.abs(changed).max() <= 1.0


def test_the_quiet_condition_is_30_db_lower() -> None:
    assert decibels(MADE["-30 dB"](HISS)) == pytest.approx(decibels(HISS) + QUIET_DB, abs=1e-3)


def test_noise_is_10_db_below_the_active_part_regardless_of_trailing_silence() -> None:
    short, padded = HISS[: 2 * RATE_HZ], np.concatenate([HISS, np.zeros(9 * RATE_HZ, np.float32)])
    for clip in (short, padded):
        noise = MADE["pink noise at 10 dB"](clip) - clip
        assert decibels(noise) == pytest.approx(decibels(short) - NOISE_SNR_DB, abs=0.3)


def test_reverberation_is_louder_in_barer_rooms() -> None:
    after = slice(round(2.15 * RATE_HZ), round(2.4 * RATE_HZ))
    reverberation = [rms(MADE[name](HISS)[after]) for name in ("bedroom", "living room", "kitchen", "staircase")]
    assert reverberation[0] > 0.0
    assert reverberation == sorted(reverberation)


def test_found_is_counted_in_each_condition() -> None:
    def probabilities(samples: Float32) -> Float32:
        return np.full((4, 1), min(rms(samples) * 20.0, 1.0), np.float32)

    clip = LoadedClip(Clip(Path("hiss/1-1-A.wav"), "hiss", 1, "1-1"), 0, HISS)
    detector = BenchmarkDetector("by level", ("hiss",), probabilities, FRONT_END.patch_step_samples, (Rule(0.5, 0.3),))
    found = found_in_conditions(detector, [clip, clip], MADE)
    assert {name: each.counts for name, each in found.items()} == {
        name: {"hiss": (0 if name == "-30 dB" else 2, 2)} for name in MADE
    }
