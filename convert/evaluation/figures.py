"""What a score is reported as: counts that can be added up over folds, and beside them the figures that follow."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from convert.evaluation.calibration import poisson_upper
from convert.metrics.events import EventCounts, mean_f1
from convert.metrics.intervals import wilson_interval

Json = Mapping[str, Any]
COUNTED = ("true", "heard", "matched", "touched", "false_alarms")


def accuracy_json(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Of clips, by their top class: confusion[i][j] are those of class i heard as j, the last column those too short to say."""
    counts = np.asarray(confusion, np.int64)
    right, clips = int(np.trace(counts)), int(counts.sum())
    totals = counts.sum(axis=1)
    return {
        "clips": clips,
        "right": right,
        "accuracy": right / max(clips, 1),
        "errors": clips - right,
        "error_share_95": list(wilson_interval(clips - right, clips)),
        "recall": {label: float(counts[i, i] / totals[i]) for i, label in enumerate(labels) if totals[i]},
        "labels": list(labels),
        "confusion": counts.tolist(),
    }


def added_accuracy(parts: Sequence[Json]) -> dict[str, Any]:
    """Of several folds together; their labels are the same."""
    return accuracy_json(parts[0]["labels"], np.sum([part["confusion"] for part in parts], axis=0).tolist())


def found_json(counts: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Of clips, by class [how many gave an event of it, how many there are]."""
    found, clips = (sum(pair[side] for pair in counts.values()) for side in (0, 1))
    return {
        "clips": clips,
        "found": found,
        "share": found / max(clips, 1),
        "share_95": list(wilson_interval(found, clips)),
        "recall": {slug: pair[0] / pair[1] for slug, pair in counts.items() if pair[1]},
        "counts": {slug: list(pair) for slug, pair in counts.items()},
    }


def added_found(parts: Iterable[Json]) -> dict[str, Any]:
    """Of several folds together."""
    total: dict[str, list[int]] = {}
    for part in parts:
        for slug, pair in part["counts"].items():
            before = total.get(slug, [0, 0])
            total[slug] = [before[0] + pair[0], before[1] + pair[1]]
    return found_json(total)


def alarms_json(hours: float, classes: Mapping[str, int]) -> dict[str, Any]:
    """Of events in sound that holds none of their class; `at_most_per_hour` is the one-sided 95 % bound of Poisson's mean."""
    events = sum(classes.values())
    return {
        "hours": round(hours, 6),
        "events": events,
        "per_hour": events / hours if hours else None,
        "at_most_per_hour": poisson_upper(events) / hours if hours else None,
        "classes": {slug: count for slug, count in sorted(classes.items()) if count},
    }


def added_alarms(parts: Sequence[Json]) -> dict[str, Any]:
    """Of several together."""
    classes: Counter[str] = Counter()
    for part in parts:
        classes.update(part["classes"])
    return alarms_json(sum(part["hours"] for part in parts), classes)


def events_json(hours: float, counts: Mapping[str, EventCounts]) -> dict[str, Any]:
    """Of events on soundscapes: all together, and by class."""
    every = reduce(add, counts.values(), EventCounts())
    alarms = alarms_json(hours, {"": every.false_alarms})
    return {
        "hours": round(hours, 6),
        **every.as_json(),
        "mean_f1": mean_f1(counts.values()),
        "false_alarms_per_hour": alarms["per_hour"],
        "false_alarms_at_most_per_hour": alarms["at_most_per_hour"],
        "classes": {
            slug: {**each.as_json(), "latencies_seconds": [round(latency, 3) for latency in each.latencies_seconds]}
            for slug, each in sorted(counts.items())
        },
    }


def added_events(parts: Sequence[Json]) -> dict[str, Any]:
    """Of several together."""
    total: dict[str, EventCounts] = {}
    for part in parts:
        for slug, each in part["classes"].items():
            counts = EventCounts(**{name: each[name] for name in COUNTED}, latencies_seconds=tuple(each["latencies_seconds"]))
            total[slug] = total.get(slug, EventCounts()) + counts
    return events_json(sum(part["hours"] for part in parts), total)
