"""What was found and what was false on other sounds: the tables of a score and of a model card, and the picture of the curves."""

from collections.abc import Callable, Mapping, Sequence

from convert.evaluation.markdown import table
from convert.evaluation.other_figures import AXES, FALSE_SHARES, Curve, Mark, OtherSounds, Point, Share
from convert.svg_curve import MarkedLine, draw_marked_lines

AXIS_NAMES = {
    "ten": "of the ten",
    "enabled": "of all enabled",
    "ten_mean_over_labels": "of the ten, mean over labels",
}
COMMON_LABELS = 3
"""Of the other recordings, so many labels are named."""


def other_sounds_section(found: OtherSounds) -> str:
    """What a card says: found and false where it is marked, and found where a given share is false."""
    return "\n\n".join([_about(found), _marks_table(found), _interpolated_table(found), _limits(found)])


def other_sounds_text(found: OtherSounds) -> str:
    """All of it: that, every point, and the marked ones by label and by class."""
    material = found.material
    labels = sorted(material.others, key=lambda label: (label in material.anything, -material.others[label], label))
    label_names = {label: f"{label} ({material.others[label]})" for label in labels}
    classes = {
        slug: f"`{slug}`" for slug in sorted({*found.enabled, *(slug for mark in _marks(found) for slug in mark.of_class)})
    }
    clips = {slug: f"`{slug}` ({count})" for slug, count in sorted(material.clips.items())}
    parts = [
        other_sounds_section(found),
        *(_points_table(found, curve) for curve in found.curves.values()),
        "By label: recordings with a false event of ESC-10's ten classes, in %.",
        _by(found, label_names, "label (recordings)", lambda mark, label: material.of_label(label, mark.of_ten.get(label, 0))),
        "By label: recordings with a false event of an enabled class, in %.",
        _by(
            found, label_names, "label (recordings)", lambda mark, label: material.of_label(label, mark.of_enabled.get(label, 0))
        ),
        "By class: clips found, in %.",
        _by(found, clips, "class (clips)", lambda mark, slug: mark.found.get(slug, 0) / material.clips[slug]),
        "By class: recordings of other sounds with a false event of it, in %.",
        _by(found, classes, "class", lambda mark, slug: material.false(mark.of_class.get(slug, 0)).value),
    ]
    return "\n\n".join(parts)


def draw_other_sounds(found: OtherSounds) -> str:
    """The curves as an SVG picture: found over false of the ten, marked where people use them."""

    def place(point: Point) -> tuple[float, float]:
        return _false_of_ten(found, point).value, found.material.found(point.found).value

    lines = [
        MarkedLine(
            curve.title,
            tuple(place(point) for point in curve.points.values()),
            {name: place(curve.marked(name)) for name in curve.marks},
        )
        for curve in found.curves.values()
    ]
    return draw_marked_lines(
        lines, "other recordings with a false event of ESC-10's ten classes", "clips with an event of their class"
    )


def _about(found: OtherSounds) -> str:
    material = found.material
    counted, apart = (
        sum(count for label, count in material.others.items() if (label in material.anything) == anything)
        for anything in (False, True)
    )
    what = (
        f"Other sounds, a decision every {found.hop_seconds:g} s. Found: of {sum(material.clips.values())} clips, those that "
        f"give an event of their class. False: of {counted} recordings of other sounds, those that give an event of a class that "
        f"may not be in them by their label: of ESC-10's ten classes, and of all {len(found.enabled)} that are enabled."
    )
    how = (
        "Sensitive and strict: all of the bundle's thresholds shifted by the same log-odds; YAMNet: one threshold for all "
        "classes, the same decider. In brackets: 95 % intervals (Wilson)."
    )
    parts = [what, how]
    if apart:
        parts.insert(1, f"{apart} more ({', '.join(material.anything)}) may hold any sound and are counted apart.")
    if material.bundles > 1:
        parts.append(
            f"Each of the {material.bundles} bundles was measured on all the other recordings, which makes "
            f"{material.bundles * counted} trials; since they are the same recordings, intervals of what is false are as wide as "
            f"for {counted}."
        )
    return " ".join(parts)


def _limits(found: OtherSounds) -> str:
    material = found.material
    known = {label: count for label, count in material.others.items() if label not in material.anything}
    common = sorted(known, key=lambda label: (-known[label], label))[:COMMON_LABELS]
    named = ", ".join(f"{label} {known[label]}" for label in common)
    return (
        f"Limits: the other recordings are of {len(known)} labels, and a few of these have most ({named}); the labels are those "
        "of the collections, unverified, and a share of such recordings is no rate of false alarms in a home."
    )


def _marks_table(found: OtherSounds) -> str:
    rows = []
    for curve in found.curves.values():
        for name in curve.marks:
            point = curve.marked(name)
            rows.append([curve.title, name, *map(_share, _figures(found, point))])
    return table(["detector", "strictness", "found", "false of the ten", "false of all enabled"], rows)


def _interpolated_table(found: OtherSounds) -> str:
    rows = [
        [
            f"{100 * share:.0f} % {AXIS_NAMES[axis]}",
            *(_interpolated(found, found.found_where(curve, axis, share)) for curve in found.curves.values()),
        ]
        for axis in AXES
        for share in FALSE_SHARES
    ]
    return table(["found where so many are false", *(curve.title for curve in found.curves.values())], rows)


def _points_table(found: OtherSounds, curve: Curve) -> str:
    names = {mark.strictness: f" {name}" for name, mark in curve.marks.items() if name != mark.strictness}
    rows = [
        [
            f"{strictness}{names.get(strictness, '')}",
            *map(_share, _figures(found, point)),
            _percent(point.of_ten.mean_over_labels),
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


def _figures(found: OtherSounds, point: Point) -> Sequence[Share]:
    material = found.material
    return material.found(point.found), _false_of_ten(found, point), material.false(point.of_enabled.recordings)


def _false_of_ten(found: OtherSounds, point: Point) -> Share:
    return found.material.false(point.of_ten.recordings)


def _interpolated(found: OtherSounds, share: float | None) -> str:
    if share is None:
        return "beyond the curve"
    clips = sum(found.material.clips.values())
    return _in_brackets(share, Share(round(share * clips), clips).interval)


def _share(share: Share) -> str:
    return _in_brackets(share.value, share.interval)


def _in_brackets(share: float, interval: tuple[float, float]) -> str:
    return f"{100 * share:.1f} % ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
