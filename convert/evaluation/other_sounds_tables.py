"""Clips found and false events in other sounds: tables of a score and of a model card."""

from collections.abc import Callable, Mapping, Sequence

from convert.evaluation.markdown import table
from convert.evaluation.other_figures import AXES, FALSE_SHARES, Curve, Mark, OtherSounds, Point, Share, share_of

AXIS_NAMES = {
    "ten": "of the ten",
    "enabled": "of all enabled",
    "ten_mean_over_labels": "of the ten, mean over labels",
}
COMMON_LABELS = 3
"""Number of labels of other recordings that are named."""


def found_and_false(found: OtherSounds) -> str:
    """Format the table of a model card: found and false at the marks."""
    return "\n\n".join([_about(found), _marks_table(found), _limits(found)])


def other_sounds_section(found: OtherSounds) -> str:
    """Format found and false at the marks, and found at given shares of false recordings."""
    return "\n\n".join([_about(found), _marks_table(found), _interpolated_table(found), _limits(found)])


def other_sounds_text(found: OtherSounds) -> str:
    """Format all tables: those of a card, every point, and the marks by label and by class."""
    others = {label: each.recordings for label, each in found.others.items()}
    labels = sorted(others, key=lambda label: (label in found.anything, -others[label], label))
    label_names = {label: f"{label} ({others[label]})" for label in labels}
    classes = {
        slug: f"`{slug}`" for slug in sorted({*found.enabled, *(slug for mark in _marks(found) for slug in mark.false_of_class)})
    }
    clips = {slug: f"`{slug}` ({count})" for slug, count in sorted(found.clips.items())}
    parts = [
        other_sounds_section(found),
        *(_points_table(curve) for curve in found.curves.values()),
        "By label: recordings with a false event of ESC-10's ten classes, in %.",
        _by(found, label_names, "label (recordings)", lambda mark, label: found.of_label(label, mark.false_of_ten.get(label, 0))),
        "By label: recordings with a false event of an enabled class, in %.",
        _by(
            found,
            label_names,
            "label (recordings)",
            lambda mark, label: found.of_label(label, mark.false_of_enabled.get(label, 0)),
        ),
        "By class: clips found, in %.",
        _by(found, clips, "class (clips)", lambda mark, slug: mark.found.get(slug, 0) / found.clips[slug]),
        "By class: recordings of other sounds with a false event of it, in %.",
        _by(found, classes, "class", lambda mark, slug: found.false(mark.false_of_class.get(slug, 0)).share),
    ]
    return "\n\n".join(parts)


def _about(found: OtherSounds) -> str:
    excluded = sum(each.recordings for each in found.others.values()) - found.counted
    parts = [
        f"Other sounds, a decision every {found.hop_seconds:g} s.",
        f"Found: share of {found.clip_count} clips that give an event of their class.",
        f"False: share of {found.counted} recordings of other sounds that give an event of a class that cannot be in them",
        f"by their label, for ESC-10's ten classes, and for all {len(found.enabled)} enabled classes.",
    ]
    if excluded:
        parts.append(f"{excluded} more ({', '.join(found.anything)}) may hold any sound and are excluded.")
    parts.append(
        "Sensitive and strict: all thresholds of the bundle shifted by the same log-odds; YAMNet: one threshold for all "
        "classes, the same decider. In brackets: 95 % intervals (Wilson)."
    )
    if found.bundles > 1:
        parts.append(
            f"Each of the {found.bundles} bundles was measured on all other recordings, which makes "
            f"{found.bundles * found.counted} trials; because the recordings are the same, the intervals of false shares are as "
            f"wide as for {found.counted}."
        )
    return " ".join(parts)


def _limits(found: OtherSounds) -> str:
    known = {label: each.recordings for label, each in found.others.items() if label not in found.anything}
    common = sorted(known, key=lambda label: (-known[label], label))[:COMMON_LABELS]
    named = ", ".join(f"{label} {known[label]}" for label in common)
    return (
        f"Limits: the other recordings have {len(known)} labels, and most recordings have a few of these ({named}); the labels "
        "are those of the collections, unverified, and a share of such recordings is no rate of false alarms in a home."
    )


def _marks_table(found: OtherSounds) -> str:
    rows = []
    for curve in found.curves.values():
        for name in curve.marks:
            point = curve.marked(name)
            rows.append([curve.title, name, *map(_share, _figures(point))])
    return table(["detector", "strictness", "found", "false of the ten", "false of all enabled"], rows)


def _interpolated_table(found: OtherSounds) -> str:
    rows = [
        [
            f"{100 * share:.0f} % {AXIS_NAMES[axis]}",
            *(_interpolated(curve.found_where_false[axis][f"{share:g}"], found.clip_count) for curve in found.curves.values()),
        ]
        for axis in AXES
        for share in FALSE_SHARES
    ]
    return table(["found at a share of false recordings", *(curve.title for curve in found.curves.values())], rows)


def _points_table(curve: Curve) -> str:
    names = {mark.strictness: f" {name}" for name, mark in curve.marks.items() if name != mark.strictness}
    rows = [
        [
            f"{strictness}{names.get(strictness, '')}",
            *map(_share, _figures(point)),
            _percent(point.false_of_ten.mean_over_labels),
        ]
        for strictness, point in curve.points.items()
    ]
    head = ["strictness", "found", "false of the ten", "false of all enabled", "of the ten, mean over labels"]
    return f"{curve.title}, from sensitive to strict:\n\n{table(head, rows)}"


def _by(found: OtherSounds, names: Mapping[str, str], head: str, value: Callable[[Mark, str], float]) -> str:
    columns = [f"{curve.title}, {name}" for curve in found.curves.values() for name in curve.marks]
    marks = _marks(found)
    rows = [[name, *(f"{100 * value(mark, key):.1f}" for mark in marks)] for key, name in names.items()]
    return table([head, *columns], rows)


def _marks(found: OtherSounds) -> list[Mark]:
    return [mark for curve in found.curves.values() for mark in curve.marks.values()]


def _figures(point: Point) -> Sequence[Share]:
    return point.found, point.false_of_ten, point.false_of_enabled


def _interpolated(share: float | None, clips: int) -> str:
    return "beyond the curve" if share is None else _in_brackets(share, share_of(round(share * clips), clips).share_95)


def _share(share: Share) -> str:
    return _in_brackets(share.share, share.share_95)


def _in_brackets(share: float, interval: tuple[float, float]) -> str:
    return f"{100 * share:.1f} % ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
