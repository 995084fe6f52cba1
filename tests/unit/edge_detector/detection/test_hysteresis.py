import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.detection.hysteresis import (
    RISE_SECONDS,
    STRICTNESS_LOG_ODDS,
    Decider,
    Rule,
    end_delay_seconds,
    shifted,
    start_delay_seconds,
)
from edge_detector.types import Detection, EventEnd, EventStart, Scores

HOP, PATCH = 15_360, 15_600
INSIDE = st.floats(0, 1, exclude_min=True, exclude_max=True)
SHIFTS = st.floats(-5, 5)


def run(rule: Rule, probabilities: list[float], *, age: int = 10, minimum_age: int = 1) -> list[Detection]:
    decider = Decider([rule], minimum_age_frames=minimum_age)
    found: list[Detection] = []
    for number, probability in enumerate(probabilities):
        found += decider.decide(scores(number, probability, age=age))
    return [*found, *decider.close("shutdown")]


def scores(number: int, probability: float, *, age: int = 10) -> Scores:
    start = number * HOP
    return Scores(np.array([probability], np.float32), age, number, start, start + PATCH, 0, -20.0)


def test_an_event_reaches_from_where_it_rose_to_off_to_where_it_last_was() -> None:
    start, end = run(Rule(on=0.6, off=0.3, hold_seconds=0), [0.2, 0.5, 0.7, 0.4, 0.9, 0.2, 0.1])
    assert isinstance(start, EventStart)
    assert isinstance(end, EventEnd)
    assert start.first_sample == HOP
    assert (end.first_sample, end.end_sample, end.end_reason) == (HOP, 4 * HOP + PATCH, "ended")
    assert abs(end.peak_probability - 0.9) < 1e-6


def test_an_event_is_announced_at_on_however_long_it_was_in_doubt_and_starts_three_hops_before_at_most() -> None:
    decider = Decider([Rule(on=0.6, off=0.3)])
    assert [list(decider.decide(scores(number, 0.5))) for number in range(9)] == [[]] * 9
    (start,) = decider.decide(scores(9, 0.7))
    assert start.first_sample == 6 * HOP


def test_doubt_before_a_dip_a_gap_or_new_rules_is_no_part_of_an_event() -> None:
    rule = Rule(on=0.6, off=0.3)
    assert run(rule, [0.5, 0.2, 0.7])[0].first_sample == 2 * HOP
    for interrupt in (lambda decider: list(decider.close("gap")), lambda decider: decider.use_rules([rule])):
        decider = Decider([rule])
        assert list(decider.decide(scores(0, 0.5))) == []
        interrupt(decider)
        (start,) = decider.decide(scores(1, 0.7))
        assert start.first_sample == HOP


def test_an_event_does_not_start_within_the_rest_or_the_event_before_it() -> None:
    resting = Rule(on=0.6, off=0.3, hold_seconds=0, refractory_seconds=2.0)
    assert [item.first_sample for item in run(resting, [0.9, 0.1, 0.5, 0.5, 0.5, 0.9])[2:3]] == [4 * HOP]
    renewed = Rule(on=0.6, off=0.3, max_seconds=1.5)
    assert [item.first_sample for item in run(renewed, [0.9, 0.5, 0.5, 0.9]) if isinstance(item, EventStart)] == [0, 2 * HOP]


def test_between_off_and_on_nothing_starts_and_nothing_ends() -> None:
    assert run(Rule(on=0.6, off=0.3), [0.5] * 10) == []
    assert len(run(Rule(on=0.6, off=0.3, hold_seconds=0), [0.7] + [0.4] * 10)) == 2


def test_a_dip_shorter_than_hold_does_not_end_an_event() -> None:
    found = run(Rule(on=0.6, off=0.3, hold_seconds=2.0), [0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1])
    assert [type(item) for item in found] == [EventStart, EventEnd]
    assert isinstance(found[1], EventEnd)
    assert found[1].end_sample == 3 * HOP + PATCH


def test_a_sound_shorter_than_the_minimum_is_never_announced() -> None:
    rule = Rule(on=0.6, off=0.3, min_seconds=1.5)
    assert run(rule, [0.9, 0.9, 0.1, 0.9, 0.1]) == []
    start, _ = run(rule, [0.9, 0.9, 0.9])
    assert start.first_sample == 0, "an event announced late still starts where the sound did"


def test_an_event_at_its_maximum_ends_and_the_sound_starts_a_new_one() -> None:
    found = run(Rule(on=0.6, off=0.3, max_seconds=2.5), [0.9] * 6)
    assert [getattr(item, "end_reason", "start") for item in found] == [
        "start", "max_duration", "start", "max_duration",
    ]  # fmt: skip


def test_after_an_end_the_class_rests_for_its_refractory_time() -> None:
    found = run(Rule(on=0.6, off=0.3, hold_seconds=0, refractory_seconds=3.0), [0.9, 0.1, 0.9, 0.1, 0.1, 0.9])
    starts = [item.first_sample for item in found if isinstance(item, EventStart)]
    assert starts == [0, 5 * HOP]


def test_a_state_too_young_decides_nothing() -> None:
    assert run(Rule(on=0.6, off=0.3), [0.9] * 3, age=2, minimum_age=3) == []


def test_a_class_that_is_off_decides_nothing() -> None:
    assert run(Rule(on=0.6, off=0.3, enabled=False), [0.9] * 3) == []


def test_closing_ends_what_is_open_and_says_why() -> None:
    decider = Decider([Rule(on=0.5, off=0.5)])
    (start,) = decider.decide(scores(0, 0.9))
    (end,) = decider.close("gap", lost_samples=7)
    assert isinstance(end, EventEnd)
    assert (end.first_sample, end.end_reason, end.lost_samples) == (start.first_sample, "gap", 7)
    assert list(decider.close("shutdown")) == []


def test_new_rules_keep_what_is_open_and_take_effect_with_the_next_scores() -> None:
    decider = Decider([Rule(on=0.5, off=0.4, hold_seconds=0)])
    (start,) = decider.decide(scores(0, 0.6))
    assert decider.use_rules([Rule(on=0.9, off=0.1, hold_seconds=0)]) == ()
    assert list(decider.decide(scores(1, 0.2))) == [], "0.2 would have ended it under the old rules"
    (end,) = decider.decide(scores(2, 0.05))
    assert isinstance(end, EventEnd)
    assert (end.first_sample, end.end_sample) == (start.first_sample, HOP + PATCH)
    assert list(decider.decide(scores(3, 0.8))) == [], "0.8 would have started one under the old rules"


def test_a_class_that_is_switched_off_ends_its_event_at_once() -> None:
    rule = Rule(on=0.5, off=0.4)
    decider = Decider([rule, rule])
    start = Scores(np.array([0.9, 0.9], np.float32), 10, 0, 0, PATCH, 0, -20.0)
    assert len(list(decider.decide(start))) == 2
    (end,) = decider.use_rules([replace(rule, enabled=False), rule])
    assert (end.class_index, end.end_reason) == (0, "ended")
    assert decider.open_events == {(1, 0)}


@pytest.mark.parametrize(("on", "announced"), [(0.7, 0), (0.6, 1)])
def test_a_sound_not_yet_announced_must_meet_the_new_threshold_too(on: float, announced: int) -> None:
    decider = Decider([Rule(on=0.5, off=0.4, min_seconds=0.9)])
    assert list(decider.decide(scores(0, 0.625))) == []
    decider.use_rules([Rule(on=on, off=0.4, min_seconds=0.9)])
    assert len(list(decider.decide(scores(1, 0.5)))) == announced


def test_rules_for_other_classes_are_no_rules_for_these() -> None:
    with pytest.raises(ValueError, match="argument"):
        Decider([Rule(on=0.5, off=0.5)] * 2).use_rules([Rule(on=0.5, off=0.5)])


@given(
    st.lists(st.floats(0, 1, width=32), max_size=60),
    st.builds(
        lambda on, ratio, low, hold, high, rest: Rule(on, on * ratio, low, hold, high, rest),
        st.floats(0.05, 1), st.floats(0, 1), st.floats(0, 4), st.floats(0, 4), st.floats(1, 30), st.floats(0, 5),
    ),
)  # fmt: skip
def test_every_start_has_one_end_and_events_never_overlap(probabilities: list[float], rule: Rule) -> None:
    found = run(rule, probabilities)
    assert [type(item) for item in found] == [EventStart, EventEnd] * (len(found) // 2)
    hops = [number * HOP for number in range(len(probabilities))]
    free_from = 0
    for start, end in zip(found[::2], found[1::2], strict=True):
        assert isinstance(end, EventEnd)
        assert end.first_sample == start.first_sample >= free_from
        doubtful = [at for at in hops if at >= start.first_sample]
        sure = next(at for at in doubtful if np.float32(probabilities[at // HOP]) >= rule.on)
        assert sure - start.first_sample <= RISE_SECONDS * 16_000
        assert all(np.float32(probabilities[at // HOP]) >= rule.off for at in doubtful if at <= sure)
        assert end.end_sample > end.first_sample
        assert end.peak_probability >= np.float32(rule.on)
        free_from = end.end_sample - PATCH + HOP


def log_odds_of(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def heard(rule: Rule, probabilities: list[float]) -> list[tuple[int, int]]:
    """First and end sample of each event."""
    return [(item.first_sample, item.end_sample) for item in run(rule, probabilities) if isinstance(item, EventEnd)]


def lie_within(inner: Sequence[tuple[int, int]], outer: Sequence[tuple[int, int]]) -> bool:
    return all(any(first <= start and end <= last for first, last in outer) for start, end in inner)


@given(st.floats(0.001, 0.999), st.floats(0, 1), SHIFTS)
def test_a_shift_adds_to_the_log_odds_of_on_and_off_keeps_its_ratio(on: float, ratio: float, log_odds: float) -> None:
    rule = Rule(on, on * ratio, 1.0, 2.0, 30.0, 4.0, enabled=False)
    found = shifted(rule, log_odds)
    assert log_odds_of(found.on) == pytest.approx(log_odds_of(on) + log_odds, abs=1e-9)
    assert found.off / found.on == pytest.approx(ratio, abs=1e-9)
    assert replace(found, on=rule.on, off=rule.off) == rule, "all else stays"


@given(INSIDE, st.floats(0, 1), SHIFTS)
def test_a_shifted_threshold_is_never_0_nor_1_and_off_never_above_it(on: float, ratio: float, log_odds: float) -> None:
    found = shifted(Rule(on, on * ratio), log_odds)
    assert 0.0 < found.on < 1.0
    assert 0.0 <= found.off <= found.on


@given(st.integers(1, 998), SHIFTS)
def test_of_two_thresholds_the_higher_one_stays_the_higher_one(thousandths: int, log_odds: float) -> None:
    lower, higher = (shifted(Rule(on / 1_000, 0.0), log_odds).on for on in (thousandths, thousandths + 1))
    assert lower < higher


def test_a_threshold_at_the_end_of_the_scale_stays_there() -> None:
    for rule in (Rule(0.0, 0.0), Rule(1.0, 0.5)):
        assert all(shifted(rule, log_odds) == rule for log_odds in STRICTNESS_LOG_ODDS.values())


@given(st.floats(0, 1), st.floats(0, 1))
def test_balanced_leaves_a_rule_as_it_is(on: float, ratio: float) -> None:
    rule = Rule(on, on * ratio)
    assert shifted(rule, STRICTNESS_LOG_ODDS["balanced"]) is rule


@given(
    st.lists(st.floats(0, 1, width=32), max_size=60),
    st.builds(
        lambda on, ratio, low, hold: Rule(on, on * ratio, low, hold, 86_400.0),
        INSIDE, st.floats(0, 1), st.floats(0, 4), st.floats(0, 4),
    ),
)  # fmt: skip
def test_what_strict_hears_balanced_hears_too_and_what_balanced_hears_sensitive(probabilities: list[float], rule: Rule) -> None:
    shifts = [STRICTNESS_LOG_ODDS[strictness] for strictness in ("sensitive", "balanced", "strict")]
    assert shifts == sorted(shifts)
    sensitive, balanced, strict = (shifted(rule, log_odds) for log_odds in shifts)
    assert sensitive.on <= balanced.on <= strict.on
    assert lie_within(heard(strict, probabilities), heard(balanced, probabilities))
    assert lie_within(heard(balanced, probabilities), heard(sensitive, probabilities))


@given(
    st.lists(st.floats(0, 1), max_size=40),
    st.floats(0.0, 5.0),
    st.floats(0.0, 5.0),
    st.sampled_from([1, 2, 4]),
)
def test_starts_and_ends_are_announced_no_later_than_the_rule_says(
    probabilities: list[float], min_seconds: float, hold_seconds: float, hops_per_patch: int
) -> None:
    rule = Rule(on=0.6, off=0.3, min_seconds=min_seconds, hold_seconds=hold_seconds, max_seconds=6.0)
    decider, hop = Decider([rule]), HOP // hops_per_patch
    for number, probability in enumerate(probabilities):
        first = number * hop
        heard = Scores(np.array([probability], np.float32), 10, number, first, first + PATCH, 0, -20.0)
        for detection in decider.decide(heard):
            if isinstance(detection, EventStart):
                assert (heard.end_sample - detection.first_sample) / 16_000 <= start_delay_seconds(rule) + 1e-4
            else:
                assert (heard.end_sample - detection.end_sample) / 16_000 <= end_delay_seconds(rule) + 1e-4
