"""Answer of the HTTP interface to what a threshold would have done in the last day or week, from stored probabilities."""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_detector.detection.hysteresis import Rule
from edge_detector.history.probability_files import FOLDER_NAME, read_blocks
from edge_detector.history.store import DAY_MS
from edge_detector.history.would_have import count
from edge_detector.mqtt.runtime_settings import MAX_THRESHOLD, MIN_THRESHOLD, with_threshold
from edge_detector.web.history_api import BadRequest, Query, check_keys, quoted, value_of
from edge_detector.web.views import NodeView

_NUMBER = re.compile(r"[01](\.\d{1,20})?", re.ASCII)
_DAYS = {"1": 1, "7": 7}


@dataclass(frozen=True, slots=True)
class WouldHave:
    """Events that a threshold makes of a class, and those of another one, by default the one in force.

    Attributes:
        on, events: threshold that was asked for, and its events.
        on_now, events_now: threshold in force, or the one that it is to be compared with, and its events.
        hours: sound with the class enabled.

    """

    on: float
    events: int
    on_now: float
    events_now: int
    hours: float

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON."""
        return asdict(self)


def would_have(history: Path, query: Query, view: NodeView, defaults: Mapping[str, Mapping[str, Rule]]) -> WouldHave:
    """Return the events of a threshold in the last day or week. Raises BadRequest, EdgeDetectorError.

    Args:
        history: file of the history, beside which the probabilities are.
        query: source, class, on, days, and now for a threshold in place of the one in force.
        view: the node, with the thresholds in force.
        defaults: rules of bundle and configuration by source and class.

    """
    check_keys(query, ("source", "class", "on", "now", "days"))
    source, slug = value_of(query, "source"), value_of(query, "class")
    in_force = {(each.name, sound.slug): sound.on for each in view.sources for sound in each.classes}
    rule = defaults.get(source or "", {}).get(slug or "")
    if source is None or slug is None or rule is None or (source, slug) not in in_force:
        raise BadRequest(f"there is no class {quoted(slug or '')} of {quoted(source or '')} that is on; /api/classes has them")
    days = _DAYS.get(value_of(query, "days") or "1")
    if days is None:
        raise BadRequest("days is neither 1 nor 7; give one of them")
    on, on_now = _threshold(query, "on"), _threshold(query, "now")
    if on is None:
        raise BadRequest(f"on is missing; give the threshold, {MIN_THRESHOLD:g} to {MAX_THRESHOLD:g}")
    on_now = in_force[source, slug] if on_now is None else on_now
    now_ms = round(1e3 * time.time())
    # A recording is read faster than it was made, so that its end may lie ahead.
    since_ms, until_ms = now_ms - days * DAY_MS, now_ms + DAY_MS
    blocks = read_blocks(history.parent / FOLDER_NAME, source, since_ms, until_ms)
    found = count(blocks, slug, [with_threshold(rule, on), with_threshold(rule, on_now)], since_ms, until_ms)
    return WouldHave(on, found.events[0], on_now, found.events[1], round(found.hours, 3))


def _threshold(query: Query, key: str) -> float | None:
    text = value_of(query, key)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or not MIN_THRESHOLD <= float(text) <= MAX_THRESHOLD:
        raise BadRequest(f"{key} = {quoted(text)} is no threshold; give {MIN_THRESHOLD:g} to {MAX_THRESHOLD:g}")
    return float(text)
