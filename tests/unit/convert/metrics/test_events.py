"""Event-based scores: sed_eval's golden values, brute force, merged stretches and late events.

The golden values are those of sed_eval 0.2.1 on the lists below:

    metrics = EventBasedMetrics(event_label_list=["dog", "rain", "cry", "crow", "owl"], t_collar=1.0, evaluate_onset=True,
                                evaluate_offset=False, event_matching_type="optimal")
    metrics.evaluate(reference_event_list=…, estimated_event_list=…)
"""

from collections.abc import Sequence
from functools import reduce
from itertools import combinations, pairwise, permutations
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as some

from convert.evaluation.figures import EventFigures
from convert.metrics.events import EventCounts, SoundEvent, count_events, latency_figures, matches, mean_f1, merge_close

RATE_HZ = 16_000
TRUE = (
    *(("dog", 1.0, 2.0), ("dog", 2.6, 3.0), ("dog", 10.0, 12.0), ("dog", 20.0, 21.0)),
    *(("rain", 0.0, 30.0), ("rain", 40.0, 41.0), ("cry", 5.0, 9.0), ("cry", 30.0, 31.0), ("crow", 50.0, 51.0)),
)
DETECTED = (
    *(("dog", 2.1, 3.0), ("dog", 1.9, 2.0), ("dog", 11.25, 12.0), ("dog", 19.5, 25.0), ("dog", 20.5, 21.5)),
    *(("rain", 0.75, 1.5), ("rain", 8.0, 9.0), ("cry", 6.0, 9.0), ("cry", 31.0625, 31.5), ("owl", 3.0, 4.0)),
)
SED_EVAL_COUNTS = {"dog": (4, 5, 3), "rain": (2, 2, 1), "cry": (2, 2, 1), "crow": (1, 0, 0), "owl": (0, 1, 0)}
"""Nref, Nsys and Ntp by class."""

SED_EVAL_F1 = {"dog": 0.6666666666666665, "rain": 0.5, "cry": 0.5}
"""The other two are NaN there."""

SED_EVAL_OVERALL = {"f1": 0.5263157894736842, "precision": 0.5, "recall": 0.5555555555555556}


def event(label: str, onset: float, offset: float, known: float | None = None) -> SoundEvent:
    at = [round(seconds * RATE_HZ) for seconds in (onset, offset, onset if known is None else known)]
    return SoundEvent(at[0], at[1], at[2], label)


def events(rows: Sequence[tuple[str, float, float]]) -> list[SoundEvent]:
    return [event(*row) for row in rows]


def test_counts_are_those_of_sed_eval() -> None:
    counts = count_events(events(TRUE), events(DETECTED))
    assert {label: (each.true, each.detected, each.matched) for label, each in counts.items()} == SED_EVAL_COUNTS
    for label, f1 in SED_EVAL_F1.items():
        assert counts[label].f1 == pytest.approx(f1)
    overall = EventFigures.of(reduce(add, counts.values()))
    assert {name: getattr(overall, name) for name in SED_EVAL_OVERALL} == pytest.approx(SED_EVAL_OVERALL)


def test_a_class_that_is_never_detected_lowers_the_mean() -> None:
    counts = count_events(events(TRUE), events(DETECTED))
    assert counts["crow"].f1 == 0.0
    assert mean_f1(counts.values()) == pytest.approx(sum(SED_EVAL_F1.values()) / 4)
    assert mean_f1([]) is None


onsets = some.lists(some.integers(0, 60), max_size=6).map(sorted)


@given(onsets, onsets, some.integers(0, 12))
def test_no_other_pairing_has_more_pairs(true: list[int], detected: list[int], tolerance: int) -> None:
    both = [[SoundEvent(onset, onset + 5, onset, "dog") for onset in side] for side in (true, detected)]
    pairs = matches(both[0], both[1], tolerance)
    assert len(pairs) == most_pairs(true, detected, tolerance)
    assert all(abs(one.onset_sample - other.onset_sample) <= tolerance for one, other in pairs)


def most_pairs(true: Sequence[int], detected: Sequence[int], tolerance: int) -> int:
    """By trying every pairing."""
    for size in range(min(len(true), len(detected)), 0, -1):
        for chosen in combinations(true, size):
            if any(
                all(abs(one - other) <= tolerance for one, other in zip(chosen, order, strict=True))
                for order in permutations(detected, size)
            ):
                return size
    return 0


@given(onsets, onsets)
def test_counts_of_any_events_are_consistent(true: list[int], detected: list[int]) -> None:
    true_events, detected_events = (
        [SoundEvent(onset * RATE_HZ // 4, (onset + 3) * RATE_HZ // 4, 0, "dog") for onset in side] for side in (true, detected)
    )
    counts = count_events(true_events, detected_events).get("dog", EventCounts())
    assert (counts.true, counts.detected) == (len(true), len(detected))
    assert counts.matched + counts.false_alarms <= counts.detected
    assert counts.matched <= min(counts.true, counts.detected)
    assert len(counts.latencies_seconds) == counts.matched
    assert counts.f1 is None or 0.0 <= counts.f1 <= 1.0


def test_a_late_event_is_no_match_and_no_false_alarm() -> None:
    counts = count_events([event("dog", 1.0, 9.0)], [event("dog", 4.0, 5.0), event("dog", 12.0, 13.0), event("cat", 2.0, 3.0)])
    assert counts["dog"] == EventCounts(true=1, detected=2, matched=0, overlapped=1, false_alarms=1)
    assert counts["cat"].false_alarms == 1


def test_parts_with_a_gap_below_two_seconds_are_one_event_announced_with_the_first() -> None:
    barks = [event("dog", 4.9, 5.5, 7.0), event("dog", 1.0, 3.0, 2.0), event("dog", 7.5, 8.0), event("cat", 3.5, 4.0)]
    assert merge_close(barks) == [event("dog", 1.0, 5.5, 2.0), event("cat", 3.5, 4.0), event("dog", 7.5, 8.0)]
    inside = [event("dog", 1.0, 9.0), event("dog", 2.0, 3.0)]
    assert merge_close(inside) == [event("dog", 1.0, 9.0)]


@given(some.lists(some.tuples(some.integers(0, 50), some.integers(1, 5), some.sampled_from(("dog", "cat"))), max_size=12))
def test_merging_loses_no_sound_and_leaves_gaps(spans: list[tuple[int, int, str]]) -> None:
    stretches = [event(label, float(onset), float(onset + length)) for onset, length, label in spans]
    found = merge_close(stretches)
    for each in stretches:
        assert any(
            one.label == each.label and one.onset_sample <= each.onset_sample and each.offset_sample <= one.offset_sample
            for one in found
        )
    for label in ("dog", "cat"):
        own = [each for each in found if each.label == label]
        assert all(later.onset_sample - before.offset_sample >= 2 * RATE_HZ for before, later in pairwise(own))
    assert merge_close(found) == found


def test_latency_runs_from_the_true_onset_to_the_announcement() -> None:
    counts = count_events([event("dog", 1.0, 2.0)], [event("dog", 0.96, 1.9, 1.935)])["dog"]
    assert counts.latencies_seconds == pytest.approx((0.935,))
    assert latency_figures([0.5, 1.0, 1.5, 2.0, 2.5]) == (1.5, 2.3)
    assert latency_figures([]) == (None, None)
