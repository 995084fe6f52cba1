"""The discovery payload, frozen as Home Assistant accepted it, and judged by its captured rules on every day."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.core.bundle import SoundClass
from edge_detector.core.home_assistant import (
    REDISCOVERY_SECONDS,
    Rediscovery,
    birth_topic,
    discovery,
    platforms,
    removal,
)
from edge_detector.types import Message
from tests.home_assistant.nursery import BASE, CAPTURED, CLASSES, DEVICE, NODE, PAST, RULES, announcement, payload

SCHEMA = json.loads(RULES.read_text())
SLUGS = st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True)


def spelled_out(entity: dict[str, Any]) -> dict[str, Any]:
    """With Home Assistant's full keys; one it does not know stays as it is."""
    return {SCHEMA["abbreviations"].get(key, key): value for key, value in entity.items()}


def entities(message: Message) -> dict[str, dict[str, Any]]:
    return {key: spelled_out(entity) for key, entity in payload(message)["cmps"].items()}


def test_the_payload_is_the_one_that_home_assistant_accepted() -> None:
    assert payload(announcement()) == json.loads(CAPTURED.read_text()), "make home-assistant judges and captures a new one"


def test_it_is_one_retained_message_on_the_device_topic() -> None:
    message = announcement()
    assert (message.topic, message.qos, message.retained) == (f"homeassistant/device/{NODE}/config", 1, True)
    assert re.fullmatch(SCHEMA["topic"], message.topic.removeprefix("homeassistant/"))
    assert discovery(DEVICE, prefix="ha").topic == f"ha/device/{NODE}/config"


def test_every_key_of_every_entity_is_one_its_platform_knows_and_none_is_missing() -> None:
    for key, entity in entities(announcement()).items():
        known = SCHEMA["platforms"][entity.pop("platform")]
        if entity:
            assert set(entity) <= set(known), key
            assert {name for name, required in known.items() if required} <= set(entity), key
            assert "unique_id" in entity, key


def test_device_classes_and_units_are_home_assistants() -> None:
    for key, entity in entities(announcement()).items():
        device_class, platform = entity.get("device_class"), entity["platform"]
        assert device_class is None or device_class in SCHEMA["device_classes"][platform], key
        if platform == "sensor" and "unit_of_measurement" in entity and device_class is not None:
            assert entity["unit_of_measurement"] in SCHEMA["sensor_units"][device_class], key
        if "options" in entity:
            assert device_class == "enum", key
            assert not {"state_class", "unit_of_measurement"} & set(entity), key


def test_a_sources_entities_need_the_status_and_the_sources_own_availability() -> None:
    for key, entity in entities(announcement()).items():
        source = key.partition("-")[0]
        if entity.get("entity_category") == "diagnostic" and not key.endswith("-level"):
            assert entity["availability"] == [{"t": f"{BASE}/status"}], (
                f"{key} says what is wrong while the source is not available"
            )
        elif len(entity) > 1:
            assert entity["availability"] == [{"t": f"{BASE}/status"}, {"t": f"{BASE}/{source}/availability"}], key
            assert entity["availability_mode"] == "all", key


def test_every_source_has_topics_of_its_own() -> None:
    for key, entity in entities(announcement()).items():
        source = key.partition("-")[0]
        topics = [value for name, value in entity.items() if name.endswith("_topic")]
        if key == "health-problem":
            assert set(topics) == {f"{BASE}/cot/health"}, "the node's own, which every source tells"
            continue
        assert all(topic.startswith((f"{BASE}/{source}/", f"{BASE}/telemetry")) for topic in topics), key


def test_only_the_classes_a_source_listens_for_are_its_entities() -> None:
    found = platforms(DEVICE)
    assert found["cot-class-808_kick"] == "binary_sensor"
    assert "front_door-class-808_kick" not in found, "what nobody listens for must not look quiet"


def test_knobs_are_entities_off_by_default_and_only_where_commands_are_taken() -> None:
    knobs = {key: entity for key, entity in entities(announcement()).items() if entity["platform"] in ("number", "switch")}
    assert set(knobs) == {
        "cot-mute", "cot-threshold-baby_cry", "cot-threshold-rain", "cot-threshold-808_kick",
        "front_door-mute", "front_door-threshold-baby_cry", "front_door-threshold-rain",
    }  # fmt: skip
    for entity in knobs.values():
        assert entity["enabled_by_default"] is False
        assert entity["command_topic"] == f"{entity['state_topic']}/set"
    deaf = platforms(replace(DEVICE, commands=False))
    assert not {"number", "switch"} & set(deaf.values())


def test_what_once_was_is_taken_away_by_name() -> None:
    found = payload(announcement())["cmps"]
    assert found["cot-class-owl"] == {"p": "binary_sensor"}
    assert found["attic-event"] == {"p": "event"}
    assert found["cot-event"]["stat_t"] == f"{BASE}/cot/event", "what still is stays"
    later = payload(discovery(replace(DEVICE, sources={"cot": CLASSES}), past={**PAST, **platforms(DEVICE)}))["cmps"]
    assert later["front_door-event"] == {"p": "event"}


def test_one_microphone_needs_no_name_in_its_entities() -> None:
    alone = discovery(replace(DEVICE, sources={"cot": CLASSES}))
    assert payload(alone)["cmps"]["cot-class-rain"]["name"] == "Régen"
    assert payload(announcement())["cmps"]["cot-class-rain"]["name"] == "Cot Régen"


def test_a_second_microphone_changes_no_identity() -> None:
    alone = payload(discovery(replace(DEVICE, sources={"cot": CLASSES})))["cmps"]
    both = payload(announcement())["cmps"]
    assert all(both[key]["uniq_id"] == entity["uniq_id"] for key, entity in alone.items())


def test_the_removal_is_empty_and_retained() -> None:
    assert removal(NODE) == Message(f"homeassistant/device/{NODE}/config", b"", 1, retained=True)


@given(SLUGS, st.dictionaries(SLUGS, st.lists(st.tuples(SLUGS, st.text(min_size=1)), max_size=4), min_size=1, max_size=3))
def test_no_two_entities_ever_share_an_identity(node: str, sources: dict[str, list[tuple[str, str]]]) -> None:
    given_sources = {
        source: [SoundClass(slug, label, None, {}) for slug, label in dict(classes).items()]
        for source, classes in sources.items()
    }
    device = replace(DEVICE, node=node, base=f"edge_detector/{node}", sources=given_sources)
    message = discovery(device)
    found = payload(message)["cmps"]
    assert len({entity["uniq_id"] for entity in found.values()}) == len(found)
    knobs_and_classes = sum(2 * len(classes) + 7 for classes in given_sources.values())
    assert len(found) == knobs_and_classes + 1 + sum(key.startswith("telemetry-") for key in found)


def born(payload: bytes = b"online", topic: str = "homeassistant/status") -> Message:
    return Message(topic, payload, 0, retained=False)


def test_a_birth_is_answered_once_after_a_random_delay() -> None:
    rediscovery = Rediscovery(lambda: 0.5)
    assert not rediscovery.due(0.0)
    rediscovery.hear(born(), 100.0)
    middle = 100.0 + sum(REDISCOVERY_SECONDS) / 2
    assert [rediscovery.due(now) for now in (100.0, middle - 0.1, middle, middle + 0.1)] == [False, False, True, False]


def test_births_in_a_row_count_as_one() -> None:
    dice = iter([0.0, 0.9])
    rediscovery = Rediscovery(lambda: next(dice))
    rediscovery.hear(born(), 0.0)
    rediscovery.hear(born(), 0.5)
    assert rediscovery.due(REDISCOVERY_SECONDS[0])
    rediscovery.hear(born(), 50.0)
    assert not rediscovery.due(50.0 + REDISCOVERY_SECONDS[0])
    assert rediscovery.due(50.0 + REDISCOVERY_SECONDS[1])


@pytest.mark.parametrize("message", [born(b"offline"), born(b""), born(topic="homeassistant/status/x"), born(topic="status")])
def test_nothing_else_is_a_birth(message: Message) -> None:
    rediscovery = Rediscovery(lambda: 0.0)
    rediscovery.hear(message, 0.0)
    assert not rediscovery.due(1_000.0)


def test_another_prefix_has_another_birth_topic() -> None:
    rediscovery = Rediscovery(lambda: 0.0, prefix="ha")
    rediscovery.hear(born(topic=birth_topic("ha")), 0.0)
    assert rediscovery.due(REDISCOVERY_SECONDS[0])
