"""Clips as they sound from far away, in noise, in rooms and over a telephone, and how many of them are found so."""

from pathlib import Path

import numpy as np
import pytest

from convert.audio.augment import rms
from convert.audio.clips import Clip, LoadedClip
from convert.evaluation.benchmark import BenchmarkDetector, found_in_conditions
from convert.evaluation.conditions import NOISE_SNR_DB, QUIET_DB, ROOMS, conditions
from edge_detector.detection.hysteresis import Rule
from edge_detector.params import FRONT_END
from edge_detector.types import Float32
from tests.support.synthetic import RATE_HZ, sound

HISS = sound("hiss", 0, 3.0)
"""It sounds for 2.1 s, and is silent for the rest."""

MADE = conditions(seed=1)


def decibels(samples: Float32) -> float:
    return float(20.0 * np.log10(rms(samples)))


def test_the_conditions_are_named() -> None:
    assert list(MADE) == ["-30 dB", "pink noise at 10 dB", *ROOMS, "300 to 3,400 Hz"]


@pytest.mark.parametrize("name", MADE)
def test_a_degraded_clip_keeps_its_length_and_range_and_is_equal_for_a_seed(name: str) -> None:
    loud = np.asarray(3.0 * HISS, np.float32)
    heard = MADE[name](loud)
    assert len(heard) == len(loud)
    assert heard.dtype == np.float32
    assert np.array_equal(heard, conditions(1)[name](loud))
    assert not np.array_equal(heard, loud)
    assert np.isfinite(MADE[name](np.zeros(RATE_HZ, np.float32))).all()
    if name != "300 to 3,400 Hz":
        assert np.abs(heard).max() <= 1.0


def test_far_away_is_30_db_lower() -> None:
    assert decibels(MADE["-30 dB"](HISS)) == pytest.approx(decibels(HISS) + QUIET_DB, abs=1e-3)


def test_noise_is_10_db_below_the_active_part_of_a_clip() -> None:
    short, padded = HISS[: 2 * RATE_HZ], np.concatenate([HISS, np.zeros(9 * RATE_HZ, np.float32)])
    for clip in (short, padded):
        noise = MADE["pink noise at 10 dB"](clip) - clip
        assert decibels(noise) == pytest.approx(decibels(short) - NOISE_SNR_DB, abs=0.3)


def test_barer_rooms_reverberate_longer() -> None:
    after = slice(round(2.15 * RATE_HZ), round(2.4 * RATE_HZ))
    ringing = [rms(MADE[name](HISS)[after]) for name in ("bedroom", "living room", "kitchen", "staircase")]
    assert ringing[0] > 0.0
    assert ringing == sorted(ringing)


def test_found_is_counted_in_each_condition() -> None:
    def probabilities(samples: Float32) -> Float32:
        return np.full((4, 1), min(rms(samples) * 20.0, 1.0), np.float32)

    clip = LoadedClip(Clip(Path("hiss/1-1-A.wav"), "hiss", 1, "1-1"), 0, HISS)
    detector = BenchmarkDetector("by level", ("hiss",), probabilities, FRONT_END.patch_step_samples, (Rule(0.5, 0.3),))
    found = found_in_conditions(detector, [clip, clip], MADE)
    assert {name: each.counts for name, each in found.items()} == {
        name: {"hiss": (0 if name == "-30 dB" else 2, 2)} for name in MADE
    }
