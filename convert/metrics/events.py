"""Sound events, true and heard: which of them belong together, and event-based precision, recall and F1.

An event that was heard belongs to a true one of its class when their onsets are at most a tolerance apart, each to one at most,
and as many pairs as possible are made: sed_eval's event-based metrics with `evaluate_offset=False` and optimal matching
(A. Mesaros, T. Heittola, T. Virtanen 2016, "Metrics for polyphonic sound event detection"). Offsets play no part.

Before that, stretches of one class that are close are one event, in what was true as in what was heard: nobody counts a
dog's barks one by one, and no detector shall gain or lose by where it draws that line.

Times are samples at 16 kHz.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_detector.params import FRONT_END

ONSET_TOLERANCE_SECONDS = 1.0
JOINED_SECONDS = 2.0
"""Stretches of one class that are less than this apart are one event."""


@dataclass(frozen=True, slots=True, order=True)
class SoundEvent:
    """One sound of one class.

    Attributes:
        onset_sample: its first sample.
        offset_sample: one past its last.
        known_sample: one past the last sample that had been heard when it was announced; of a true event, its onset.
        label: its class.

    """

    onset_sample: int
    offset_sample: int
    known_sample: int
    label: str


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What became of the events of one class, or of all.

    Attributes:
        true: events there were.
        heard: events announced.
        matched: pairs of the two.
        touched: true events that overlap something heard, whenever it began.
        false_alarms: events heard that overlap nothing true; one that is only late or early is none.
        latencies_seconds: of each pair, from the true onset to the moment of the announcement.

    """

    true: int = 0
    heard: int = 0
    matched: int = 0
    touched: int = 0
    false_alarms: int = 0
    latencies_seconds: tuple[float, ...] = ()

    def __add__(self, other: "EventCounts") -> "EventCounts":
        """Both together."""
        return EventCounts(
            self.true + other.true,
            self.heard + other.heard,
            self.matched + other.matched,
            self.touched + other.touched,
            self.false_alarms + other.false_alarms,
            self.latencies_seconds + other.latencies_seconds,
        )

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None where nothing was true and nothing heard."""
        total = self.true + self.heard
        return 2.0 * self.matched / total if total else None

    def as_json(self) -> dict[str, Any]:
        """Counts and figures. A share of nothing and the latency of nothing are None."""
        median, late = latency_figures(self.latencies_seconds)
        return {
            "true": self.true,
            "heard": self.heard,
            "matched": self.matched,
            "touched": self.touched,
            "false_alarms": self.false_alarms,
            "f1": self.f1,
            "precision": self.matched / self.heard if self.heard else None,
            "recall": self.matched / self.true if self.true else None,
            "latency_median_seconds": median,
            "latency_p90_seconds": late,
        }


def latency_figures(latencies_seconds: Sequence[float]) -> tuple[float | None, float | None]:
    """Median and 90th percentile."""
    if not latencies_seconds:
        return None, None
    median, late = np.percentile(latencies_seconds, (50.0, 90.0))
    return round(float(median), 3), round(float(late), 3)


def mean_f1(counts: Iterable[EventCounts]) -> float | None:
    """Mean over the classes that there were true events of. One that was never heard counts as 0; sed_eval leaves it out."""
    found = [each.f1 or 0.0 for each in counts if each.true]
    return sum(found) / len(found) if found else None


def joined(events: Iterable[SoundEvent], gap_seconds: float = JOINED_SECONDS) -> list[SoundEvent]:
    """Events in the order of their onsets, those of one class that are closer than the gap made one, known when its first was."""
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
    true: Iterable[SoundEvent], heard: Iterable[SoundEvent], tolerance_seconds: float = ONSET_TOLERANCE_SECONDS
) -> dict[str, EventCounts]:
    """Counts of every class that was true or heard. The tolerance is also how far a false alarm must be from what is true."""
    by_class: dict[str, tuple[list[SoundEvent], list[SoundEvent]]] = {}
    for side, events in enumerate((true, heard)):
        for event in sorted(events):
            by_class.setdefault(event.label, ([], []))[side].append(event)
    tolerance = round(tolerance_seconds * FRONT_END.sample_rate_hz)
    return {label: _counts(*both, tolerance) for label, both in sorted(by_class.items())}


def _counts(true: Sequence[SoundEvent], heard: Sequence[SoundEvent], tolerance: int) -> EventCounts:
    pairs = matches(true, heard, tolerance)
    return EventCounts(
        true=len(true),
        heard=len(heard),
        matched=len(pairs),
        touched=sum(any(_overlap(event, other, 0) for other in heard) for event in true),
        false_alarms=sum(not any(_overlap(event, other, tolerance) for other in true) for event in heard),
        latencies_seconds=tuple((late.known_sample - event.onset_sample) / FRONT_END.sample_rate_hz for event, late in pairs),
    )


def matches(
    true: Sequence[SoundEvent], heard: Sequence[SoundEvent], tolerance_samples: int
) -> list[tuple[SoundEvent, SoundEvent]]:
    """The largest set of pairs whose onsets are at most the tolerance apart. Both are of one class, in order of onset.

    Pairing the earliest with the earliest that is close enough is optimal here: whatever else the two could be paired with,
    later ones could take as well.
    """
    pairs = []
    number = 0
    for event in true:
        while number < len(heard) and heard[number].onset_sample < event.onset_sample - tolerance_samples:
            number += 1
        if number < len(heard) and heard[number].onset_sample <= event.onset_sample + tolerance_samples:
            pairs.append((event, heard[number]))
            number += 1
    return pairs


def _overlap(one: SoundEvent, other: SoundEvent, margin_samples: int) -> bool:
    return one.onset_sample < other.offset_sample + margin_samples and other.onset_sample < one.offset_sample + margin_samples
