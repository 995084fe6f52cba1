"""Figures of a score by the keys of its JSON: counts that add up over folds, and figures that follow from them.

Fields that follow from others are not arguments: JSON holds them, and they are computed again when it is read.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import numpy as np

from convert.metrics.events import EventCounts, latency_figures, mean_f1
from convert.metrics.intervals import poisson_upper
from convert.plain_data import KEY
from edge_detector.teaching.intervals import wilson_interval

HOUR_DIGITS, LATENCY_DIGITS = 6, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Clips by the class of their highest mean probability.

    Attributes:
        labels: slugs of the classes.
        confusion: [i][j] is the number of clips of class i with class j on top; the last column is for clips without a window.
        clips: number of clips.
        right: number of clips with their class on top.
        accuracy: their share.
        errors: number of the other clips.
        error_share_95: 95 % interval of their share.
        recall: share of right clips by class.

    """

    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    clips: int = field(init=False)
    right: int = field(init=False)
    accuracy: float = field(init=False)
    errors: int = field(init=False)
    error_share_95: tuple[float, float] = field(init=False)
    recall: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the figures. Raises ValueError unless the confusion has a row for each label and a column more."""
        size = len(self.labels)
        if len(self.confusion) != size or any(len(row) != size + 1 for row in self.confusion):
            raise ValueError(f"confusion must have {size} rows of {size + 1} numbers")
        counts = np.asarray(self.confusion, np.int64).reshape(size, size + 1)
        right, clips = int(np.trace(counts)), int(counts.sum())
        totals = counts.sum(axis=1)
        _derive(
            self,
            clips=clips,
            right=right,
            accuracy=right / max(clips, 1),
            errors=clips - right,
            error_share_95=wilson_interval(clips - right, clips),
            recall={label: float(counts[i, i] / totals[i]) for i, label in enumerate(self.labels) if totals[i]},
        )

    def __add__(self, other: "Accuracy") -> "Accuracy":
        """Add up two folds with the same labels."""
        pairs = zip(self.confusion, other.confusion, strict=True)
        rows = tuple(tuple(map(add, one, another)) for one, another in pairs)
        return Accuracy(labels=self.labels, confusion=rows)


@dataclass(frozen=True, slots=True)
class FoundClips:
    """Clips that give an event of their class.

    Attributes:
        counts: number found and number of clips, by class.
        clips: number of clips.
        found: number found.
        share: their share.
        share_95: its 95 % interval.
        recall: share by class.

    """

    counts: Mapping[str, tuple[int, int]]
    clips: int = field(init=False)
    found: int = field(init=False)
    share: float = field(init=False)
    share_95: tuple[float, float] = field(init=False)
    recall: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the figures."""
        found, clips = (sum(pair[side] for pair in self.counts.values()) for side in (0, 1))
        _derive(
            self,
            clips=clips,
            found=found,
            share=found / max(clips, 1),
            share_95=wilson_interval(found, clips),
            recall={slug: pair[0] / pair[1] for slug, pair in self.counts.items() if pair[1]},
        )

    def __add__(self, other: "FoundClips") -> "FoundClips":
        """Add up two folds."""
        slugs = {**self.counts, **other.counts}
        pairs = {slug: (self.counts.get(slug, (0, 0)), other.counts.get(slug, (0, 0))) for slug in slugs}
        return FoundClips({slug: (one[0] + another[0], one[1] + another[1]) for slug, (one, another) in pairs.items()})


@dataclass(frozen=True, slots=True)
class AlarmFigures:
    """Events in sound without their class.

    Attributes:
        hours: length of the sound.
        classes: number of events by class.
        events: number of events.
        per_hour: their rate; None without sound.
        at_most_per_hour: one-sided 95 % bound of the mean of a Poisson distribution.

    """

    hours: float
    classes: Mapping[str, int]
    events: int = field(init=False)
    per_hour: float | None = field(init=False)
    at_most_per_hour: float | None = field(init=False)

    def __post_init__(self) -> None:
        """Derive the figures; classes without an event are left out."""
        events = sum(self.classes.values())
        hours = round(self.hours, HOUR_DIGITS)
        rate, bound = rates_per_hour(events, hours)
        _derive(
            self,
            hours=hours,
            classes={slug: count for slug, count in sorted(self.classes.items()) if count},
            events=events,
            per_hour=rate,
            at_most_per_hour=bound,
        )

    def __add__(self, other: "AlarmFigures") -> "AlarmFigures":
        """Add up two stretches of sound."""
        return AlarmFigures(self.hours + other.hours, Counter(self.classes) + Counter(other.classes))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFigures:
    """Events of soundscapes: true ones, detected ones, and pairs of both (convert.metrics.events).

    Attributes:
        true: number of true events.
        detected: number of detected events.
        matched: number of pairs.
        overlapped: true events that overlap a detected one.
        false_alarms: detected events that overlap no true one.
        latency_median_seconds, latency_p90_seconds: from the true onset to the announcement; None without pairs.
        latencies_seconds: of each pair; None where only the figures are kept.
        f1, precision, recall: by pairs; None where the denominator is 0.

    """

    true: int
    detected: int = field(metadata={KEY: "heard"})
    matched: int
    overlapped: int = field(metadata={KEY: "touched"})
    false_alarms: int
    latency_median_seconds: float | None
    latency_p90_seconds: float | None
    latencies_seconds: tuple[float, ...] | None = None
    f1: float | None = field(init=False)
    precision: float | None = field(init=False)
    recall: float | None = field(init=False)

    def __post_init__(self) -> None:
        """Derive the figures."""
        counts = self.counts
        _derive(
            self,
            f1=counts.f1,
            precision=self.matched / self.detected if self.detected else None,
            recall=self.matched / self.true if self.true else None,
        )

    @classmethod
    def of(cls, counts: EventCounts) -> "EventFigures":
        """Return the figures of one class, with its latencies."""
        median, late = latency_figures(counts.latencies_seconds)
        return EventFigures(
            true=counts.true,
            detected=counts.detected,
            matched=counts.matched,
            overlapped=counts.overlapped,
            false_alarms=counts.false_alarms,
            latency_median_seconds=median,
            latency_p90_seconds=late,
            latencies_seconds=tuple(round(latency, LATENCY_DIGITS) for latency in counts.latencies_seconds),
        )

    @property
    def counts(self) -> EventCounts:
        """The counts, with the latencies if they are kept."""
        latencies = self.latencies_seconds or ()
        return EventCounts(self.true, self.detected, self.matched, self.overlapped, self.false_alarms, latencies)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundscapeFigures(EventFigures):
    """Events of soundscapes, in all and by class.

    Attributes:
        hours: length of the soundscapes.
        mean_f1: mean of F1 over classes; None without classes.
        classes: figures by class.
        false_alarms_per_hour, false_alarms_at_most_per_hour: rate, and its 95 % upper bound.

    """

    hours: float
    mean_f1: float | None
    classes: Mapping[str, EventFigures]
    false_alarms_per_hour: float | None = field(init=False)
    false_alarms_at_most_per_hour: float | None = field(init=False)

    def __post_init__(self) -> None:
        """Derive the figures."""
        EventFigures.__post_init__(self)
        hours = round(self.hours, HOUR_DIGITS)
        rate, bound = rates_per_hour(self.false_alarms, hours)
        _derive(self, hours=hours, false_alarms_per_hour=rate, false_alarms_at_most_per_hour=bound)

    @classmethod
    def of_classes(cls, hours: float, by_class: Mapping[str, EventCounts]) -> "SoundscapeFigures":
        """Return the figures of soundscapes from the counts of each class."""
        total = reduce(add, by_class.values(), EventCounts())
        median, late = latency_figures(total.latencies_seconds)
        return cls(
            true=total.true,
            detected=total.detected,
            matched=total.matched,
            overlapped=total.overlapped,
            false_alarms=total.false_alarms,
            latency_median_seconds=median,
            latency_p90_seconds=late,
            hours=hours,
            mean_f1=mean_f1(by_class.values()),
            classes={slug: EventFigures.of(counts) for slug, counts in sorted(by_class.items())},
        )

    def __add__(self, other: "SoundscapeFigures") -> "SoundscapeFigures":
        """Add up two sets of soundscapes, by the counts and latencies of each class."""
        total = {slug: figures.counts for slug, figures in self.classes.items()}
        for slug, figures in other.classes.items():
            total[slug] = total.get(slug, EventCounts()) + figures.counts
        return SoundscapeFigures.of_classes(self.hours + other.hours, total)

    def without_latencies(self, *, keep_classes: bool) -> "SoundscapeFigures":
        """Return the figures without the latency of each event, and without classes unless they are kept."""
        kept = self.classes if keep_classes else {}
        return replace(self, classes={slug: replace(figures, latencies_seconds=None) for slug, figures in kept.items()})


def rates_per_hour(events: int, hours: float) -> tuple[float | None, float | None]:
    """Return the rate of events and the 95 % upper bound of their mean; None without sound."""
    return (events / hours, poisson_upper(events) / hours) if hours else (None, None)


def _derive(figures: object, **values: object) -> None:
    """Set derived fields of a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(figures, name, value)
