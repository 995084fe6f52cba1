"""Home Assistant's own schemas, and Home Assistant itself, in a box that `make home-assistant` makes. Skipped without one."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_detector.audio.sample_clock import Anchor
from edge_detector.mqtt import messages
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.home_assistant import (
    REDISCOVERY_SECONDS,
    Rediscovery,
    birth_topic,
    discovery,
    platforms,
    removal,
    removed_sources,
)
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.runtime_settings import Accepted, RuntimeSettings, Settings
from edge_detector.types import EventEnd, EventStart, Message
from tests.support.broker import Broker
from tests.support.inbox import Inbox, subscriber
from tests.system.home_assistant.box import HomeAssistant, home_assistant, judge
from tests.system.home_assistant.nursery import (
    BASE,
    CAPTURED,
    CLASSES,
    COT,
    DEFAULTS,
    DEVICE,
    DOOR,
    NODE,
    PAST,
    RULES,
    announcements,
    captured,
    payload,
)

ANCHOR = Anchor(0, 1_767_225_600.0, "system")


@pytest.fixture
def node(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(
        Address(broker.host, broker.port, "nursery"),
        last_will=messages.status(BASE, online=False),
        greeting=messages.status(BASE, online=True),
    )
    publisher.start()
    yield publisher
    publisher.close(messages.status(BASE, online=False), 5.0)


def publish_states(node: Publisher, controls: RuntimeSettings) -> None:
    for message in announcements():
        node.publish(message)
    publish_states_of_sources(node, controls)


def publish_states_of_sources(node: Publisher, controls: RuntimeSettings) -> None:
    for names in (COT, DOOR):
        node.publish(messages.availability(names, online=True))
        node.publish(messages.health(names, "healthy", "ok", 0.0))
        node.publish(messages.level(names, -31.26))
        node.publish(messages.top_class(names, None))
        for sound in DEVICE.sources[names.source]:
            node.publish(messages.class_state(names, sound.slug, on=False))
    for message in controls.answers():
        node.publish(message)


def test_every_schema_accepts_the_payload_and_its_removal(root: Path) -> None:
    verdict = judge(root, [*announcements(), *removal(NODE, (None, *DEVICE.sources))])
    assert verdict["problems"] == []
    if verdict["version"] == json.loads(RULES.read_text())["version"]:
        assert captured(announcements()) == json.loads(CAPTURED.read_text()), "python -m tests.system.home_assistant captures it"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b'"dev_cla":"sound"', b'"dev_cla":"noise"', "device_class"),
        (b'"uniq_id"', b'"surprise"', "unique_id"),
        (b'"dev_cla":"duration","unit_of_meas":"s"', b'"dev_cla":"duration","unit_of_meas":"dB"', "unit"),
        (b'"def_ent_id"', b'"object_id"', "object_id"),
        (b'"ent_cat":"diagnostic"', b'"ent_cat":"config"', "entity_category"),
    ],
)
def test_the_judge_would_have_noticed_a_mistake(root: Path, old: bytes, new: bytes, complaint: str) -> None:
    message = announcements()[0]
    assert old in message.payload
    wrong = Message(message.topic, message.payload.replace(old, new), 1, retained=True)
    assert complaint in str(judge(root, [wrong])["problems"])


def test_entities_appear_and_follow_what_is_heard(home: HomeAssistant, node: Publisher) -> None:
    publish_states(node, RuntimeSettings(BASE, DEFAULTS, Settings()))
    home.wait_for(
        binary_sensor__nursery_cot_baby_cry="off",
        binary_sensor__nursery_front_door_rain="off",
        event__nursery_cot_event="unknown",
        sensor__nursery_cot_level="-31.3",
        sensor__nursery_cot_top_class="none",
        sensor__nursery_cot_state="healthy",
        sensor__nursery_front_door_signal="ok",
    )
    assert home.attributes["binary_sensor.nursery_cot_808_kick"]["friendly_name"] == 'Nursery Cot "Kick" {{ 808 }}'
    assert not any(entity.startswith(("number.", "switch.")) for entity in home.states), "knobs are off by default"
    node.publish(messages.event(COT, CLASSES, EventStart(0, 16_000, 0.75), ANCHOR, 0.0))
    node.publish(messages.class_state(COT, "baby_cry", on=True))
    node.publish(messages.top_class(COT, "baby_cry"))
    home.wait_for(binary_sensor__nursery_cot_baby_cry="on", sensor__nursery_cot_top_class="baby_cry")
    home.wait_until(lambda: home.attributes["event.nursery_cot_event"]["event_type"] == "start", "the start of the event")
    event = home.attributes["event.nursery_cot_event"]
    assert (event["event_type"], event["label"], event["peak_probability"]) == ("start", "Baby crying", 0.75)
    node.publish(messages.event(COT, CLASSES, EventEnd(0, 16_000, 32_000, 0.75, "ended"), ANCHOR, 0.0))
    home.wait_until(lambda: home.attributes["event.nursery_cot_event"]["event_type"] == "end", "the end of the event")
    assert "binary_sensor.nursery_front_door_baby_cry" in home.states
    assert ("binary_sensor.nursery_front_door_baby_cry", "on") not in home.history, "what the cot hears, the door does not"


def test_a_dead_microphone_is_unavailable_and_says_why_while_the_other_goes_on(home: HomeAssistant, node: Publisher) -> None:
    publish_states(node, RuntimeSettings(BASE, DEFAULTS, Settings()))
    home.wait_for(binary_sensor__nursery_cot_rain="off", binary_sensor__nursery_front_door_rain="off")
    node.publish(messages.availability(COT, online=False))
    node.publish(messages.health(COT, "reconnecting", "ok", 0.0))
    home.wait_for(
        binary_sensor__nursery_cot_rain="unavailable",
        event__nursery_cot_event="unavailable",
        sensor__nursery_cot_level="unavailable",
        sensor__nursery_cot_state="reconnecting",
        binary_sensor__nursery_front_door_rain="off",
        sensor__nursery_front_door_level="-31.3",
    )
    node.publish(messages.availability(COT, online=True))
    home.wait_for(binary_sensor__nursery_cot_rain="off")
    node.publish(messages.status(BASE, online=False))
    home.wait_for(
        binary_sensor__nursery_cot_rain="unavailable",
        binary_sensor__nursery_front_door_rain="unavailable",
        sensor__nursery_cot_state="unavailable",
    )
    door = [state for entity, state in home.history if entity == "binary_sensor.nursery_front_door_rain"]
    assert door[-2:] == ["off", "unavailable"]
    assert door.count("off") == 1, "the cot's outage never showed at the door"


def test_thresholds_and_mutes_work_both_ways(home: HomeAssistant, node: Publisher, broker: Broker) -> None:
    controls = RuntimeSettings(BASE, DEFAULTS, Settings())
    with subscriber(broker.host, broker.port, topics=f"{BASE}/#") as inbox:
        publish_states(node, controls)
        home.wait_for(binary_sensor__nursery_cot_rain="off")
        home.order(enable=True)
        home.wait_for(number__nursery_cot_threshold_rain="0.5", switch__nursery_cot_mute="off")
        home.call("number.set_value", entity_id="number.nursery_cot_threshold_rain", value=0.72)
        obey_next(inbox, "cot/threshold/rain/set", node, controls)
        home.call("switch.turn_on", entity_id="switch.nursery_cot_mute")
        obey_next(inbox, "cot/mute/set", node, controls)
        home.wait_for(
            number__nursery_cot_threshold_rain="0.72",
            switch__nursery_cot_mute="on",
            number__nursery_front_door_threshold_rain="0.5",
            switch__nursery_front_door_mute="off",
        )
    assert controls.rules("cot")[1].on == 0.72
    assert controls.muted("cot")


def obey_next(inbox: Inbox, leaf: str, node: Publisher, controls: RuntimeSettings) -> None:
    command = inbox.wait_for(lambda item: item.topic == f"{BASE}/{leaf}", f"command on {leaf}")
    answer = controls.handle(command, 0.0)
    assert isinstance(answer, Accepted)
    node.publish(answer.answer)


def test_entities_go_one_by_one_and_all_at_once(home: HomeAssistant, node: Publisher) -> None:
    publish_states(node, RuntimeSettings(BASE, DEFAULTS, Settings()))
    home.wait_for(binary_sensor__nursery_cot_rain="off")
    fewer = replace(DEVICE, sources={**DEVICE.sources, "cot": CLASSES[:1]})
    for message in discovery(fewer, past={**PAST, **platforms(DEVICE)}):
        node.publish(message)
    home.wait_until(lambda: "binary_sensor.nursery_cot_rain" not in home.states, "that the rain is gone")
    assert home.states["binary_sensor.nursery_cot_baby_cry"] == "off"
    for message in removal(NODE, DEVICE.sources):
        node.publish(message)
    home.wait_until(lambda: not any("nursery" in entity for entity in home.states), "that the node is gone")


def in_one_message() -> Message:
    """As earlier versions announced all sources."""
    first, *rest = discovery(DEVICE)
    whole = payload(first)
    for message in rest:
        whole["cmps"] |= payload(message)["cmps"]
    return Message(f"homeassistant/device/{NODE}/config", json.dumps(whole).encode(), 1, retained=True)


def test_a_node_that_was_one_message_becomes_one_for_each_source_and_no_entity_is_lost(
    home: HomeAssistant, node: Publisher
) -> None:
    node.publish(in_one_message())
    publish_states_of_sources(node, RuntimeSettings(BASE, DEFAULTS, Settings()))
    home.wait_for(binary_sensor__nursery_cot_rain="off", binary_sensor__nursery_front_door_rain="off")
    before = set(home.states)
    for message in removed_sources(DEVICE, announced=[None]):
        node.publish(message)
    home.wait_until(lambda: "binary_sensor.nursery_cot_rain" not in home.states, "that the rain is gone")
    for message in discovery(DEVICE, past=platforms(DEVICE)):
        node.publish(message)
    home.wait_for(binary_sensor__nursery_cot_rain="off", binary_sensor__nursery_front_door_rain="off")
    home.wait_until(lambda: before <= set(home.states), f"all of {before}")


def test_its_birth_is_heard_and_answered_once(root: Path, broker: Broker) -> None:
    with subscriber(broker.host, broker.port, topics=birth_topic()) as inbox, home_assistant(root, broker):
        birth = inbox.wait_for(lambda item: item.payload == b"online", "birth message")
    rediscovery = Rediscovery(lambda: 0.0)
    rediscovery.handle(birth, 0.0)
    assert [rediscovery.due(REDISCOVERY_SECONDS[0]), rediscovery.due(REDISCOVERY_SECONDS[1])] == [True, False]
