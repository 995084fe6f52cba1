"""Thresholds of taught classes: within the limits, unless most recordings would not be detected."""

from pathlib import Path

import numpy as np
import pytest

from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.detector import Networks
from edge_detector.detection.linear_classifier import FEATURES, LinearClassifier
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.calibration import FINEST
from edge_detector.teaching.learning import LearntClasses, LeftOut
from edge_detector.teaching.negatives import Negative
from edge_detector.teaching.thresholds import OTHER, WRONG, ChosenThreshold, choose_thresholds
from edge_detector.types import Float32

NEVER = LinearClassifier(np.zeros((1, FEATURES), np.float32), np.full(1, -10.0, np.float32))
"""A class that noise does not raise."""

SOME = Negative(np.zeros((10, 128), np.uint8))


@pytest.fixture(scope="module")
def networks() -> Networks:
    return networks_of(load_bundle(DEFAULT_BUNDLE))


def peaked(peak: float, frames: int) -> Float32:
    """Probabilities of one class: low, but for one second."""
    probabilities = np.full((frames, 1), 0.01, np.float32)
    probabilities[frames // 2 : frames // 2 + FINEST] = peak
    return probabilities


def left_out(peaks: list[float]) -> tuple[LeftOut, ...]:
    """Recordings of these peaks."""
    return tuple(
        LeftOut(
            LoadedClip(Clip(Path(f"{number}"), "beep", 0, f"{number}"), 0, np.zeros(80_000, np.float32)),
            np.zeros((20, 128), np.uint8),
            peaked(peak, 20),
        )
        for number, peak in enumerate(peaks)
    )


def chosen(
    networks: Networks, negative_peaks: list[float], recording_peaks: list[float], wrong_peaks: list[float] | None = None
) -> list[ChosenThreshold]:
    """Return the threshold at each hop."""
    negatives = tuple((SOME, peaked(peak, 10)) for peak in negative_peaks)
    learnt = LearntClasses(NEVER, 10, left_out(recording_peaks), negatives, left_out(wrong_peaks or []))
    found = choose_thresholds(networks, learnt, ("beep",), background=(), false_alarms_per_hour=0.1, seed=0)
    assert set(found.chosen["beep"]) == set(HOPS_PER_PATCH)
    return list(found.chosen["beep"].values())


def test_three_negatives_in_a_hundred_may_give_an_event(networks: Networks) -> None:
    for threshold in chosen(networks, [0.9] * 6 + [0.5] * 94 + [0.1] * 100, [0.97] * 10):
        assert 0.5 < threshold.rule.on < 0.9
        assert threshold.false_alarms[OTHER] == 6
        assert threshold.recall == 1.0


def test_a_seventh_negative_raises_the_threshold_above_them(networks: Networks) -> None:
    for threshold in chosen(networks, [0.9] * 7 + [0.1] * 193, [0.98] * 10):
        assert threshold.rule.on > 0.9
        assert threshold.false_alarms[OTHER] == 0


def test_a_threshold_is_not_above_the_negatives_if_most_recordings_are_below_them(networks: Networks) -> None:
    for threshold in chosen(networks, [0.9] * 7 + [0.1] * 193, [0.6] * 10):
        assert threshold.rule.on <= 0.6
        assert threshold.recall == 1.0


def test_two_recordings_in_ten_may_be_lost_and_a_third_may_not(networks: Networks) -> None:
    negatives = [0.8] * 7 + [0.1] * 193
    assert all(each.rule.on > 0.8 for each in chosen(networks, negatives, [0.98] * 8 + [0.6] * 2))
    assert all(each.rule.on <= 0.6 for each in chosen(networks, negatives, [0.98] * 7 + [0.6] * 3))


def test_recordings_that_cannot_be_told_from_negatives_do_not_lift_the_limits(networks: Networks) -> None:
    for threshold in chosen(networks, [0.9] * 40 + [0.1] * 160, [0.6] * 10):
        assert threshold.rule.on > 0.9
        assert threshold.recall == 0.0


def test_a_finer_hop_is_stricter_about_negatives(networks: Networks) -> None:
    coarse, *_, fine = chosen(networks, [0.7] * 7 + [0.1] * 193, [0.99] * 10)
    assert coarse.rule.on < fine.rule.on


QUIET = [0.1] * 200


def test_a_tenth_of_what_is_not_the_class_may_give_an_event(networks: Networks) -> None:
    for threshold in chosen(networks, QUIET, [0.97] * 10, [0.9] * 2 + [0.6] * 18):
        assert 0.6 < threshold.rule.on < 0.9
        assert threshold.false_alarms[WRONG] == 2


def test_a_threshold_is_above_more_of_what_is_not_the_class(networks: Networks) -> None:
    for threshold in chosen(networks, QUIET, [0.97] * 10, [0.9] * 3 + [0.6] * 17):
        assert threshold.rule.on > 0.9
        assert threshold.false_alarms[WRONG] == 0


def test_a_threshold_is_not_above_what_is_not_the_class_if_most_recordings_are_below(networks: Networks) -> None:
    for threshold in chosen(networks, QUIET, [0.7] * 10, [0.9] * 6):
        assert threshold.rule.on <= 0.7
        assert threshold.false_alarms[WRONG] == 6
        assert threshold.recall == 1.0


def test_without_such_recordings_the_kind_is_not_named(networks: Networks) -> None:
    assert all(WRONG not in threshold.false_alarms for threshold in chosen(networks, QUIET, [0.97] * 10))
