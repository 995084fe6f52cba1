import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from edge_detector.audio.sample_clock import Anchor
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt import messages
from edge_detector.mqtt.reporter import Reporter
from edge_detector.mqtt.troubles import NO_TROUBLES, Troubles
from edge_detector.types import Detection, EventEnd, EventStart, Message, Scores

NAMES = messages.Names("edge_detector/nursery", "nursery", "cot", "none")
FULL = Troubles(outbox="the disk is full")


def reporter() -> Reporter:
    """Its clock is a second later each time."""
    seconds = count()
    return Reporter(NAMES, (SoundClass("rain", "Rain", None, {}),), (Rule(0.5, 0.3),), "hop", lambda: float(next(seconds)))


def healths(messages: Iterator[Message]) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in messages if message.topic.endswith("/health")]


def test_troubles_are_published_at_once_and_change_nothing_else() -> None:
    here = reporter()
    (well,) = healths(here.set_health("healthy", "ok"))
    assert well["troubles"] == []
    assert healths(here.set_troubles(FULL)) == [{**well, "troubles": ["the disk is full"]}], "healthy since when it was"
    assert healths(here.set_troubles(FULL)) == [], "only news is told"
    assert healths(here.set_troubles(NO_TROUBLES)) == [well]


def test_a_state_change_of_a_source_keeps_the_troubles_in_its_health() -> None:
    here = reporter()
    assert healths(here.set_troubles(FULL)) == [], "it has no state yet"
    (starting,) = healths(here.initial_state())
    (stalled,) = healths(here.set_health("stalled", "ok"))
    assert starting["troubles"] == stalled["troubles"] == ["the disk is full"]
    assert starting["since"] < stalled["since"]


ON, OFF = Rule(0.5, 0.3), Rule(0.5, 0.3, enabled=False)
CLASSES = tuple(SoundClass(slug, slug.capitalize(), None, {}) for slug in ("rain", "owl", "cat"))
ANCHOR = Anchor(0, 1_767_225_600.0, "system")


def forest(*rules: Rule) -> Reporter:
    return Reporter(NAMES, CLASSES, rules, "hop", lambda: 0.0)


def scores(*probabilities: float) -> Scores:
    return Scores(np.array(probabilities, np.float32), 1, 0, 0, 15_600, 0, -30.0)


def told(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """Leaf and payload of each state."""
    return [
        (message.topic.removeprefix(f"{NAMES.base}/cot/"), message.payload.decode())
        for message in messages
        if message.retained and not message.topic.endswith(("/health", "/availability", "/level"))
    ]


def reported(here: Reporter, items: Sequence[Scores | Detection]) -> list[Message]:
    return [message for item in items for message in here.report(item, ANCHOR)]


def test_a_disabled_class_is_in_no_message() -> None:
    here = forest(ON, OFF, ON)
    assert told(here.initial_state()) == [("class/rain", "OFF"), ("class/cat", "OFF"), ("top_class", "none")]
    (message, *_) = reported(here, [scores(0.25, 0.875, 0.5)])
    assert json.loads(message.payload)["probabilities"] == {"rain": 0.25, "cat": 0.5}
    everything = reported(here, [EventStart(2, 0, 0.5), scores(0.25, 0.875, 0.5)])
    assert told(everything) == [("class/cat", "ON"), ("top_class", "cat")]
    assert not any("owl" in f"{message.topic} {message.payload!r}" for message in everything)


def test_an_enabled_class_has_a_state_at_once_and_others_are_not_repeated() -> None:
    here = forest(ON, OFF, OFF)
    list(here.initial_state())
    assert told(here.set_rules((ON, ON, OFF))) == [("class/owl", "OFF")]
    assert told(here.set_rules((ON, ON, OFF))) == []
    (message, *_) = reported(here, [scores(0.25, 0.875, 0.5)])
    assert json.loads(message.payload)["probabilities"] == {"rain": 0.25, "owl": 0.875}


def test_disabling_the_top_class_selects_the_next_at_once() -> None:
    here = forest(ON, ON, ON)
    list(here.initial_state())
    reported(here, [EventStart(0, 0, 0.6), EventStart(1, 0, 0.8), EventStart(2, 0, 0.7)])
    assert told(reported(here, [scores(0.6, 0.8, 0.7)])) == [("top_class", "owl")]
    assert told(reported(here, [EventEnd(1, 0, 15_600, 0.8, "ended")])) == [("class/owl", "OFF")]
    assert told(here.set_rules((ON, OFF, ON))) == [("top_class", "cat")]
    assert told(here.set_rules((ON, OFF, ON))) == []


def test_with_every_class_disabled_the_level_is_published() -> None:
    here = forest(OFF, OFF, OFF)
    assert told(here.initial_state()) == [("top_class", "none")]
    messages = reported(here, [scores(0.25, 0.875, 0.5)])
    assert json.loads(messages[0].payload)["probabilities"] == {}
    assert messages[1].topic.endswith("/level")
