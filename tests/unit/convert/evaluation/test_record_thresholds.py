"""Thresholds from labelled records: chosen by their cost on one half, and measured on the other."""

import numpy as np
import pytest

from convert.evaluation.record_thresholds import (
    UNTRIED_ON,
    MeasuredThreshold,
    RecordScores,
    ThresholdSettings,
    choose_thresholds,
    record_scores,
)
from convert.records.batches import Batch
from edge_detector.detection.bundle import Evidence
from edge_detector.types import Codes, Float32

SETTINGS = ThresholdSettings(hour_cost=0.3, enabled_found=0.5, enabled_per_hour=1.0)


def scores(highest: Float32, labels: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> RecordScores:
    count = len(highest)
    return RecordScores(highest[:, np.newaxis], labels[:, np.newaxis], np.full(count, 9.6), np.arange(count) % 2 == 0)


def test_the_threshold_separates_the_class_from_everything_else() -> None:
    labels = np.arange(2_000) % 40 < 2
    (found,) = choose_thresholds(scores(np.where(labels, 0.9, 0.1).astype(np.float32), labels), SETTINGS)
    assert 0.2 < found.on < 0.9
    assert found.evidence == Evidence(originals=50, clips=50, found=50, others=950, false=0)
    assert (found.found_share, found.false_per_hour, found.is_enabled(SETTINGS)) == (1.0, 0.0, True)


def test_a_class_that_is_not_separated_gets_a_threshold_that_others_seldom_reach() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(4_000) % 40 < 2
    (found,) = choose_thresholds(scores(rng.random(4_000).astype(np.float32) * np.float32(0.9), labels), SETTINGS)
    assert found.on > 0.85
    assert not found.is_enabled(SETTINGS)


def test_figures_are_those_of_the_half_that_the_threshold_was_not_chosen_on() -> None:
    labels = np.arange(400) % 4 < 2
    # On the other half, which has odd numbers, the class is never found.
    highest = np.where(labels & (np.arange(400) % 2 == 0), 0.9, 0.1).astype(np.float32)
    (found,) = choose_thresholds(scores(highest, labels), SETTINGS)
    assert (found.evidence.clips, found.evidence.found) == (100, 0)


def test_a_class_without_a_recording_is_not_enabled() -> None:
    (found,) = choose_thresholds(scores(np.full(20, 0.5, np.float32), np.zeros(20, np.bool_)), SETTINGS)
    assert found.on == UNTRIED_ON
    assert found.chosen.recall is None
    assert not found.is_enabled(SETTINGS)


def test_false_events_are_counted_in_an_hour_of_other_recordings() -> None:
    found = MeasuredThreshold(0.5, Evidence(originals=4, clips=4, found=3, others=720, false=6), 7_200.0)
    assert found.false_per_hour == 3.0
    assert found.chosen.false_per_hour == {"other recordings": 3.0}
    assert not found.is_enabled(SETTINGS)


class Rising:
    """The probability of each class after frame i is the frame's first code / 255."""

    def prefixes(self, codes: Codes) -> Float32:
        return np.repeat(codes[:, :, :1] / np.float32(255), 2, axis=2).astype(np.float32)


def test_the_highest_probability_of_unpadded_frames_counts() -> None:
    codes = np.zeros((2, 3, 128), np.uint8)
    codes[:, :, 0] = [[51, 102, 255], [255, 51, 51]]
    batch = Batch(codes, np.array([2, 3], np.int32), np.zeros((2, 2), np.bool_), ("a", "b"))
    (found,) = record_scores(Rising(), iter([batch]))
    assert found.highest[:, 0].tolist() == pytest.approx([0.4, 1.0])
    assert found.seconds.tolist() == pytest.approx([1.92, 2.88])
    (again,) = record_scores(Rising(), iter([batch]))
    assert found.is_for_choice.tolist() == again.is_for_choice.tolist(), "a recording is always in the same half"
