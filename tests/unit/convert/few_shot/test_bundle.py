"""Thresholds of taught classes: quiet where they must be, but never at the cost of not being heard."""

import numpy as np
import pytest

from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.evaluation.calibration import FINEST, Limits, Stream
from convert.few_shot.bundle import ExtendedBundle, calibrated, rules_of
from convert.records.classes import ClassName
from edge_detector.detection.bundle import load_bundle
from edge_detector.params import HOPS_PER_PATCH

BASE = load_bundle(DEFAULT_BUNDLE)
ALONE = ExtendedBundle.beside(BASE, [ClassName("beep", "Beep")], only=True)
LIMITS = Limits(per_hour=0.1, margin=0.5)


def stream(peak: float, *, true: bool, seconds: float = 600.0) -> Stream:
    """A class that is quiet, but for four windows."""
    windows = round(seconds * FINEST / 0.96)
    probabilities = np.full((windows, 1), 0.01, np.float32)
    probabilities[windows // 2 : windows // 2 + FINEST] = peak
    return Stream(probabilities, frozenset({0} if true else ()), seconds)


def chosen(noise_peak: float, recording_peaks: list[float]) -> list[tuple[float, int]]:
    """Threshold and false alarms at each hop."""
    held_out = [stream(peak, true=True, seconds=5.0) for peak in recording_peaks]
    found = calibrated(ALONE, {"noise": [stream(noise_peak, true=False)]}, held_out, LIMITS)
    return [(hop["rule"]["on"], hop["false_alarms"]) for hop in found["classes"]["beep"].values()]


def test_a_threshold_is_above_what_noise_reaches_where_the_recordings_are() -> None:
    for on, alarms in chosen(0.6, [0.95] * 10):
        assert 0.6 < on < 0.95
        assert alarms == 0


def test_it_is_no_higher_where_most_recordings_would_not_be_heard() -> None:
    for on, alarms in chosen(0.9, [0.5] * 10):
        assert on <= 0.5
        assert alarms == 1


def test_one_recording_in_ten_may_be_given_up_for_quiet() -> None:
    assert all(on > 0.6 and alarms == 0 for on, alarms in chosen(0.6, [0.95] * 9 + [0.5]))


def test_rules_are_those_that_were_chosen() -> None:
    found = calibrated(ALONE, {"noise": [stream(0.1, true=False)]}, [stream(0.9, true=True)], LIMITS)
    rules = rules_of(found)
    assert set(rules["beep"]) == set(HOPS_PER_PATCH)
    assert rules["beep"][1].on == found["classes"]["beep"]["0.96"]["rule"]["on"]
    assert ALONE.classes(rules)[0].rules == rules["beep"]


@pytest.mark.parametrize("only", [False, True])
def test_a_class_of_the_same_slug_is_replaced_and_keeps_its_name(only: bool) -> None:  # noqa: FBT001 - a parameter of the test
    taught = ExtendedBundle.beside(BASE, [ClassName("rain", "My rain"), ClassName("beep", "Beep")], only=only)
    slugs = [sound.slug for sound in taught.classes()]
    assert slugs[-2:] == ["rain", "beep"]
    assert len(slugs) == (2 if only else len(BASE.manifest.classes) + 1)
    assert taught.replaced == ("rain",)
    assert taught.classes()[-2].label == next(sound.label for sound in BASE.manifest.classes if sound.slug == "rain")
