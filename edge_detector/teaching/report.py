"""What teaching has found out, as JSON for the page: a file in the bundle beside its card."""

import json
from collections.abc import Mapping

from edge_detector.detection.bundle import hop_key
from edge_detector.teaching.figures import TaughtFigures
from edge_detector.teaching.thresholds import Thresholds


def report_content(
    figures: TaughtFigures,
    thresholds: Thresholds,
    labels: Mapping[str, str],
    *,
    replaced: tuple[str, ...],
    limits: tuple[str, ...],
    kept: int,
) -> bytes:
    """Return the bytes of the report; figures at a hop of 0.96 s.

    Args:
        figures: of the left-out recordings.
        thresholds: of the taught classes.
        labels: of the taught classes, by slug.
        replaced: slugs of the classes that taught ones replace.
        limits: sentences for users.
        kept: number of kept classes.

    """
    classes = []
    for slug, found in figures.classes.items():
        chosen = thresholds.chosen[slug][1]
        counts = {"recordings": found.recordings, "on_top": found.on_top, "events": found.events[hop_key(1)]}
        rule = {"threshold": chosen.rule.on, "false_alarms": dict(chosen.false_alarms)}
        classes.append({"slug": slug, "label": labels[slug], **counts, **rule, "replaces": slug in replaced})
    report = {
        "classes": classes,
        "hours": dict(thresholds.hours),
        "recordings": figures.recordings,
        "on_top": figures.on_top,
        "on_top_share_95": figures.on_top_share_95,
        "protocol": figures.protocol,
        "limits": limits,
        "kept": kept,
    }
    return (json.dumps(report, indent=1, allow_nan=False) + "\n").encode()
