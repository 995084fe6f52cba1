"""Thresholds of the lowest cost for each class and hop.

The cost is the sum of

- the share of the class's recordings without an event,
- the share of recordings of other sounds with an event, as the mean over kinds of sound, so that each kind has equal weight,
- the events in an hour of continuous sound (speech, music).

Each term is smoothed over the threshold, because a few recordings do not determine the threshold between two of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.evaluation.chosen_thresholds import ChosenRule, ChosenThreshold
from edge_detector.detection.hysteresis import Rule
from edge_detector.teaching.calibration import FINEST, OFF_SHARE, PIECE_HOPS, Stream, at_hop, hours, starts_in

SMOOTHING = 0.4
"""Width in log-odds of the logistic function that replaces the step of each recording."""

LOWEST_LOG_ODDS, HIGHEST_LOG_ODDS, STEP = -3.0, 4.0, 0.05
CANDIDATES = np.arange(LOWEST_LOG_ODDS, HIGHEST_LOG_ODDS + STEP / 2.0, STEP)
"""Thresholds in log-odds."""

SURE = 1e-6


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of errors; missing all recordings of a class costs 1.

    Attributes:
        recordings: cost of an event in every recording of other sound.
        hour: cost of an event in each hour of speech or of music.
        untried: lowest threshold of a class without recordings.
        tolerated: highest cost of other sounds for such a class.

    """

    recordings: float = 1.0
    hour: float = 0.3
    untried: float = 0.3
    tolerated: float = 0.05


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Probabilities of labelled sound.

    Attributes:
        recordings: by kind, each a stream; a class that is not in `true` is not in it.
        continuous: hours of speech and music, by name.
        clips: recordings of the classes; those of a class have it in `true`.

    """

    recordings: Mapping[str, Sequence[Stream]]
    continuous: Mapping[str, Sequence[Stream]]
    clips: Sequence[Stream]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A rule and its events in the material, by the detector's own decider.

    Attributes:
        rule: the thresholds.
        found, clips: number of recordings of the class with an event, and of all of them.
        false_recordings: by kind, number of other recordings with an event, and of all of them.
        false_per_hour: by name of continuous sound.

    """

    rule: Rule
    found: int
    clips: int
    false_recordings: Mapping[str, tuple[int, int]]
    false_per_hour: Mapping[str, float]

    @property
    def false_share(self) -> float:
        """Mean over kinds of the share of recordings with an event."""
        shares = [count / every for count, every in self.false_recordings.values() if every]
        return sum(shares) / len(shares) if shares else 0.0

    @property
    def chosen(self) -> ChosenThreshold:
        """The threshold as the calibration file holds it."""
        return ChosenThreshold(
            rule=ChosenRule(self.rule.on, self.rule.off, self.rule.min_seconds),
            recall=self.found / self.clips if self.clips else None,
            found=self.found,
            clips=self.clips,
            false_share=self.false_share,
            false_per_hour={name: round(rate, 2) for name, rate in self.false_per_hour.items()},
        )


def lowest_cost(material: CalibrationSet, class_index: int, hops_per_patch: int, costs: Costs) -> Threshold:
    """Return the threshold of the lowest cost; without recordings of the class, the lowest that other sounds allow."""
    sounding = np.array(
        [_highest(stream, class_index, hops_per_patch) for stream in material.clips if class_index in stream.true]
    )
    others = _cost_of_others(material, class_index, hops_per_patch, costs, CANDIDATES)
    if len(sounding):
        on = CANDIDATES[int(np.argmin(1.0 - share_above(sounding, CANDIDATES) + others))]
    else:
        allowed = CANDIDATES[(others <= costs.tolerated) & (log_odds(np.array(costs.untried)) <= CANDIDATES)]
        on = allowed[0] if len(allowed) else HIGHEST_LOG_ODDS
    probability = round(float(1.0 / (1.0 + np.exp(-on))), 3)
    return _measured(Rule(on=probability, off=round(OFF_SHARE * probability, 3)), material, class_index, hops_per_patch)


def _cost_of_others(
    material: CalibrationSet, class_index: int, hops_per_patch: int, costs: Costs, candidates: NDArray[np.float64]
) -> NDArray[np.float64]:
    shares = [
        share_above(np.array(highest), candidates)
        for streams in material.recordings.values()
        if (highest := [_highest(stream, class_index, hops_per_patch) for stream in streams if class_index not in stream.true])
    ]
    cost = costs.recordings * np.mean(shares, axis=0) if shares else np.zeros_like(candidates)
    for streams in material.continuous.values():
        quiet = [stream for stream in streams if class_index not in stream.true]
        if quiet:
            segments = np.concatenate([_segments(stream, class_index, hops_per_patch) for stream in quiet])
            cost = cost + costs.hour * share_above(segments, candidates) * len(segments) / hours(quiet)
    return np.asarray(cost)


def share_above(highest: NDArray[np.float64], candidates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smoothed share of recordings above each candidate (m,), from their highest log-odds (n,)."""
    return np.asarray((1.0 / (1.0 + np.exp((candidates - highest[:, np.newaxis]) / SMOOTHING))).mean(axis=0), np.float64)


def _highest(stream: Stream, class_index: int, hops_per_patch: int) -> float:
    return float(log_odds(at_hop(stream.probabilities, hops_per_patch)[:, class_index].max()))


def _segments(stream: Stream, class_index: int, hops_per_patch: int) -> NDArray[np.float64]:
    """Return the highest log-odds of each ten seconds of a stream; ten seconds count as one event at most."""
    column = at_hop(stream.probabilities, hops_per_patch)[:, class_index]
    starts = np.arange(0, len(column), max(PIECE_HOPS * hops_per_patch // FINEST, 1))
    return log_odds(np.maximum.reduceat(column, starts))


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), finite for 0 and 1 too."""
    share = np.clip(np.asarray(probabilities, np.float64), SURE, 1.0 - SURE)
    return np.asarray(np.log(share / (1.0 - share)))


def _measured(rule: Rule, material: CalibrationSet, class_index: int, hops_per_patch: int) -> Threshold:
    def events(stream: Stream) -> int:
        return starts_in(stream, class_index, rule, hops_per_patch)

    sounding = [stream for stream in material.clips if class_index in stream.true]
    false_recordings = {}
    for kind, streams in material.recordings.items():
        quiet = [stream for stream in streams if class_index not in stream.true]
        false_recordings[kind] = (sum(events(stream) > 0 for stream in quiet), len(quiet))
    false_per_hour = {}
    for name, streams in material.continuous.items():
        if quiet := [stream for stream in streams if class_index not in stream.true]:
            false_per_hour[name] = sum(map(events, quiet)) / hours(quiet)
    return Threshold(rule, sum(events(stream) > 0 for stream in sounding), len(sounding), false_recordings, false_per_hour)
