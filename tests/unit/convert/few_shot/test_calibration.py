"""Thresholds of new classes: within the limit of false alarms, unless most recordings would not be detected."""

import numpy as np
import pytest

from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.evaluation.calibration import FINEST, Stream
from convert.few_shot.calibration import FewShotCalibration, calibrate
from convert.few_shot.extended_bundle import ExtendedBundle
from convert.few_shot.settings import FewShotSettings
from convert.recipe import load_recipe
from convert.records.classes import ClassName
from edge_detector.detection.bundle import load_bundle
from edge_detector.params import HOPS_PER_PATCH

BASE = load_bundle(DEFAULT_BUNDLE)
ALONE = ExtendedBundle.beside(BASE, [ClassName("beep", "Beep")], only=True)
SETTINGS = load_recipe("few_shot").section("few_shot", FewShotSettings)


def stream(peak: float, *, true: bool, seconds: float = 600.0) -> Stream:
    """A class of low probability except in four windows."""
    windows = round(seconds * FINEST / 0.96)
    probabilities = np.full((windows, 1), 0.01, np.float32)
    probabilities[windows // 2 : windows // 2 + FINEST] = peak
    return Stream(probabilities, frozenset({0} if true else ()), seconds)


def calibrated(noise_peak: float, recording_peaks: list[float]) -> FewShotCalibration:
    held_out = [stream(peak, true=True, seconds=5.0) for peak in recording_peaks]
    return calibrate(ALONE, {"noise": [stream(noise_peak, true=False)]}, held_out, SETTINGS, false_alarms_per_hour=0.1)


def chosen(noise_peak: float, recording_peaks: list[float]) -> list[tuple[float, int]]:
    """Return threshold and false alarms at each hop."""
    hops = calibrated(noise_peak, recording_peaks).classes["beep"].values()
    return [(hop.rule.on, hop.false_alarms) for hop in hops]


def test_a_threshold_is_above_the_noise_if_the_recordings_are() -> None:
    for on, alarms in chosen(0.6, [0.95] * 10):
        assert 0.6 < on < 0.95
        assert alarms == 0


def test_a_threshold_is_not_above_the_noise_if_most_recordings_are_below_it() -> None:
    for on, alarms in chosen(0.9, [0.5] * 10):
        assert on <= 0.5
        assert alarms == 1


def test_one_recording_in_ten_may_be_lost() -> None:
    assert all(on > 0.6 and alarms == 0 for on, alarms in chosen(0.6, [0.95] * 9 + [0.5]))


def test_the_new_class_has_the_chosen_rules() -> None:
    found = calibrated(0.1, [0.9])
    assert set(found.rules["beep"]) == set(HOPS_PER_PATCH)
    assert found.rules["beep"][1].on == found.classes["beep"]["0.96"].rule.on
    assert ALONE.classes(found.rules)[0].rules == found.rules["beep"]


@pytest.mark.parametrize("only", [False, True])
def test_a_class_of_the_same_slug_is_replaced_and_keeps_its_name(only: bool) -> None:  # noqa: FBT001 - a parameter of the test
    extended = ExtendedBundle.beside(BASE, [ClassName("rain", "My rain"), ClassName("beep", "Beep")], only=only)
    slugs = [sound.slug for sound in extended.classes()]
    assert slugs[-2:] == ["rain", "beep"]
    assert len(slugs) == (2 if only else len(BASE.manifest.classes) + 1)
    assert extended.replaced == ("rain",)
    assert extended.classes()[-2].label == next(sound.label for sound in BASE.manifest.classes if sound.slug == "rain")
