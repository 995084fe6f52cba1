"""Decision of events from probabilities, by hysteresis per class."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from edge_detector.params import FRONT_END
from edge_detector.schema import StrictTable
from edge_detector.types import Detection, EndReason, EventEnd, EventStart, Scores, Strictness

RISE_SECONDS = 2.88
"""Longest time from an event's start to its hop at `on`: a sequence model can need three steps of 0.96 s to reach it."""

STRICTNESS_LOG_ODDS: Mapping[Strictness, float] = MappingProxyType({"sensitive": -1.0, "balanced": 0.0, "strict": 1.0})
"""Shift of each setting in log-odds, for thresholds not set by hand; docs/classes.md has an example."""

_LEAST_ON, _MOST_ON = math.nextafter(0.0, 1.0), math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Rule:
    """Hysteresis of one class. Thresholds in [0, 1], times in seconds of sound.

    Attributes:
        on: an event needs one hop at or above this.
        off: an event lasts while the class is at or above this, also before it reaches `on`; off <= on.
        min_seconds: time at or above `off`, after `on`, before the event is announced; 0 for one-shot sounds.
        hold_seconds: longest time below `off` that does not end the event.
        max_seconds: an event of this length ends; a sound that continues starts a new one.
        refractory_seconds: time after an event in which no new one of the class may start.
        enabled: False disables the class.

    """

    on: float
    off: float
    min_seconds: float = 0.0
    hold_seconds: float = 1.0
    max_seconds: float = 600.0
    refractory_seconds: float = 0.0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class RuleOverride:
    """Changes of a rule; None keeps a value, but an `on` below the rule's `off` lowers `off` with it."""

    on: float | None = None
    off: float | None = None
    min_seconds: float | None = None
    hold_seconds: float | None = None
    max_seconds: float | None = None
    refractory_seconds: float | None = None
    enabled: bool | None = None

    def apply(self, rule: Rule) -> Rule:
        """Return the changed rule, whose `off` may be above its `on`; the caller checks it."""
        given = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}
        return replace(rule, **{"off": min(rule.off, given.get("on", rule.on)), **given})


def start_delay_seconds(rule: Rule) -> float:
    """Return the longest time from an event's start to the end of the patch at whose hop the start is announced."""
    return RISE_SECONDS + rule.min_seconds + (FRONT_END.patch_step_samples + FRONT_END.patch_samples) / FRONT_END.sample_rate_hz


def end_delay_seconds(rule: Rule) -> float:
    """Return the longest time from an event's end to the end of the patch at whose hop the end is announced."""
    return rule.hold_seconds + FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz


def read_rule(table: StrictTable) -> RuleOverride:
    """Read the values of a rule that a manifest or a configuration gives."""
    rule = RuleOverride(
        on=table.optional_number("on", low=0.0, high=1.0),
        off=table.optional_number("off", low=0.0, high=1.0),
        min_seconds=table.optional_number("min_seconds", low=0.0, high=3_600.0),
        hold_seconds=table.optional_number("hold_seconds", low=0.0, high=3_600.0),
        max_seconds=table.optional_number("max_seconds", low=1.0, high=86_400.0),
        refractory_seconds=table.optional_number("refractory_seconds", low=0.0, high=86_400.0),
        enabled=table.optional_flag("enabled"),
    )
    if rule.on is not None and rule.off is not None and rule.off > rule.on:
        raise table.key_error("off", f"must not be above on = {rule.on:g}")
    table.reject_unknown()
    return rule


def shifted(rule: Rule, log_odds: float) -> Rule:
    """Return the rule with `on` shifted by `log_odds` and `off` in the same ratio to it. An `on` of 0 or 1 stays."""
    if not log_odds or not 0.0 < rule.on < 1.0:
        return rule
    # A shift of log-odds multiplies the odds by its exponential. Rounding must not produce exactly 0 or 1.
    scaled = rule.on * math.exp(log_odds)
    on = min(max(scaled / (scaled + 1.0 - rule.on), _LEAST_ON), _MOST_ON)
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
    """Converts the scores of one source into detections, with a few numbers of state per class.

    Two thresholds: an event is a stretch at or above `off` that contains a hop at or above `on`. It is announced at that hop, or
    min_seconds after it. It starts at the first sample of the newest patch at the first hop of the stretch, but at most
    RISE_SECONDS before the hop at `on`, and never within another event or a refractory time. It ends at the last sample of the
    newest patch at the last hop at or above `off`. The resolution is one patch, 0.975 s.
    """

    def __init__(self, rules: Sequence[Rule], *, minimum_age_frames: int = 1) -> None:
        self._rules = tuple(rules)
        self._minimum_age_frames = minimum_age_frames
        self._states = [_ClassState() for _ in rules]

    def decide(self, scores: Scores) -> Iterator[Detection]:
        """Yield starts and ends for these scores; none while the state is younger than `minimum_age_frames`."""
        if scores.state_age_frames < self._minimum_age_frames:
            return
        for index, (rule, state) in enumerate(zip(self._rules, self._states, strict=True)):
            if rule.enabled:
                yield from _decide_class(index, rule, state, float(scores.probabilities[index]), scores)

    def close(self, end_reason: EndReason, lost_samples: int = 0) -> Iterator[Detection]:
        """End every open event, at a gap or at the end, and discard events not yet announced."""
        for index, state in enumerate(self._states):
            if state.open:
                state.lost_samples += lost_samples
                yield _end(index, state, end_reason)
            state.pending, state.rose_sample = False, None

    def use_rules(self, rules: Sequence[Rule]) -> tuple[EventEnd, ...]:
        """Apply new rules for the same classes in the same order. Returns the ends of events of disabled classes.

        Other open events stay open. Stretches at or above the old `off` restart with the next scores. A pending event is
        discarded if it would not have begun under the new rules.
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
        """Open events as pairs of class index and first sample (16 kHz)."""
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
