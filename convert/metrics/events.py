"""Sound events, true and detected: their pairs, and event-based F1.

A detected event is paired with a true one of its class if their onsets differ by the tolerance at most. Each event is in one pair
at most, and the number of pairs is the largest possible: sed_eval's event-based metrics with `evaluate_offset=False` and optimal
matching (A. Mesaros, T. Heittola, T. Virtanen 2016, "Metrics for polyphonic sound event detection"). Offsets are ignored.

Before that, stretches of one class with a short gap are merged, true ones as well as detected ones: a dog's barks are one event,
and the gap at which a detector splits them changes no figure.

Times are samples at 16 kHz.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_detector.params import FRONT_END

ONSET_TOLERANCE_SECONDS = 1.0
JOINED_SECONDS = 2.0
"""Stretches of one class with a shorter gap are merged."""


@dataclass(frozen=True, slots=True, order=True)
class SoundEvent:
    """One sound of one class.

    Attributes:
        onset_sample: its first sample.
        offset_sample: one past its last sample.
        known_sample: one past the last sample processed when it was announced; of a true event, its onset.
        label: its class.

    """

    onset_sample: int
    offset_sample: int
    known_sample: int
    label: str


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Counts of the events of one class, or of all.

    Attributes:
        true: number of true events.
        detected: number of detected events.
        matched: number of pairs.
        overlapped: true events that overlap a detected one, whatever its onset.
        false_alarms: detected events that overlap no true one; a late or early event is no false alarm.
        latencies_seconds: of each pair, from the true onset to the announcement.

    """

    true: int = 0
    detected: int = 0
    matched: int = 0
    overlapped: int = 0
    false_alarms: int = 0
    latencies_seconds: tuple[float, ...] = ()

    def __add__(self, other: "EventCounts") -> "EventCounts":
        """Add up two classes or recordings."""
        return EventCounts(
            self.true + other.true,
            self.detected + other.detected,
            self.matched + other.matched,
            self.overlapped + other.overlapped,
            self.false_alarms + other.false_alarms,
            self.latencies_seconds + other.latencies_seconds,
        )

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None without events."""
        total = self.true + self.detected
        return 2.0 * self.matched / total if total else None


def latency_figures(latencies_seconds: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the median and the 90th percentile, rounded to ms; None without latencies."""
    if not latencies_seconds:
        return None, None
    median, late = np.percentile(latencies_seconds, (50.0, 90.0))
    return round(float(median), 3), round(float(late), 3)


def mean_f1(counts: Iterable[EventCounts]) -> float | None:
    """Return the mean over the classes with true events; 0 for a class that is never detected, which sed_eval leaves out."""
    found = [each.f1 or 0.0 for each in counts if each.true]
    return sum(found) / len(found) if found else None


def merge_close(events: Iterable[SoundEvent], gap_seconds: float = JOINED_SECONDS) -> list[SoundEvent]:
    """Merge events of one class with a shorter gap, in order of onset; a merged event is announced with its first part."""
    gap = gap_seconds * FRONT_END.sample_rate_hz
    latest: dict[str, SoundEvent] = {}
    done = []
    for event in sorted(events):
        before = latest.get(event.label)
        if before is not None and event.onset_sample - before.offset_sample < gap:
            latest[event.label] = replace(before, offset_sample=max(before.offset_sample, event.offset_sample))
            continue
        if before is not None:
            done.append(before)
        latest[event.label] = event
    return sorted([*done, *latest.values()])


def count_events(
    true: Iterable[SoundEvent], detected: Iterable[SoundEvent], tolerance_seconds: float = ONSET_TOLERANCE_SECONDS
) -> dict[str, EventCounts]:
    """Return the counts of every class with events. A false alarm is at least the tolerance away from every true event."""
    by_class: dict[str, tuple[list[SoundEvent], list[SoundEvent]]] = {}
    for side, events in enumerate((true, detected)):
        for event in sorted(events):
            by_class.setdefault(event.label, ([], []))[side].append(event)
    tolerance = round(tolerance_seconds * FRONT_END.sample_rate_hz)
    return {label: _counts(*both, tolerance) for label, both in sorted(by_class.items())}


def _counts(true: Sequence[SoundEvent], detected: Sequence[SoundEvent], tolerance: int) -> EventCounts:
    pairs = matches(true, detected, tolerance)
    return EventCounts(
        true=len(true),
        detected=len(detected),
        matched=len(pairs),
        overlapped=sum(any(_overlap(event, other, 0) for other in detected) for event in true),
        false_alarms=sum(not any(_overlap(event, other, tolerance) for other in true) for event in detected),
        latencies_seconds=tuple((late.known_sample - event.onset_sample) / FRONT_END.sample_rate_hz for event, late in pairs),
    )


def matches(
    true: Sequence[SoundEvent], detected: Sequence[SoundEvent], tolerance_samples: int
) -> list[tuple[SoundEvent, SoundEvent]]:
    """Return the largest set of pairs (true, detected) whose onsets differ by the tolerance at most.

    Both are of one class, in order of onset. Pairing the earliest with the earliest that is close enough is optimal: an event
    that could be paired with either of the two is as close to a later one.
    """
    pairs = []
    number = 0
    for event in true:
        while number < len(detected) and detected[number].onset_sample < event.onset_sample - tolerance_samples:
            number += 1
        if number < len(detected) and detected[number].onset_sample <= event.onset_sample + tolerance_samples:
            pairs.append((event, detected[number]))
            number += 1
    return pairs


def _overlap(one: SoundEvent, other: SoundEvent, margin_samples: int) -> bool:
    return one.onset_sample < other.offset_sample + margin_samples and other.onset_sample < one.offset_sample + margin_samples
