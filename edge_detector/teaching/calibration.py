"""Thresholds within a limit of false alarms on background, and the detector's decider on stored probabilities."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_detector.detection.event_counter import EventCounter
from edge_detector.detection.hysteresis import Rule, shifted
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.types import Float32, Scores

FINEST = max(HOPS_PER_PATCH)
LOWEST_ON, HIGHEST_ON = 0.35, 0.98
OFF_SHARE = 0.6
HIGH_ON = 0.5
"""Above it, a minimum duration separates lasting sounds from short mistakes better than a higher threshold."""

LASTING_SECONDS = 0.9
PIECE_SECONDS = 10.0
PIECE_HOPS = round(PIECE_SECONDS * FRONT_END.sample_rate_hz / FRONT_END.patch_step_samples * FINEST)
CANDIDATES = tuple(1.0 / (1.0 + math.exp(-step / 4.0)) for step in range(-16, 16))
"""From 0.02 to 0.98, evenly spaced in log-odds."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Probabilities of one stretch of sound.

    Attributes:
        probabilities: float32 (hops, classes) at the finest hop.
        true: indices of the classes that may be in it; an event of any other class is a false alarm.
        seconds: its length.

    """

    probabilities: Float32
    true: frozenset[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Criteria of thresholds.

    Attributes:
        per_hour: false alarms allowed in an hour of background; less than one in all of it means none.
        margin: log-odds added to the threshold, for sound that is not in the background.
        lowest_on: lowest threshold.

    """

    per_hour: float
    margin: float
    lowest_on: float = LOWEST_ON


@dataclass(frozen=True, slots=True)
class Choice:
    """A rule, its false alarms in hours of background, and the share of the class's clips that give an event."""

    rule: Rule
    false_alarms: int
    hours: float
    recall: float | None


def pieces_of(streams: Iterable[Stream]) -> list[Stream]:
    """Cut streams into pieces of ten seconds; a shorter rest is dropped."""
    return [
        Stream(stream.probabilities[start : start + PIECE_HOPS], stream.true, PIECE_SECONDS)
        for stream in streams
        for start in range(0, len(stream.probabilities) - PIECE_HOPS + 1, PIECE_HOPS)
    ]


def at_hop(probabilities: Float32, hops_per_patch: int) -> Float32:
    """Return the probabilities at a coarser hop, which are a subset of the finest ones."""
    return probabilities[:: FINEST // hops_per_patch]


def event_starts(probabilities: Float32, rule: Rule, hops_per_patch: int) -> int:
    """Count the events that the detector's own decider starts on probabilities (hops,) of one class at this hop."""
    if not len(probabilities) or float(probabilities.max()) < rule.on:
        return 0
    first_samples = np.arange(len(probabilities)) * (FRONT_END.patch_step_samples // hops_per_patch)
    return len(EventCounter(rule).push(probabilities, first_samples, first_samples + FRONT_END.patch_samples))


def as_scores(probabilities: Float32, step_samples: int) -> Iterator[Scores]:
    """Yield the probabilities (windows, classes) of a stream as input of a decider."""
    for number in range(len(probabilities)):
        first = number * step_samples
        yield Scores(
            probabilities=probabilities[number],
            state_age_frames=1,
            sequence_number=number,
            first_sample=first,
            end_sample=first + FRONT_END.patch_samples,
            lost_samples=0,
            level_dbfs=0.0,
        )


def choose(
    background: Sequence[Stream], clips: Sequence[Stream], class_index: int, hops_per_patch: int, limits: Limits
) -> Choice:
    """Return the lowest threshold within the limits, or a lower one with a minimum duration if that loses no clip.

    Args:
        background: sound that is not used in training.
        clips: labelled clips, for the recall; may be empty.
        class_index: the class.
        hops_per_patch: the hop.
        limits: limit of false alarms, and margin.

    """
    short, lasting = (
        choose_lowest(background, clips, class_index, hops_per_patch, limits, min_seconds=minimum)
        for minimum in (0.0, LASTING_SECONDS)
    )
    kept = short.recall is not None and lasting.recall is not None and lasting.recall >= short.recall
    longer_pays = short.rule.on > HIGH_ON and lasting.rule.on < short.rule.on and kept
    return lasting if longer_pays else short


def choose_lowest(
    background: Sequence[Stream],
    clips: Sequence[Stream],
    class_index: int,
    hops_per_patch: int,
    limits: Limits,
    *,
    min_seconds: float = 0.0,
) -> Choice:
    """Return the lowest threshold within the limits for a minimum duration; arguments as of `choose`."""
    quiet = [stream for stream in background if class_index not in stream.true]
    sounding = [stream for stream in clips if class_index in stream.true]
    columns = [at_hop(stream.probabilities, hops_per_patch)[:, class_index] for stream in quiet]
    rule = _lowest(columns, hours(quiet), limits, hops_per_patch, min_seconds)
    return _measured(rule, quiet, sounding, class_index, hops_per_patch)


def _lowest(columns: Sequence[Float32], length_hours: float, limits: Limits, hops_per_patch: int, minimum: float) -> Rule:
    allowed = math.floor(limits.per_hour * length_hours)
    failed: Rule | None = None
    for candidate in CANDIDATES:
        rule = _rule(candidate, minimum, limits.lowest_on)
        if rule == failed:
            continue
        alarms, failed = 0, rule
        for column in columns:
            alarms += event_starts(column, rule, hops_per_patch)
            if alarms > allowed:
                break
        if alarms <= allowed:
            return _rule(shifted(Rule(candidate, candidate), limits.margin).on, minimum, limits.lowest_on)
    return _rule(HIGHEST_ON, minimum, limits.lowest_on)


def _rule(on: float, minimum: float, lowest_on: float) -> Rule:
    on = round(min(max(on, lowest_on), HIGHEST_ON), 3)
    return Rule(on=on, off=round(OFF_SHARE * on, 3), min_seconds=minimum)


def _measured(rule: Rule, quiet: Sequence[Stream], sounding: Sequence[Stream], class_index: int, hops_per_patch: int) -> Choice:
    alarms = sum(starts_in(stream, class_index, rule, hops_per_patch) for stream in quiet)
    found = [starts_in(stream, class_index, rule, hops_per_patch) > 0 for stream in sounding]
    return Choice(rule, alarms, hours(quiet), sum(found) / len(found) if found else None)


def starts_in(stream: Stream, class_index: int, rule: Rule, hops_per_patch: int) -> int:
    """Count the events of one class in a stream."""
    return event_starts(at_hop(stream.probabilities, hops_per_patch)[:, class_index], rule, hops_per_patch)


def hours(streams: Sequence[Stream]) -> float:
    """Return the length of all streams in hours."""
    return sum(stream.seconds for stream in streams) / 3600.0


def false_alarms(streams: Sequence[Stream], rules: Mapping[int, Rule], hops_per_patch: int) -> dict[int, int]:
    """Count events by class index, of classes that are not in the stream."""
    return {
        index: sum(starts_in(stream, index, rule, hops_per_patch) for stream in streams if index not in stream.true)
        for index, rule in rules.items()
    }
