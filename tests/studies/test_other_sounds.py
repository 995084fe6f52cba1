"""The study of other sounds counts as it claims to."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from convert.data.clips import find_clips
from convert.data.contest import Contender
from convert.serving import DEFAULT_BUNDLE
from edge_detector.core.decision import Rule
from tests.studies.other_sounds import (
    ANYTHING,
    DEFAULT_CLASSES,
    MAY_HOLD,
    TEN,
    Kept,
    Outcome,
    found_where_false,
    measured_bundle,
    outcome,
    peers,
    results,
    shifted,
)

SLUGS = tuple(sorted(TEN))
RULES = (Rule(0.5, 0.3),) * len(SLUGS)


def contender() -> Contender:
    return Contender("nobody", SLUGS, np.copy, 15_360, RULES)


def recording(label: str, *detected: str) -> Kept:
    probabilities = np.zeros((3, len(SLUGS)), np.float32)
    probabilities[1, [SLUGS.index(slug) for slug in detected]] = 0.9
    return Kept(label, probabilities)


def test_only_events_that_a_label_excludes_are_false() -> None:
    others = [
        recording("cough", "person_sneeze", "dog_bark"),
        recording("cough"),
        recording("thunder", "rain"),
        recording("thunder", "rain", "sea_waves"),
        recording("rain", "rain"),
        recording("various", "baby_cry"),
    ]
    found = outcome(contender(), RULES, [recording("rain", "rain"), recording("rain", "sea_waves")], others)
    assert (found.found_share, found.false_pair) == (0.5, (2, 5))
    assert found.false == Counter(cough=1, thunder=1, various=1, rain=0)
    assert found.false_of == Counter(person_sneeze=1, dog_bark=1, sea_waves=1), "what may hold anything is left out"


def test_the_mean_over_labels_gives_each_large_label_the_same_weight() -> None:
    counts = {"bird": (0, 180), "cough": (10, 20), "siren": (1, 1), "various": (50, 50)}
    false = Counter({label: count for label, (count, _) in counts.items()})
    others = Counter({label: total for label, (_, total) in counts.items()})
    point = Outcome(Counter(rain=1), Counter(rain=2), false, others, Counter())
    assert point.false_share == pytest.approx(11 / 201)
    assert point.mean_false_share == pytest.approx(0.25)


def test_a_shift_moves_thresholds_by_so_much_in_log_odds() -> None:
    rule = shifted(Rule(0.3, 0.1, min_seconds=0.9, enabled=False), 1.5)
    assert math.log(rule.on / (1.0 - rule.on)) == pytest.approx(math.log(0.3 / 0.7) + 1.5)
    assert rule == Rule(rule.on, 0.6 * rule.on, min_seconds=0.9), "a class that is off is measured too"


def test_found_is_read_between_points_and_never_beyond_them() -> None:
    points = [(0.2, 0.9), (0.1, 0.7), (0.1, 0.8), (0.05, 0.6)]
    assert found_where_false(points, 0.15) == pytest.approx(0.85)
    assert found_where_false(points, 0.1) == pytest.approx(0.8)
    assert found_where_false(points, 0.04) is None
    assert found_where_false(points, 0.21) is None


def test_the_table_of_labels_names_folders_that_exist(data: Path) -> None:
    labels = {folder.name for folder in (data / "check").iterdir()}
    assert MAY_HOLD.keys() | ANYTHING <= labels
    assert set().union(*MAY_HOLD.values()) == TEN.keys()


def test_a_bundle_and_yamnet_are_measured_on_the_same_recordings(data: Path) -> None:
    clips = [clip for clip in find_clips(data / "esc10", (1,)) if clip.label in {"rooster", "rain"}][::8]
    measured = [measured_bundle(DEFAULT_BUNDLE, 1), *peers(data / "peers" / "yamnet.tflite", DEFAULT_CLASSES, 1)]
    found = list(results(measured, clips, find_clips(data / "check")[::200]))
    for result in found:
        assert [point.clips.total() for point in result.points.values()] == [len(clips)] * len(result.points)
        shares = [point.false_share for point in result.points.values()]
        assert shares == sorted(shares, reverse=True), "the stricter, the fewer false events"
    assert [*found[0].marks] == ["as shipped"]
    assert [*found[1].marks] == ["at 0.5", "at 0.2"]
