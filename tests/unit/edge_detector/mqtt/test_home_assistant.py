"""The discovery payload, frozen as Home Assistant accepted it, and judged by its captured rules on every day."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.detection.bundle import SoundClass
from edge_detector.mqtt.home_assistant import (
    REDISCOVERY_SECONDS,
    Rediscovery,
    birth_topic,
    discovery,
    platforms,
    removal,
    removed_sources,
)
from edge_detector.types import Message
from tests.system.home_assistant.nursery import (
    BASE,
    CAPTURED,
    CLASSES,
    DEVICE,
    NODE,
    PAGE,
    RULES,
    announcements,
    captured,
    components,
    payload,
)

SCHEMA = json.loads(RULES.read_text())
SLUGS = st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True)


def spelled_out(entity: dict[str, Any]) -> dict[str, Any]:
    """With Home Assistant's full keys; one it does not know stays as it is."""
    return {SCHEMA["abbreviations"].get(key, key): value for key, value in entity.items()}


def entities(messages: list[Message]) -> dict[str, dict[str, Any]]:
    return {key: spelled_out(entity) for key, entity in components(messages).items()}


def test_the_payload_is_the_one_that_home_assistant_accepted() -> None:
    assert captured(announcements()) == json.loads(CAPTURED.read_text()), "make home-assistant judges and captures a new one"


def test_each_source_has_one_retained_message_and_all_name_one_device() -> None:
    for message, source in zip(announcements(), DEVICE.sources, strict=True):
        assert (message.topic, message.qos, message.retained) == (f"homeassistant/device/{NODE}/{source}/config", 1, True)
        assert re.fullmatch(SCHEMA["topic"], message.topic.removeprefix("homeassistant/"))
        assert payload(message)["dev"]["ids"] == [f"edge_detector_{NODE}"]
    assert discovery(DEVICE, prefix="ha")[0].topic == f"ha/device/{NODE}/cot/config"


def test_a_node_with_a_page_has_a_link_to_it() -> None:
    assert {payload(message)["dev"]["cu"] for message in announcements()} == {PAGE}
    assert all("cu" not in payload(message)["dev"] for message in discovery(replace(DEVICE, page_url=None)))


def test_each_source_names_its_own_entities_and_the_first_one_the_nodes_too() -> None:
    cot, door = ({key.partition("-")[0] for key in payload(message)["cmps"]} for message in announcements())
    assert cot == {"cot", "health", "telemetry"}
    assert door == {"front_door"}


def test_the_old_message_for_all_sources_and_those_of_removed_sources_are_emptied() -> None:
    topics = [f"homeassistant/device/{NODE}/config", f"homeassistant/device/{NODE}/attic/config"]
    announced = (None, "attic", *DEVICE.sources)
    assert removed_sources(DEVICE, announced=announced) == [Message(topic, b"", 1, retained=True) for topic in topics]


def test_sources_that_were_never_announced_are_not_emptied() -> None:
    assert removed_sources(DEVICE) == []
    assert removed_sources(DEVICE, announced=DEVICE.sources) == []
    assert removal(NODE, ()) == []


def test_a_message_does_not_grow_with_the_number_of_sources() -> None:
    eight = discovery(replace(DEVICE, sources={f"source_{number}": CLASSES for number in range(8)}))
    alone = discovery(replace(DEVICE, sources={"source_0": CLASSES}))
    assert len(eight) == 8
    assert max(len(message.payload) for message in eight) < 1.1 * len(alone[0].payload)


def test_every_entity_has_all_required_keys_and_only_keys_of_its_platform() -> None:
    for key, entity in entities(announcements()).items():
        known = SCHEMA["platforms"][entity.pop("platform")]
        if entity:
            assert set(entity) <= set(known), key
            assert {name for name, required in known.items() if required} <= set(entity), key
            assert "unique_id" in entity, key


def test_device_classes_and_units_exist_in_home_assistant() -> None:
    for key, entity in entities(announcements()).items():
        device_class, platform = entity.get("device_class"), entity["platform"]
        assert device_class is None or device_class in SCHEMA["device_classes"][platform], key
        if platform == "sensor" and "unit_of_measurement" in entity and device_class is not None:
            assert entity["unit_of_measurement"] in SCHEMA["sensor_units"][device_class], key
        if "options" in entity:
            assert device_class == "enum", key
            assert not {"state_class", "unit_of_measurement"} & set(entity), key


def test_the_entities_of_a_source_need_its_status_and_its_availability() -> None:
    for key, entity in entities(announcements()).items():
        source = key.partition("-")[0]
        if entity.get("entity_category") == "diagnostic" and not key.endswith("-level"):
            assert entity["availability"] == [{"t": f"{BASE}/status"}], (
                f"{key} says what is wrong while the source is not available"
            )
        elif len(entity) > 1:
            assert entity["availability"] == [{"t": f"{BASE}/status"}, {"t": f"{BASE}/{source}/availability"}], key
            assert entity["availability_mode"] == "all", key


def test_every_source_has_topics_of_its_own() -> None:
    for key, entity in entities(announcements()).items():
        source = key.partition("-")[0]
        topics = [value for name, value in entity.items() if name.endswith("_topic")]
        if key == "health-problem":
            assert set(topics) == {f"{BASE}/cot/health"}, "the node's own, which every source tells"
            continue
        assert all(topic.startswith((f"{BASE}/{source}/", f"{BASE}/telemetry")) for topic in topics), key


def test_only_enabled_classes_are_entities() -> None:
    found = platforms(DEVICE)
    assert found["cot-class-808_kick"] == "binary_sensor"
    assert "front_door-class-808_kick" not in found, "what nobody listens for must not look quiet"


def test_controls_are_entities_only_if_commands_are_accepted_and_disabled_by_default() -> None:
    knobs = {key: entity for key, entity in entities(announcements()).items() if entity["platform"] in ("number", "switch")}
    assert set(knobs) == {
        "cot-mute", "cot-threshold-baby_cry", "cot-threshold-rain", "cot-threshold-808_kick",
        "front_door-mute", "front_door-threshold-baby_cry", "front_door-threshold-rain",
    }  # fmt: skip
    for entity in knobs.values():
        assert entity["enabled_by_default"] is False
        assert entity["command_topic"] == f"{entity['state_topic']}/set"
    deaf = platforms(replace(DEVICE, commands=False))
    assert not {"number", "switch"} & set(deaf.values())


def test_former_entities_are_removed_by_name() -> None:
    found = components(announcements())
    assert found["cot-class-owl"] == {"p": "binary_sensor"}
    assert "attic-event" not in found, "its whole message is emptied"
    assert found["cot-event"]["stat_t"] == f"{BASE}/cot/event", "what still is stays"
    later = replace(DEVICE, sources={"cot": CLASSES})
    gone = [message.topic for message in removed_sources(later, announced=DEVICE.sources)]
    assert gone == [f"homeassistant/device/{NODE}/front_door/config"]


def test_one_microphone_needs_no_name_in_its_entities() -> None:
    alone = discovery(replace(DEVICE, sources={"cot": CLASSES}))
    assert components(alone)["cot-class-rain"]["name"] == "Régen"
    assert components(announcements())["cot-class-rain"]["name"] == "Cot Régen"


def test_a_second_microphone_changes_no_identity() -> None:
    alone = components(discovery(replace(DEVICE, sources={"cot": CLASSES})))
    both = components(announcements())
    assert all(both[key]["uniq_id"] == entity["uniq_id"] for key, entity in alone.items())


def test_the_removal_empties_every_message_that_was_announced() -> None:
    topics = [f"homeassistant/device/{NODE}/{part}config" for part in ("", "cot/", "front_door/")]
    assert removal(NODE, (None, *DEVICE.sources)) == [Message(topic, b"", 1, retained=True) for topic in topics]


@given(SLUGS, st.dictionaries(SLUGS, st.lists(st.tuples(SLUGS, st.text(min_size=1)), max_size=4), min_size=1, max_size=3))
def test_no_two_entities_ever_share_an_identity(node: str, sources: dict[str, list[tuple[str, str]]]) -> None:
    given_sources = {
        source: [SoundClass(slug, label, None, {}) for slug, label in dict(classes).items()]
        for source, classes in sources.items()
    }
    device = replace(DEVICE, node=node, base=f"edge_detector/{node}", sources=given_sources)
    found = components(discovery(device))
    assert len({entity["uniq_id"] for entity in found.values()}) == len(found)
    knobs_and_classes = sum(2 * len(classes) + 7 for classes in given_sources.values())
    assert len(found) == knobs_and_classes + 1 + sum(key.startswith("telemetry-") for key in found)


def born(payload: bytes = b"online", topic: str = "homeassistant/status") -> Message:
    return Message(topic, payload, 0, retained=False)


def test_discovery_follows_a_birth_once_after_a_random_delay() -> None:
    rediscovery = Rediscovery(lambda: 0.5)
    assert not rediscovery.due(0.0)
    rediscovery.handle(born(), 100.0)
    middle = 100.0 + sum(REDISCOVERY_SECONDS) / 2
    assert [rediscovery.due(now) for now in (100.0, middle - 0.1, middle, middle + 0.1)] == [False, False, True, False]


def test_births_in_a_row_count_as_one() -> None:
    dice = iter([0.0, 0.9])
    rediscovery = Rediscovery(lambda: next(dice))
    rediscovery.handle(born(), 0.0)
    rediscovery.handle(born(), 0.5)
    assert rediscovery.due(REDISCOVERY_SECONDS[0])
    rediscovery.handle(born(), 50.0)
    assert not rediscovery.due(50.0 + REDISCOVERY_SECONDS[0])
    assert rediscovery.due(50.0 + REDISCOVERY_SECONDS[1])


@pytest.mark.parametrize("message", [born(b"offline"), born(b""), born(topic="homeassistant/status/x"), born(topic="status")])
def test_other_messages_are_not_a_birth(message: Message) -> None:
    rediscovery = Rediscovery(lambda: 0.0)
    rediscovery.handle(message, 0.0)
    assert not rediscovery.due(1_000.0)


def test_another_prefix_has_another_birth_topic() -> None:
    rediscovery = Rediscovery(lambda: 0.0, prefix="ha")
    rediscovery.handle(born(topic=birth_topic("ha")), 0.0)
    assert rediscovery.due(REDISCOVERY_SECONDS[0])
