import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from edge_detector.core import wire
from edge_detector.core.bundle import SoundClass
from edge_detector.core.troubles import NO_TROUBLES, Troubles
from edge_detector.pipeline.reporter import Reporter
from edge_detector.types import Message

NAMES = wire.Names("edge_detector/nursery", "nursery", "cot", "none")
FULL = Troubles(outbox="the disk is full")


def reporter() -> Reporter:
    """Its clock is a second later each time."""
    seconds = count()
    return Reporter(NAMES, (SoundClass("rain", "Rain", None, {}),), "hop", lambda: float(next(seconds)))


def healths(messages: Iterator[Message]) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in messages if message.topic.endswith("/health")]


def test_what_is_wrong_with_the_node_is_told_at_once_and_changes_nothing_else() -> None:
    here = reporter()
    (well,) = healths(here.condition("healthy", "ok"))
    assert well["troubles"] == []
    assert healths(here.trouble(FULL)) == [{**well, "troubles": ["the disk is full"]}], "healthy since when it was"
    assert healths(here.trouble(FULL)) == [], "only news is told"
    assert healths(here.trouble(NO_TROUBLES)) == [well]


def test_a_source_that_changes_goes_on_telling_what_is_wrong_with_the_node() -> None:
    here = reporter()
    assert healths(here.trouble(FULL)) == [], "it has no state yet"
    (starting,) = healths(here.opening())
    (stalled,) = healths(here.condition("stalled", "ok"))
    assert starting["troubles"] == stalled["troubles"] == ["the disk is full"]
    assert starting["since"] < stalled["since"]
