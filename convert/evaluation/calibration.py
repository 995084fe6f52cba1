"""Thresholds for each class and hop, from what a detector says of sound in which the class is not."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_detector.detection.hysteresis import Decider, Rule, shifted
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.types import EventStart, Float32, Scores

FINEST = max(HOPS_PER_PATCH)
LOWEST_ON, HIGHEST_ON = 0.35, 0.98
OFF_SHARE = 0.6
HIGH_ON = 0.5
"""Above it, a class whose sounds last is better told from a short mistake by its duration than by a higher threshold."""

MARGIN = 0.5
"""Log odds that a class taught with few recordings is given above what its background allows."""

LASTING_SECONDS = 0.9
PIECE_SECONDS = 10.0
PIECE_HOPS = round(PIECE_SECONDS * FRONT_END.sample_rate_hz / FRONT_END.patch_step_samples * FINEST)
CANDIDATES = tuple(1.0 / (1.0 + math.exp(-step / 4.0)) for step in range(-16, 16))
"""From 0.02 to 0.98, evenly spaced as log odds."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What a detector said of one stretch of sound.

    Attributes:
        probabilities: float32 (hops, classes) at the finest hop.
        true: indices of the classes that may sound in it; whatever else is heard is a false alarm.
        seconds: its length.

    """

    probabilities: Float32
    true: frozenset[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What thresholds are chosen by.

    Attributes:
        per_hour: false alarms allowed in an hour of background; less than one in all of it means none.
        margin: log odds added to the threshold, for sound that is not in the background.
        lowest_on: no threshold is lower.

    """

    per_hour: float
    margin: float
    lowest_on: float = LOWEST_ON


@dataclass(frozen=True, slots=True)
class Choice:
    """A rule and what it does: false alarms on the background, the share of the class's clips that give an event."""

    rule: Rule
    false_alarms: int
    hours: float
    recall: float | None


def choice_as_json(choice: Choice) -> dict[str, Any]:
    """A choice as the file of a calibration holds it."""
    rule = choice.rule
    return {
        "rule": {"on": rule.on, "off": rule.off, "min_seconds": rule.min_seconds},
        "false_alarms": choice.false_alarms,
        "hours": round(choice.hours, 3),
        "recall": choice.recall,
    }


def pieces_of(streams: Iterable[Stream]) -> list[Stream]:
    """Streams in pieces of ten seconds; what is left at the end of one is in none."""
    return [
        Stream(stream.probabilities[start : start + PIECE_HOPS], stream.true, PIECE_SECONDS)
        for stream in streams
        for start in range(0, len(stream.probabilities) - PIECE_HOPS + 1, PIECE_HOPS)
    ]


def at_hop(probabilities: Float32, hops_per_patch: int) -> Float32:
    """The hops that a detector at a coarser hop would have had: its phases are some of the finer one's."""
    return probabilities[:: FINEST // hops_per_patch]


def event_starts(probabilities: Float32, rule: Rule, hops_per_patch: int) -> int:
    """How many events the detector's own decider starts on probabilities (hops,) of one class at this hop."""
    if not len(probabilities) or float(probabilities.max()) < rule.on:
        return 0
    decider, step_samples = Decider((rule,)), FRONT_END.patch_step_samples // hops_per_patch
    # Below off and past the hold nothing is open or pending, so that most windows of a background need no decision.
    lasting = math.ceil((rule.hold_seconds * FRONT_END.sample_rate_hz + FRONT_END.patch_samples) / step_samples) + 1
    matter = np.convolve(probabilities >= rule.off, np.ones(lasting + 1))[: len(probabilities)] > 0.0
    heard = as_scores(probabilities[:, np.newaxis], step_samples, np.flatnonzero(matter).tolist())
    return sum(isinstance(found, EventStart) for scores in heard for found in decider.decide(scores))


def as_scores(probabilities: Float32, step_samples: int, numbers: Iterable[int] | None = None) -> Iterator[Scores]:
    """Probabilities (windows, classes) of one stream as its decider gets them: all windows, or those of these numbers."""
    for number in range(len(probabilities)) if numbers is None else numbers:
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
    """The lowest threshold that the background allows.

    Args:
        background: sound that nothing was trained on.
        clips: labelled clips, for the recall that is left; may be empty.
        class_index: the class.
        hops_per_patch: the hop.
        limits: what is allowed.

    """
    quiet = [stream for stream in background if class_index not in stream.true]
    sounding = [stream for stream in clips if class_index in stream.true]
    columns = [at_hop(stream.probabilities, hops_per_patch)[:, class_index] for stream in quiet]
    found = [_lowest(columns, hours(quiet), limits, hops_per_patch, minimum) for minimum in (0.0, LASTING_SECONDS)]
    choices = [_measured(rule, quiet, sounding, class_index, hops_per_patch) for rule in found]
    short, lasting = choices
    kept = short.recall is not None and lasting.recall is not None and lasting.recall >= short.recall
    longer_pays = short.rule.on > HIGH_ON and lasting.rule.on < short.rule.on and kept
    return lasting if longer_pays else short


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
    heard = [starts_in(stream, class_index, rule, hops_per_patch) > 0 for stream in sounding]
    return Choice(rule, alarms, hours(quiet), sum(heard) / len(heard) if heard else None)


def starts_in(stream: Stream, class_index: int, rule: Rule, hops_per_patch: int) -> int:
    """Events of one class in a stream."""
    return event_starts(at_hop(stream.probabilities, hops_per_patch)[:, class_index], rule, hops_per_patch)


def hours(streams: Sequence[Stream]) -> float:
    """Their length together."""
    return sum(stream.seconds for stream in streams) / 3600.0


def false_alarms(streams: Sequence[Stream], rules: Mapping[int, Rule], hops_per_patch: int) -> dict[int, int]:
    """Events, by class index, of classes that do not sound in the streams."""
    return {
        index: sum(starts_in(stream, index, rule, hops_per_patch) for stream in streams if index not in stream.true)
        for index, rule in rules.items()
    }


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """The largest mean of which so few events would be seen with a probability of at least 1 - confidence."""
    numbers = np.arange(count + 1)
    log_factorials = np.cumsum(np.log(np.maximum(numbers, 1)))
    low, high = 0.0, 10.0 + 5.0 * count
    for _ in range(60):
        middle = (low + high) / 2.0
        # As logarithms: exp(-middle) itself is 0 from some 745 on.
        log_share = np.logaddexp.reduce(numbers * math.log(middle) - middle - log_factorials)
        low, high = (middle, high) if log_share > math.log(1.0 - confidence) else (low, middle)
    return high
