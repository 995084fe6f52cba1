"""The node whose discovery payload is judged: two microphones, three sounds, one of them not listened for at the door."""

import json
from pathlib import Path
from typing import Any

from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt.home_assistant import Device, discovery
from edge_detector.mqtt.messages import Names
from edge_detector.mqtt.runtime_settings import SourceDefaults
from edge_detector.types import Message

FOLDER = Path(__file__).parent
CAPTURED = FOLDER / "discovery.json"
"""The payload that Home Assistant accepted, readable."""
RULES = FOLDER / "rules.json"
"""What the schemas of that Home Assistant say."""

NODE, BASE = "nursery", "edge_detector/nursery"
COT, DOOR = (Names(BASE, NODE, source, "5f2a9c01b3de") for source in ("cot", "front_door"))
CLASSES = (
    SoundClass("baby_cry", "Baby crying", "/t/dd00002", {}),
    SoundClass("rain", "Régen", None, {}),
    SoundClass("808_kick", '"Kick" {{ 808 }}', None, {}),
)
PAGE = "http://nursery.local:8080"
DEVICE = Device(NODE, BASE, "1.2.3", "default 1.0.0", {"cot": CLASSES, "front_door": CLASSES[:2]}, page_url=PAGE)
PAST = {"cot-class-owl": "binary_sensor", "attic-event": "event", "cot-event": "event"}
DEFAULTS = {
    source: SourceDefaults({sound.slug: Rule(0.5, 0.3) for sound in classes}) for source, classes in DEVICE.sources.items()
}


def announcements() -> list[Message]:
    return discovery(DEVICE, past=PAST)


def captured(messages: list[Message]) -> dict[str, Any]:
    """The payloads by topic."""
    return {message.topic: payload(message) for message in messages}


def components(messages: list[Message]) -> dict[str, dict[str, Any]]:
    """The entities of all messages by key; none may be in two."""
    found: dict[str, dict[str, Any]] = {}
    for message in messages:
        named = payload(message)["cmps"]
        assert found.keys().isdisjoint(named)
        found |= named
    return found


def payload(message: Message) -> dict[str, Any]:
    data = json.loads(message.payload)
    assert isinstance(data, dict)
    return data
