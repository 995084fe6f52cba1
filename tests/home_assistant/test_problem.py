"""What is wrong with the node, as Home Assistant shows it, and a source that goes for good."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge_detector.core import wire
from edge_detector.core.home_assistant import discovery, emptied, platforms
from edge_detector.core.troubles import Troubles
from edge_detector.edges.mqtt import Broker as Address
from edge_detector.edges.mqtt import Publisher
from tests.home_assistant.box import HomeAssistant
from tests.home_assistant.nursery import BASE, CLASSES, COT, DEVICE, DOOR
from tests.rigs.broker import Broker

PROBLEM = "binary_sensor.nursery_health_problem"


@pytest.fixture
def node(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(
        Address(broker.host, broker.port, "nursery"),
        last_will=wire.status(BASE, online=False),
        greeting=wire.status(BASE, online=True),
    )
    for message in discovery(DEVICE):
        publisher.publish(message)
    for names in (COT, DOOR):
        publisher.publish(wire.availability(names, online=True))
        publisher.publish(wire.health(names, "healthy", "ok", 0.0))
        for sound in DEVICE.sources[names.source]:
            publisher.publish(wire.class_state(names, sound.slug, on=False))
    publisher.start()
    yield publisher
    publisher.close(wire.status(BASE, online=False), 5.0)


def test_a_trouble_of_the_node_is_a_problem_with_its_sentences_until_it_is_over(home: HomeAssistant, node: Publisher) -> None:
    home.wait_for(binary_sensor__nursery_health_problem="off")
    node.publish(wire.health(COT, "healthy", "ok", 0.0, Troubles("the disk is full", ('"quoted" and {{ braced }}',))))
    home.wait_for(binary_sensor__nursery_health_problem="on")
    home.wait_until(
        lambda: home.attributes[PROBLEM].get("troubles") == ["the disk is full", '"quoted" and {{ braced }}'], "the sentences"
    )
    node.publish(wire.availability(COT, online=False))
    node.publish(wire.health(COT, "reconnecting", "ok", 0.0))
    home.wait_for(binary_sensor__nursery_health_problem="off", binary_sensor__nursery_cot_rain="unavailable")
    home.wait_until(lambda: home.attributes[PROBLEM]["troubles"] == [], "no sentences")


def test_a_source_that_is_taken_out_goes_without_a_complaint(home: HomeAssistant, node: Publisher) -> None:
    home.wait_for(binary_sensor__nursery_cot_rain="off", sensor__nursery_cot_state="healthy")
    alone = replace(DEVICE, sources={"front_door": CLASSES[:2]})
    for message in (*emptied(alone, past=platforms(DEVICE)), *discovery(alone, past=platforms(DEVICE))):
        node.publish(message)
    for topic in wire.retained_topics(BASE, "cot", [sound.slug for sound in CLASSES]):
        node.publish(wire.forgotten(topic))
    home.wait_until(lambda: not any("_cot_" in entity for entity in home.states), "nothing of the cot")
    node.publish(wire.health(DOOR, "healthy", "ok", 0.0, Troubles("the disk is full")))
    home.wait_for(binary_sensor__nursery_health_problem="on", binary_sensor__nursery_front_door_rain="off")
