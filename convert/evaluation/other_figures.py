"""Clips found, and other recordings with false events, at every strictness: figures by the keys of a score's JSON.

Fields that follow from others are not arguments: JSON holds them, and they are computed again when it is read.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_detector.teaching.intervals import wilson_interval

FALSE_SHARES = (0.07, 0.10, 0.16)
"""Shares of false recordings at which the share found is reported."""

LARGE_LABEL_RECORDINGS = 20
"""Labels with fewer recordings are left out of the mean over labels."""


@dataclass(frozen=True, slots=True)
class Share:
    """A count, the share that it is, and the share's 95 % interval (Wilson)."""

    count: int
    share: float
    share_95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class FalseShare(Share):
    """Recordings of other sounds with a false event.

    Attributes:
        mean_over_labels: mean of the share over the labels with enough recordings; None if there are none.

    """

    mean_over_labels: float | None


def share_of(count: int, total: int, repeats: int = 1) -> Share:
    """Return a share; 0 of 0.

    Args:
        count: number counted.
        total: number that could be counted.
        repeats: number of times that each item is counted. A repetition is no new evidence and does not narrow the interval.

    """
    return Share(count, count / max(total, 1), wilson_interval(count / repeats, total / repeats))


@dataclass(frozen=True, slots=True)
class Point:
    """Figures at one strictness.

    Attributes:
        found: clips with an event of their class.
        false_of_ten: other recordings with a false event of ESC-10's ten classes.
        false_of_enabled: other recordings with a false event of an enabled class.

    """

    found: Share
    false_of_ten: FalseShare
    false_of_enabled: FalseShare


@dataclass(frozen=True, slots=True)
class Mark:
    """A strictness with a name, in detail.

    Attributes:
        strictness: key of its point.
        found: clips with an event of their class, by class.
        false_of_ten: recordings with a false event of ESC-10's ten classes, by label; labels of any sound included.
        false_of_enabled: the same for all enabled classes.
        false_of_class: recordings with a false event of a class, by class; labels of any sound excluded.

    """

    strictness: str
    found: Mapping[str, int]
    false_of_ten: Mapping[str, int]
    false_of_enabled: Mapping[str, int]
    false_of_class: Mapping[str, int]

    def __add__(self, other: "Mark") -> "Mark":
        """Add up two folds."""
        return Mark(
            self.strictness,
            _sum(self.found, other.found),
            _sum(self.false_of_ten, other.false_of_ten),
            _sum(self.false_of_enabled, other.false_of_enabled),
            _sum(self.false_of_class, other.false_of_class),
        )


AXES: Mapping[str, Callable[[Point], float | None]] = {
    "ten": lambda point: point.false_of_ten.share,
    "enabled": lambda point: point.false_of_enabled.share,
    "ten_mean_over_labels": lambda point: point.false_of_ten.mean_over_labels,
}
"""Shares of false recordings."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One detector at every strictness.

    Attributes:
        title: for tables.
        points: by strictness, from sensitive to strict.
        marks: strictnesses with a name.
        found_where_false: share found by one of AXES and share of false recordings, between points; None beyond the curve.

    """

    title: str
    points: Mapping[str, Point]
    marks: Mapping[str, Mark]
    found_where_false: Mapping[str, Mapping[str, float | None]] = field(init=False)

    def __post_init__(self) -> None:
        """Interpolate. Raises ValueError for a mark without a point."""
        if missing := [mark.strictness for mark in self.marks.values() if mark.strictness not in self.points]:
            raise ValueError(f"marks names the strictness {missing[0]!r}, which has no point")
        found = {axis: {f"{share:g}": self._found_where(axis, share) for share in FALSE_SHARES} for axis in AXES}
        object.__setattr__(self, "found_where_false", found)

    def marked(self, name: str) -> Point:
        """Return the point of a mark."""
        return self.points[self.marks[name].strictness]

    def _found_where(self, axis: str, share: float) -> float | None:
        points = [(AXES[axis](point), point.found.share) for point in self.points.values()]
        return found_where_false([(false, found) for false, found in points if false is not None], share)


@dataclass(frozen=True, slots=True)
class OtherLabel:
    """Recordings of other sounds with one label: their number, and the measured classes that may be in them."""

    recordings: int
    may_hold: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Clips and recordings of other sounds.

    Attributes:
        clips: number of clips by class.
        others: recordings of other sounds by label.
        anything: labels whose recordings may hold any sound; they are excluded from shares.
        bundles: number of bundles, each measured on clips of its own and on all of `others`.

    """

    clips: Mapping[str, int]
    others: Mapping[str, OtherLabel]
    anything: tuple[str, ...]
    bundles: int = 1

    @property
    def clip_count(self) -> int:
        """Number of clips."""
        return sum(self.clips.values())

    @property
    def counted(self) -> int:
        """Number of recordings that shares are of."""
        return sum(each.recordings for label, each in self.others.items() if label not in self.anything)

    def found(self, count: int) -> Share:
        """Return the share of all clips."""
        return share_of(count, self.clip_count)

    def false(self, count: int) -> Share:
        """Return the share of the counted recordings, each counted once for each bundle."""
        return share_of(count, self.bundles * self.counted, self.bundles)

    def false_share(self, by_label: Mapping[str, int]) -> FalseShare:
        """Return the share of recordings with a false event, from their number by label."""
        count = sum(count for label, count in by_label.items() if label not in self.anything)
        return self.with_mean(count, self.mean_over_labels(by_label))

    def with_mean(self, count: int, mean: float | None) -> FalseShare:
        """Return the share of a number of recordings, with the mean over labels."""
        false = self.false(count)
        return FalseShare(false.count, false.share, false.share_95, mean)

    def of_label(self, label: str, count: int) -> float:
        """Return the share of the recordings of one label."""
        return count / (self.bundles * self.others[label].recordings)

    def mean_over_labels(self, by_label: Mapping[str, int]) -> float | None:
        """Return the mean share over the labels with enough recordings, with equal weights; None if there are none."""
        large = [
            label
            for label, each in self.others.items()
            if each.recordings >= LARGE_LABEL_RECORDINGS and label not in self.anything
        ]
        return sum(self.of_label(label, by_label.get(label, 0)) for label in large) / len(large) if large else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSounds(Material):
    """Detectors on the same clips and the same recordings of other sounds.

    Attributes:
        hop_seconds: time between two decisions.
        enabled: classes that the bundle detects without a configuration.
        curves: by detector.

    """

    hop_seconds: float
    enabled: tuple[str, ...]
    curves: Mapping[str, Curve]

    def shape(self) -> tuple[object, ...]:
        """Return the settings that two results must share to be added up."""
        keys = {key: (list(curve.points), list(curve.marks)) for key, curve in self.curves.items()}
        return self.hop_seconds, self.enabled, self.others, self.anything, keys

    def __add__(self, other: "OtherSounds") -> "OtherSounds":
        """Add up two folds of one shape: clips add up, and both bundles are measured on all other recordings."""
        material = Material(
            clips=_sum(self.clips, other.clips),
            others=self.others,
            anything=self.anything,
            bundles=self.bundles + other.bundles,
        )
        bundles = (self.bundles, other.bundles)
        return OtherSounds(
            clips=material.clips,
            others=material.others,
            anything=material.anything,
            bundles=material.bundles,
            hop_seconds=self.hop_seconds,
            enabled=self.enabled,
            curves={key: _added_curve(material, bundles, curve, other.curves[key]) for key, curve in self.curves.items()},
        )


def found_where_false(points: Sequence[tuple[float, float]], share: float) -> float | None:
    """Interpolate the share found at a share of false recordings, from points (false, found); None beyond them."""
    best: dict[float, float] = {}
    for false, found in points:
        best[false] = max(found, best.get(false, 0.0))
    shares = sorted(best)
    if not shares or not shares[0] <= share <= shares[-1]:
        return None
    return float(np.interp(share, shares, [best[each] for each in shares]))


def _added_curve(material: Material, bundles: tuple[int, int], one: Curve, other: Curve) -> Curve:
    points = {
        strictness: Point(
            material.found(point.found.count + again.found.count),
            _added_false(material, bundles, point.false_of_ten, again.false_of_ten),
            _added_false(material, bundles, point.false_of_enabled, again.false_of_enabled),
        )
        for strictness, point in one.points.items()
        for again in (other.points[strictness],)
    }
    return Curve(one.title, points, {name: mark + other.marks[name] for name, mark in one.marks.items()})


def _added_false(material: Material, bundles: tuple[int, int], one: FalseShare, other: FalseShare) -> FalseShare:
    means = one.mean_over_labels, other.mean_over_labels
    # The recordings are the same for both, so the mean over labels of the sum is the mean of the means.
    known = [mean * count for mean, count in zip(means, bundles, strict=True) if mean is not None]
    return material.with_mean(one.count + other.count, sum(known) / sum(bundles) if known else None)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = Counter(one)
    total.update(other)
    return dict(total)
