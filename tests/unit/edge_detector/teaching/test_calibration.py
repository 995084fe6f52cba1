"""Thresholds: what a background allows, what they leave, and how the same scores look at a coarser hop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.params import FRONT_END
from edge_detector.teaching.calibration import (
    HIGHEST_ON,
    LASTING_SECONDS,
    LOWEST_ON,
    Limits,
    Stream,
    as_scores,
    at_hop,
    choose,
    event_starts,
    false_alarms,
    hours,
    pieces_of,
)
from edge_detector.types import EventStart, Float32

QUIET, LOUD = 0.02, 0.9


def stream(probabilities: Float32, *true: int) -> Stream:
    return Stream(np.asarray(probabilities, np.float32), frozenset(true), 0.24 * len(probabilities))


def steady(value: float, hops: int = 400, classes: int = 2) -> Float32:
    return np.full((hops, classes), value, np.float32)


def with_peak(value: float, first: int, last: int, class_index: int = 0) -> Float32:
    probabilities = steady(QUIET)
    probabilities[first:last, class_index] = value
    return probabilities


def test_a_quiet_background_allows_the_lowest_threshold() -> None:
    choice = choose([stream(steady(QUIET))], [], 0, 4, Limits(0.1, 0.0))
    assert choice.rule.on == LOWEST_ON
    assert choice.false_alarms == 0
    assert choice.recall is None


def test_a_threshold_stands_above_what_the_background_reaches() -> None:
    background = [stream(with_peak(0.4, 100, 101))]
    plain = choose(background, [], 0, 4, Limits(0.1, 0.0))
    careful = choose(background, [], 0, 4, Limits(0.1, 0.5))
    assert 0.4 < plain.rule.on < 0.5
    assert plain.rule.on < careful.rule.on
    assert plain.rule.off < plain.rule.on
    assert choose(background, [], 1, 4, Limits(0.1, 0.0)).rule.on == LOWEST_ON


def test_sound_of_the_class_itself_is_no_false_alarm() -> None:
    background = [stream(with_peak(0.9, 100, 101), 0)]
    assert choose(background, [], 0, 4, Limits(0.1, 0.0)).rule.on == LOWEST_ON


def test_more_false_alarms_allowed_give_a_lower_threshold() -> None:
    background = [stream(np.tile(with_peak(0.9, 100, 104), (40, 1)))]
    strict = choose(background, [], 0, 4, Limits(0.1, 0.0))
    loose = choose(background, [], 0, 4, Limits(40.0 / hours(background), 0.0))
    assert strict.rule.on > 0.9
    assert loose.rule.on == LOWEST_ON
    assert loose.false_alarms == 40


def test_a_class_that_lasts_is_told_from_a_short_mistake_by_its_duration() -> None:
    background = [stream(with_peak(LOUD, 100, 102))]
    lasting = [stream(with_peak(0.6, 10, 60), 0)]
    choice = choose(background, lasting, 0, 4, Limits(0.1, 0.0))
    assert choice.rule.min_seconds == LASTING_SECONDS
    assert choice.rule.on == LOWEST_ON
    assert choice.recall == 1.0
    short = [stream(with_peak(0.98, 10, 11), 0)]
    choice = choose(background, short, 0, 4, Limits(0.1, 0.0))
    assert choice.rule.min_seconds == 0.0, "a bark would never last long enough"
    assert choice.recall == 1.0


def test_a_background_full_of_the_class_gives_the_highest_threshold() -> None:
    assert choose([stream(steady(0.999))], [], 0, 1, Limits(0.1, 0.0)).rule.on == HIGHEST_ON


@pytest.mark.parametrize(("hops", "wanted"), [(1, [0, 4, 8]), (2, [0, 2, 4, 6, 8]), (4, list(range(10)))])
def test_a_coarser_hop_sees_some_of_the_phases(hops: int, wanted: list[int]) -> None:
    assert at_hop(np.arange(10, dtype=np.float32), hops).tolist() == wanted


def test_events_are_the_decider_s() -> None:
    probabilities = with_peak(0.9, 10, 12)[:, 0]
    probabilities[200:203] = 0.7
    assert event_starts(probabilities, Rule(on=0.5, off=0.3), 4) == 2
    assert event_starts(probabilities, Rule(on=0.8, off=0.3), 4) == 1
    assert event_starts(np.zeros(0, np.float32), Rule(on=0.5, off=0.3), 4) == 0


@settings(max_examples=200)
@given(
    probabilities=arrays(np.float32, st.integers(1, 120), elements=st.sampled_from([0.0, 0.1, 0.4, 0.6, 0.9])),
    on=st.sampled_from([0.3, 0.5, 0.8]),
    off_share=st.sampled_from([0.3, 0.6, 1.0]),
    seconds=st.tuples(*(st.sampled_from(values) for values in ((0.0, 0.9), (0.0, 1.0, 5.0), (3.0, 600.0), (0.0, 4.0)))),
    hops=st.sampled_from([1, 2, 4]),
)
def test_windows_that_are_passed_over_would_have_decided_nothing(
    probabilities: Float32, on: float, off_share: float, seconds: tuple[float, float, float, float], hops: int
) -> None:
    rule = Rule(on, off_share * on, *seconds)
    decider = Decider((rule,))
    every = as_scores(probabilities[:, np.newaxis], FRONT_END.patch_step_samples // hops)
    started = sum(isinstance(found, EventStart) for scores in every for found in decider.decide(scores))
    assert event_starts(probabilities, rule, hops) == started


def test_false_alarms_are_counted_by_class() -> None:
    streams = [stream(with_peak(0.9, 10, 12, class_index=1)), stream(with_peak(0.9, 10, 12, class_index=1), 1)]
    rules = dict.fromkeys((0, 1), Rule(on=0.5, off=0.3))
    assert false_alarms(streams, rules, 4) == {0: 0, 1: 1}


@given(st.integers(0, 200), st.sampled_from([frozenset[int](), frozenset({1})]))
def test_streams_in_pieces_of_ten_seconds_are_what_they_were_but_for_their_ends(hops: int, true: frozenset[int]) -> None:
    numbered = np.arange(2 * hops, dtype=np.float32).reshape(hops, 2)
    pieces = pieces_of([Stream(numbered, true, 0.24 * hops), stream(steady(QUIET, 43), 0)])
    *found, other = pieces
    assert [(len(piece.probabilities), piece.seconds, piece.true) for piece in found] == [(42, 10.0, true)] * (hops // 42)
    assert all(np.array_equal(piece.probabilities, numbered[42 * n : 42 * n + 42]) for n, piece in enumerate(found))
    assert other.true == {0}
