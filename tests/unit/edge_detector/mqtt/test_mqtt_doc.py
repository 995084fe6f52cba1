"""docs/mqtt.md has every topic and every key on the wire, and no other."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from edge_detector.audio.sample_clock import Anchor
from edge_detector.detection.bundle import SoundClass
from edge_detector.mqtt import messages
from edge_detector.mqtt.telemetry import Inventory, Period, SourceTelemetry, Telemetry
from edge_detector.mqtt.troubles import NO_TROUBLES
from edge_detector.types import EndReason, EventStart, Message, Scores, SignalQuality, SourceState

PAGE = (Path(__file__).parents[4] / "docs" / "mqtt.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
NAMES = messages.Names("edge_detector/nursery", "nursery", "cot", "5f2a9c01b3de", "a1", "http://nursery.local:8080", clips=True)
CLASSES = (SoundClass("rain", "Rain", None, {}),)
ANCHOR = Anchor(0, 1_767_225_600.0, "system")
SOURCE = SourceTelemetry("healthy", "system", 0.0, 1, 0, 0, 0)
INVENTORY = Inventory("1.2.3", "default 1", "ab", "cd", restart_needed=False)
TELEMETRY = Telemetry(Period(1.0, 0.01, 1.0, 20.0, 30.0), INVENTORY, 1, 0, 0, 0, 0, 0, 0, {"cot": SOURCE}, NO_TROUBLES)
MESSAGES = {
    "event": messages.event(NAMES, CLASSES, EventStart(0, 0, 0.5), ANCHOR, 0.0),
    "probabilities": messages.probabilities(
        NAMES, CLASSES, Scores(np.array([0.5], np.float32), 1, 0, 0, 15_600, 0, -30.0), ANCHOR, 0.0
    ),
    "health": messages.health(NAMES, "healthy", "ok", 0.0),
    "telemetry": messages.telemetry("edge_detector/nursery", TELEMETRY, 0.0),
}


def rows(section: str) -> list[list[str]]:
    table = [line.strip("|").split("|") for line in SECTIONS[section].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table[2:]]


def content(message: Message) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(message.payload)
    return payload


@pytest.mark.parametrize("section", MESSAGES)
def test_the_page_has_the_keys_of_the_message(section: str) -> None:
    documented = [key for row in rows(section) for key in re.findall(r"`(\w+)`", row[0])]
    assert sorted(documented) == sorted(content(MESSAGES[section]))


def test_the_page_has_the_figures_of_a_source() -> None:
    (row,) = (row for row in rows("telemetry") if row[0] == "`sources`")
    assert re.findall(r"`(\w+)`", row[1]) == [field.name for field in dataclasses.fields(SourceTelemetry)]


def test_the_page_has_the_topics_with_their_qos_and_retention() -> None:
    sent = [
        messages.status("edge_detector/nursery", online=True),
        messages.availability(NAMES, online=True),
        messages.class_state(NAMES, "rain", on=True),
        messages.level(NAMES, -30.0),
        messages.top_class(NAMES, None),
        *MESSAGES.values(),
    ]
    documented = {row[0].strip("`"): (int(row[1]), row[2] == "yes") for row in rows("Topics")}
    for message in sent:
        topic = message.topic.removeprefix("edge_detector/nursery/").replace("cot/", "<source>/").replace("rain", "<slug>")
        assert documented.pop(topic) == (message.qos, message.retained)
    assert set(documented) == {"<source>/threshold/<slug>", "<source>/mute"}
    retained = {topic.replace("<source>", "cot").replace("<slug>", "rain") for topic in documented}
    assert retained < {
        topic.removeprefix("edge_detector/nursery/") for topic in messages.retained_topics(NAMES.base, "cot", ["rain"])
    }


@pytest.mark.parametrize(("section", "values"), [("event", EndReason), ("health", SourceState), ("health", SignalQuality)])
def test_the_page_has_every_value_of_a_state(section: str, values: object) -> None:
    written = set(re.findall(r"`(\w+)`", SECTIONS[section]))
    assert set(get_args(values)) <= written


def test_the_example_is_a_message_of_today() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert {*json.loads(example), "url", "clip"} == content(MESSAGES["event"]).keys(), (
        "the demonstration has no page, and no clips"
    )
