"""What is wrong with the node, as Home Assistant shows it, and a source that goes for good."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge_detector.mqtt import messages
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.home_assistant import discovery, platforms, removed_sources
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.troubles import Troubles
from tests.support.broker import Broker
from tests.system.home_assistant.box import HomeAssistant
from tests.system.home_assistant.nursery import BASE, CLASSES, COT, DEVICE, DOOR

PROBLEM = "binary_sensor.nursery_health_problem"


@pytest.fixture
def node(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(
        Address(broker.host, broker.port, "nursery"),
        last_will=messages.status(BASE, online=False),
        greeting=messages.status(BASE, online=True),
    )
    for message in discovery(DEVICE):
        publisher.publish(message)
    for names in (COT, DOOR):
        publisher.publish(messages.availability(names, online=True))
        publisher.publish(messages.health(names, "healthy", "ok", 0.0))
        for sound in DEVICE.sources[names.source]:
            publisher.publish(messages.class_state(names, sound.slug, on=False))
    publisher.start()
    yield publisher
    publisher.close(messages.status(BASE, online=False), 5.0)


def test_a_trouble_of_the_node_is_a_problem_with_its_sentences_until_it_is_over(home: HomeAssistant, node: Publisher) -> None:
    home.wait_for(binary_sensor__nursery_health_problem="off")
    node.publish(messages.health(COT, "healthy", "ok", 0.0, Troubles("the disk is full", ('"quoted" and {{ braced }}',))))
    home.wait_for(binary_sensor__nursery_health_problem="on")
    home.wait_until(
        lambda: home.attributes[PROBLEM].get("troubles") == ["the disk is full", '"quoted" and {{ braced }}'], "the sentences"
    )
    node.publish(messages.availability(COT, online=False))
    node.publish(messages.health(COT, "reconnecting", "ok", 0.0))
    home.wait_for(binary_sensor__nursery_health_problem="off", binary_sensor__nursery_cot_rain="unavailable")
    home.wait_until(lambda: home.attributes[PROBLEM]["troubles"] == [], "no sentences")


def test_a_source_that_is_taken_out_goes_without_a_complaint(home: HomeAssistant, node: Publisher) -> None:
    home.wait_for(binary_sensor__nursery_cot_rain="off", sensor__nursery_cot_state="healthy")
    alone = replace(DEVICE, sources={"front_door": CLASSES[:2]})
    for message in (*removed_sources(alone, announced=DEVICE.sources), *discovery(alone, past=platforms(DEVICE))):
        node.publish(message)
    for topic in messages.retained_topics(BASE, "cot", [sound.slug for sound in CLASSES]):
        node.publish(messages.forgotten(topic))
    home.wait_until(lambda: not any("_cot_" in entity for entity in home.states), "nothing of the cot")
    node.publish(messages.health(DOOR, "healthy", "ok", 0.0, Troubles("the disk is full")))
    home.wait_for(binary_sensor__nursery_health_problem="on", binary_sensor__nursery_front_door_rain="off")
