"""What a detector finds of its classes, and what it detects falsely in other sounds, at every strictness: counts that add up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.metrics.intervals import wilson_interval

Json = Mapping[str, Any]
FALSE_SHARES = (0.07, 0.10, 0.16)
"""Shares of false recordings at which found is reported."""

LARGE_LABEL_RECORDINGS = 20
"""Labels with fewer are no part of the mean over labels."""


@dataclass(frozen=True, slots=True)
class Share:
    """A count of so many.

    Attributes:
        count: how many.
        total: of how many.
        repeats: how often each of them is counted. What is counted again is no new evidence, and leaves the interval as it is.

    """

    count: int
    total: int
    repeats: int = 1

    @property
    def value(self) -> float:
        """In [0, 1]; 0 of nothing."""
        return self.count / max(self.total, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return wilson_interval(self.count / self.repeats, self.total / self.repeats)

    def as_json(self) -> dict[str, Any]:
        """Count and figures."""
        return {"count": self.count, "share": self.value, "share_95": list(self.interval)}


@dataclass(frozen=True, slots=True)
class Material:
    """What was measured on.

    Attributes:
        clips: how many clips, by class.
        others: how many recordings of other sounds, by label.
        may_hold: which of the classes that are measured may be in them, by label.
        anything: labels whose recordings may hold any sound; they are no part of a share.
        bundles: how many bundles were measured on all of `others`; each on clips of its own.

    """

    clips: Mapping[str, int]
    others: Mapping[str, int]
    may_hold: Mapping[str, tuple[str, ...]]
    anything: tuple[str, ...]
    bundles: int = 1

    def found(self, count: int) -> Share:
        """Of all clips."""
        return Share(count, sum(self.clips.values()))

    def false(self, count: int) -> Share:
        """Of all recordings whose label excludes something, as often as they were measured on."""
        recordings = sum(count for label, count in self.others.items() if label not in self.anything)
        return Share(count, self.bundles * recordings, self.bundles)

    def of_label(self, label: str, count: int) -> float:
        """Of the recordings of one label."""
        return count / (self.bundles * self.others[label])

    def mean_over_labels(self, by_label: Mapping[str, int]) -> float | None:
        """The mean over the labels with enough recordings, each with the same weight; None where there is none."""
        large = [label for label, count in self.others.items() if count >= LARGE_LABEL_RECORDINGS and label not in self.anything]
        return sum(self.of_label(label, by_label.get(label, 0)) for label in large) / len(large) if large else None


@dataclass(frozen=True, slots=True)
class FalseCount:
    """Recordings of other sounds with a false event of some classes, and the mean of their share over the larger labels."""

    recordings: int
    mean_over_labels: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """What one strictness gives.

    Attributes:
        found: clips with an event of their class.
        of_ten: false events of ESC-10's ten classes.
        of_enabled: false events of all enabled classes.

    """

    found: int
    of_ten: FalseCount
    of_enabled: FalseCount


@dataclass(frozen=True, slots=True)
class Mark:
    """A strictness that people use, in detail.

    Attributes:
        strictness: the key of its point.
        found: clips with an event of their class, by class.
        of_ten: recordings with a false event of ESC-10's ten classes, by label; those that may hold anything too.
        of_enabled: the same of all enabled classes.
        of_class: recordings with a false event of a class, by class, without those that may hold anything.

    """

    strictness: str
    found: Mapping[str, int]
    of_ten: Mapping[str, int]
    of_enabled: Mapping[str, int]
    of_class: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Curve:
    """One detector: its points by strictness, from sensitive to strict, and those that have a name."""

    title: str
    points: Mapping[str, Point]
    marks: Mapping[str, Mark]

    def marked(self, name: str) -> Point:
        """The point of a mark."""
        return self.points[self.marks[name].strictness]


@dataclass(frozen=True, slots=True)
class OtherSounds:
    """Detectors on the same clips and the same recordings of other sounds.

    Attributes:
        hop_seconds: from one decision to the next.
        enabled: classes that the bundle detects unless a configuration says otherwise.
        material: what it is measured on.
        curves: by detector.

    """

    hop_seconds: float
    enabled: tuple[str, ...]
    material: Material
    curves: Mapping[str, Curve]

    def found_where(self, curve: Curve, axis: str, share: float) -> float | None:
        """The share of clips found where this share of the other recordings is false, by one of AXES; None beyond the curve."""
        value = AXES[axis]
        points = [(value(self.material, point), self.material.found(point.found).value) for point in curve.points.values()]
        return found_where_false([(false, found) for false, found in points if false is not None], share)

    def as_json(self) -> dict[str, Any]:
        """All of it, with the figures that follow."""
        material = self.material
        return {
            "hop_seconds": self.hop_seconds,
            "bundles": material.bundles,
            "enabled": list(self.enabled),
            "clips": dict(material.clips),
            "others": {
                label: {"recordings": count, "may_hold": list(material.may_hold[label])}
                for label, count in material.others.items()
            },
            "anything": list(material.anything),
            "curves": {key: self._curve_json(curve) for key, curve in self.curves.items()},
        }

    @classmethod
    def from_json(cls, content: Json) -> "OtherSounds":
        """What `as_json` gave. Raises KeyError or TypeError for anything else."""
        others = content["others"]
        material = Material(
            content["clips"],
            {label: each["recordings"] for label, each in others.items()},
            {label: tuple(each["may_hold"]) for label, each in others.items()},
            tuple(content["anything"]),
            content["bundles"],
        )
        curves = {key: _curve_of(each) for key, each in content["curves"].items()}
        return cls(content["hop_seconds"], tuple(content["enabled"]), material, curves)

    def shape(self) -> tuple[object, ...]:
        """What two of them must share to be added up."""
        material = self.material
        keys = {key: (list(curve.points), list(curve.marks)) for key, curve in self.curves.items()}
        return self.hop_seconds, self.enabled, material.others, material.may_hold, material.anything, keys

    def _curve_json(self, curve: Curve) -> dict[str, Any]:
        return {
            "title": curve.title,
            "points": {
                strictness: {
                    "found": self.material.found(point.found).as_json(),
                    "false_of_ten": self._false_json(point.of_ten),
                    "false_of_enabled": self._false_json(point.of_enabled),
                }
                for strictness, point in curve.points.items()
            },
            "marks": {
                name: {
                    "strictness": mark.strictness,
                    "found": dict(mark.found),
                    "false_of_ten": dict(mark.of_ten),
                    "false_of_enabled": dict(mark.of_enabled),
                    "false_of_class": dict(mark.of_class),
                }
                for name, mark in curve.marks.items()
            },
            "found_where_false": {
                axis: {f"{share:g}": self.found_where(curve, axis, share) for share in FALSE_SHARES} for axis in AXES
            },
        }

    def _false_json(self, false: FalseCount) -> dict[str, Any]:
        return {**self.material.false(false.recordings).as_json(), "mean_over_labels": false.mean_over_labels}


AXES: Mapping[str, Callable[[Material, Point], float | None]] = {
    "ten": lambda material, point: material.false(point.of_ten.recordings).value,
    "enabled": lambda material, point: material.false(point.of_enabled.recordings).value,
    "ten_mean_over_labels": lambda _material, point: point.of_ten.mean_over_labels,
}
"""Ways to say how many of the other recordings are false."""


def found_where_false(points: Sequence[tuple[float, float]], share: float) -> float | None:
    """What is found where this share is false, between two points (false, found) of a curve; None beyond them."""
    best: dict[float, float] = {}
    for false, found in points:
        best[false] = max(found, best.get(false, 0.0))
    shares = sorted(best)
    if not shares or not shares[0] <= share <= shares[-1]:
        return None
    return float(np.interp(share, shares, [best[each] for each in shares]))


def added_other_sounds(parts: Sequence[OtherSounds]) -> OtherSounds:
    """Of several folds together, of one shape: clips add up, and each part's bundle was measured on all the other recordings."""
    first = parts[0]
    bundles = [part.material.bundles for part in parts]
    material = Material(
        _sum([part.material.clips for part in parts]),
        first.material.others,
        first.material.may_hold,
        first.material.anything,
        sum(bundles),
    )
    curves = {key: _added([part.curves[key] for part in parts], bundles) for key in first.curves}
    return OtherSounds(first.hop_seconds, first.enabled, material, curves)


def _added(curves: Sequence[Curve], bundles: Sequence[int]) -> Curve:
    first = curves[0]
    points = {
        strictness: Point(
            sum(point.found for point in points),
            _added_false([point.of_ten for point in points], bundles),
            _added_false([point.of_enabled for point in points], bundles),
        )
        for strictness in first.points
        for points in [[curve.points[strictness] for curve in curves]]
    }
    marks = {
        name: Mark(
            mark.strictness,
            _sum([each.found for each in marks]),
            _sum([each.of_ten for each in marks]),
            _sum([each.of_enabled for each in marks]),
            _sum([each.of_class for each in marks]),
        )
        for name, mark in first.marks.items()
        for marks in [[curve.marks[name] for curve in curves]]
    }
    return Curve(first.title, points, marks)


def _added_false(counts: Sequence[FalseCount], bundles: Sequence[int]) -> FalseCount:
    means = [count.mean_over_labels for count in counts]
    # The recordings are the same for all, so that the mean over labels of the sum is the mean of the means.
    known = [mean * times for mean, times in zip(means, bundles, strict=True) if mean is not None]
    return FalseCount(sum(count.recordings for count in counts), sum(known) / sum(bundles) if known else None)


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def _curve_of(content: Json) -> Curve:
    points = {
        strictness: Point(each["found"]["count"], _false_of(each["false_of_ten"]), _false_of(each["false_of_enabled"]))
        for strictness, each in content["points"].items()
    }
    marks = {
        name: Mark(each["strictness"], each["found"], each["false_of_ten"], each["false_of_enabled"], each["false_of_class"])
        for name, each in content["marks"].items()
    }
    return Curve(content["title"], points, marks)


def _false_of(content: Json) -> FalseCount:
    return FalseCount(content["count"], content["mean_over_labels"])
