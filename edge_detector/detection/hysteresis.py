"""From probabilities to events: hysteresis per class, a pure object on sample time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from edge_detector.params import FRONT_END
from edge_detector.types import Detection, EndReason, EventEnd, EventStart, Scores, Strictness

RISE_SECONDS = 2.88
"""So far before the hop that is at `on` an event may start: a sequence model can take three steps of 0.96 s to become sure."""

STRICTNESS_LOG_ODDS: Mapping[Strictness, float] = MappingProxyType({"sensitive": -1.0, "balanced": 0.0, "strict": 1.0})
"""What each setting adds to the log-odds of every threshold that was not set by hand; docs/classes.md has an example."""

_LEAST_ON, _MOST_ON = math.nextafter(0.0, 1.0), math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Rule:
    """When one class counts as heard. Thresholds in [0, 1], times in seconds of sound.

    Attributes:
        on: what never is at or above it is no event.
        off: an event lasts while the class is at or above it, before it is at `on` too; off <= on.
        min_seconds: once at on, the class must stay at or above off for this long before it is announced; 0 for one-shot sounds.
        hold_seconds: how long the class may dip below off without the event ending.
        max_seconds: an event that lasts this long is ended; the sound, still there, starts a new one.
        refractory_seconds: how long after the end of an event no new one of the class may start.
        enabled: False mutes the decision altogether.

    """

    on: float
    off: float
    min_seconds: float = 0.0
    hold_seconds: float = 1.0
    max_seconds: float = 600.0
    refractory_seconds: float = 0.0
    enabled: bool = True


def shifted(rule: Rule, log_odds: float) -> Rule:
    """The rule with its `on` shifted by `log_odds`; `off` keeps its ratio to it. An `on` of 0 or 1 has no log-odds, and stays."""
    if not log_odds or not 0.0 < rule.on < 1.0:
        return rule
    # Odds are multiplied by e to the log-odds; rounding must make of an `on` near 0 or 1 neither of them.
    part = rule.on * math.exp(log_odds)
    on = min(max(part / (part + 1.0 - rule.on), _LEAST_ON), _MOST_ON)
    return replace(rule, on=on, off=on * (rule.off / rule.on))


@dataclass(slots=True)
class _ClassState:
    rose_sample: int | None = None
    on_sample: int = 0
    first_sample: int = 0
    end_sample: int = 0
    peak_probability: float = 0.0
    lost_samples: int = 0
    pending: bool = False
    open: bool = False
    quiet_until_sample: int = 0


class Decider:
    """Scores in, detections out. One object per source; its whole memory is a few numbers per class.

    Hysteresis with two thresholds: an event is a stretch at or above `off` with a hop at or above `on` in it. It is announced at
    that hop, or min_seconds after it. Its start is the first sample of the newest patch at the first hop of the stretch, but at
    most RISE_SECONDS before the hop at `on`, and never within another event or a rest; its end is the last sample of the newest
    patch at the last hop at or above `off`. The resolution is one patch, 0.975 s.
    """

    def __init__(self, rules: Sequence[Rule], *, minimum_age_frames: int = 1) -> None:
        self._rules = tuple(rules)
        self._minimum_age_frames = minimum_age_frames
        self._states = [_ClassState() for _ in rules]

    def decide(self, scores: Scores) -> Iterator[Detection]:
        """Yield what starts and what ends with these scores. A state too young to trust decides nothing."""
        if scores.state_age_frames < self._minimum_age_frames:
            return
        for index, (rule, state) in enumerate(zip(self._rules, self._states, strict=True)):
            if rule.enabled:
                yield from _decide_class(index, rule, state, float(scores.probabilities[index]), scores)

    def close(self, end_reason: EndReason, lost_samples: int = 0) -> Iterator[Detection]:
        """End every open event, at a gap or when listening stops, and forget the ones not yet announced."""
        for index, state in enumerate(self._states):
            if state.open:
                state.lost_samples += lost_samples
                yield _end(index, state, end_reason)
            state.pending, state.rose_sample = False, None

    def use(self, rules: Sequence[Rule]) -> tuple[EventEnd, ...]:
        """Decide by other rules from now on, the same classes in the same order. Open events stay open.

        A stretch at or above the old off is none under the new rules: it begins anew with the next scores.
        Only a class that is no longer enabled ends its event, which nothing else would end. A sound too short to have been
        announced is forgotten where it would not have begun under the new rules.
        """
        ends = []
        for index, (rule, state) in enumerate(zip(rules, self._states, strict=True)):
            if not rule.enabled and state.open:
                ends.append(_end(index, state, "ended"))
            if not rule.enabled or state.peak_probability < rule.on:
                state.pending = False
            state.rose_sample = None
        self._rules = tuple(rules)
        return tuple(ends)

    @property
    def open_events(self) -> frozenset[tuple[int, int]]:
        """The events that are open now: class index, and the first sample (16 kHz) that names the event."""
        return frozenset((index, state.first_sample) for index, state in enumerate(self._states) if state.open)


def _samples(seconds: float) -> int:
    return round(seconds * FRONT_END.sample_rate_hz)


def _follow_rise(rule: Rule, state: _ClassState, probability: float, scores: Scores) -> None:
    if probability < rule.off:
        state.rose_sample = None
    elif state.rose_sample is None and scores.first_sample >= state.quiet_until_sample:
        state.rose_sample = scores.first_sample


def _decide_class(index: int, rule: Rule, state: _ClassState, probability: float, scores: Scores) -> Iterator[Detection]:
    _follow_rise(rule, state, probability, scores)
    if state.open or state.pending:
        if probability >= rule.off:
            state.end_sample = scores.end_sample
            state.peak_probability = max(state.peak_probability, probability)
        elif state.pending:
            state.pending = False
    elif probability >= rule.on and state.rose_sample is not None:
        state.pending = True
        state.on_sample, state.end_sample = scores.first_sample, scores.end_sample
        state.first_sample = max(state.rose_sample, scores.first_sample - _samples(RISE_SECONDS))
        state.peak_probability, state.lost_samples = probability, 0
    if state.pending and scores.first_sample - state.on_sample >= _samples(rule.min_seconds):
        state.pending, state.open = False, True
        yield EventStart(index, state.first_sample, state.peak_probability, state.lost_samples)
    if not state.open:
        return
    if state.end_sample - state.first_sample >= _samples(rule.max_seconds):
        yield _end(index, state, "max_duration")
    elif probability < rule.off and scores.end_sample - state.end_sample > _samples(rule.hold_seconds):
        yield _end(index, state, "ended")
    else:
        return
    state.quiet_until_sample = state.end_sample + _samples(rule.refractory_seconds) if rule.refractory_seconds else 0


def _end(index: int, state: _ClassState, end_reason: EndReason) -> EventEnd:
    state.open, state.rose_sample = False, None
    return EventEnd(index, state.first_sample, state.end_sample, state.peak_probability, end_reason, state.lost_samples)
