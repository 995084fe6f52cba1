"""Thresholds that cost least: what is missed of a class is weighed against what else is taken for it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.evaluation.thresholds import CalibrationSet, Costs, Threshold, lowest_cost
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.teaching.calibration import Stream, at_hop, event_starts

COSTS = Costs()
QUIET = 0.01
RECORDING_HOPS = 42
"""Ten seconds at the finest hop."""

PEAK = st.floats(0.02, 0.98)
PEAKS = st.lists(PEAK, min_size=1, max_size=6)


def stream(peak: float, *true: int, hops: int = RECORDING_HOPS, at: Sequence[int] = (20, 21, 22, 23)) -> Stream:
    """Sound in which a class is quiet, but for some hops."""
    probabilities = np.full((hops, 1), QUIET, np.float32)
    probabilities[list(at)] = peak
    return Stream(probabilities, frozenset(true), 0.24 * hops)


def material(clips: Sequence[float] = (), speech: float = QUIET, **recordings: Sequence[float]) -> CalibrationSet:
    """By what a class reaches in its clips, in other recordings of some kinds, and every 12 s of six minutes of speech."""
    return CalibrationSet(
        {kind: [stream(peak) for peak in peaks] for kind, peaks in recordings.items()},
        {"speech": [stream(speech, hops=1_500, at=range(0, 1_500, 50))]},
        [stream(peak, 0) for peak in clips],
    )


def on(of: CalibrationSet, hops: int = 4, costs: Costs = COSTS) -> float:
    return lowest_cost(of, 0, hops, costs).rule.on


def test_a_class_that_nothing_else_is_taken_for_is_found_at_a_threshold_between_the_two() -> None:
    found = lowest_cost(material([0.8, 0.9, 0.95], animal=[0.05, 0.1], machine=[0.02]), 0, 4, COSTS)
    assert 0.1 < found.rule.on < 0.8
    assert found.rule.off < found.rule.on
    assert (found.found, found.clips, found.false_share) == (3, 3, 0.0)
    assert found.false_recordings == {"animal": (0, 2), "machine": (0, 1)}
    assert found.false_per_hour == {"speech": 0.0}


@settings(max_examples=60)
@given(clips=PEAKS, others=st.tuples(PEAKS, PEAKS), speech=PEAK, less=st.floats(0.0, 1.0), hops=st.sampled_from([1, 4]))
def test_the_threshold_falls_when_other_sounds_cost_less(
    clips: list[float], others: tuple[list[float], list[float]], speech: float, less: float, hops: int
) -> None:
    animal, machine = others
    heard = material(clips, speech, animal=animal, machine=machine)
    dear = on(heard, hops)
    assert on(heard, hops, Costs(recordings=less * COSTS.recordings)) <= dear
    assert on(heard, hops, Costs(hour=less * COSTS.hour)) <= dear
    assert on(heard, hops, Costs(recordings=0.0, hour=0.0)) == pytest.approx(0.047, abs=1e-3), "the lowest that there is"


@settings(max_examples=60)
@given(animal=PEAKS, speech=PEAK, untried=st.floats(0.05, 0.9))
def test_a_class_without_recordings_has_none_below_the_lowest_for_such_and_none_that_other_sounds_forbid(
    animal: list[float], speech: float, untried: float
) -> None:
    costs = Costs(untried=untried)
    found = lowest_cost(material((), speech, animal=animal), 0, 4, costs)
    assert untried - 5e-4 <= found.rule.on <= max(0.982, untried)
    assert (found.found, found.clips) == (0, 0)
    if found.rule.on < 0.982:
        # Of what reaches the threshold just so, half is counted, and the threshold is rounded.
        assert 0.45 * (costs.recordings * found.false_share + costs.hour * found.false_per_hour["speech"]) <= costs.tolerated


def test_a_class_without_recordings_has_the_lowest_where_nothing_is_taken_for_it() -> None:
    assert on(material((), animal=[QUIET])) == pytest.approx(COSTS.untried, abs=0.015)
    assert on(material((), animal=[0.95])) > 0.95
    assert on(CalibrationSet({}, {}, [])) == on(material((), animal=[QUIET]))


def test_sound_in_which_the_class_may_sound_is_no_error() -> None:
    clips = [stream(0.6, 0)]
    loud = CalibrationSet({"animal": [stream(0.9, 0), stream(QUIET)]}, {"speech": [stream(0.9, 0, hops=1_000)]}, clips)
    quiet = CalibrationSet({"animal": [stream(QUIET)]}, {}, clips)
    one, other = lowest_cost(loud, 0, 4, COSTS), lowest_cost(quiet, 0, 4, COSTS)
    assert one == other
    assert one.false_recordings == {"animal": (0, 1)}


def test_no_kind_outweighs_another_by_how_many_recordings_it_has() -> None:
    few = material([0.4, 0.6], animal=[0.5, 0.1], machine=[0.2])
    many = material([0.4, 0.6], animal=[0.5, 0.1] * 50, machine=[0.2])
    assert on(few) == on(many)
    assert lowest_cost(few, 0, 4, COSTS).false_share == lowest_cost(many, 0, 4, COSTS).false_share
    more = material([0.4, 0.6], animal=[0.5, 0.1], machine=[0.2], nature=[QUIET], household=[QUIET])
    assert on(more) < on(few), "the mean is over kinds"


def test_in_an_hour_a_sound_that_stays_counts_in_every_ten_seconds_of_it() -> None:
    clips, costs = [stream(0.6, 0)], Costs(hour=0.02)
    lasting, short = (
        CalibrationSet({}, {"music": [stream(0.9, hops=15_000, at=at)]}, clips) for at in (range(15_000), range(42))
    )
    assert on(lasting, 4, costs) > 0.9
    assert on(short, 4, costs) < 0.6


@pytest.mark.parametrize("hops", HOPS_PER_PATCH)
def test_what_is_found_and_false_are_the_deciders_events_at_that_hop(hops: int) -> None:
    peaks = {"found": [0.3, 0.7, 0.9], "animal": [0.6, 0.4], "machine": [0.95]}
    heard = material(peaks["found"], 0.75, animal=peaks["animal"], machine=peaks["machine"])
    chosen = lowest_cost(heard, 0, hops, COSTS)

    def events(each: Stream) -> int:
        return event_starts(at_hop(each.probabilities, hops)[:, 0], chosen.rule, hops)

    assert chosen.found == sum(events(clip) > 0 for clip in heard.clips)
    assert chosen.false_recordings == {
        kind: (sum(events(each) > 0 for each in every), len(every)) for kind, every in heard.recordings.items()
    }
    assert chosen.false_per_hour == {"speech": pytest.approx(10 * events(heard.continuous["speech"][0]))}


def test_a_coarser_hop_is_judged_by_the_windows_that_it_has() -> None:
    between = CalibrationSet({"animal": [stream(0.9, at=(21, 22, 23))]}, {}, [stream(0.5, 0)])
    costs = replace(COSTS, recordings=2.0)
    assert on(between, 1, costs) < 0.5
    assert on(between, 4, costs) > 0.5


def test_the_share_of_false_recordings_is_the_mean_over_kinds_that_have_some() -> None:
    counts: dict[str, tuple[int, int]] = {"animal": (1, 2), "machine": (0, 8), "nature": (0, 0)}
    rule = lowest_cost(material([0.9]), 0, 4, COSTS).rule
    assert Threshold(rule, 1, 1, counts, {}).false_share == pytest.approx(0.25)
    assert Threshold(rule, 1, 1, {}, {}).false_share == 0.0


@given(st.floats(0.05, 0.9))
def test_of_two_clips_that_one_threshold_could_part_the_cost_decides_whether_both_are_found(lower: float) -> None:
    heard = material([lower, 0.97], animal=[lower])
    cheap, dear = (lowest_cost(heard, 0, 4, Costs(recordings=cost, hour=0.0)) for cost in (1e-6, 1e3))
    assert (cheap.found, cheap.false_share) == (2, 1.0)
    assert dear.found < 2
    assert dear.false_share == 0.0
