"""Against a real mosquitto."""

import logging
from pathlib import Path

import pytest

from edge_detector.edges.mqtt import PENDING_EVENTS, Publisher, subscription
from edge_detector.edges.mqtt import Broker as Address
from edge_detector.errors import BrokerError
from edge_detector.types import Message
from tests.rigs.broker import Broker, free_port
from tests.rigs.inbox import subscriber
from tests.rigs.waiting import wait_until

WILL = Message("node/status", b"offline", 1, retained=True)
HELLO = Message("node/status", b"online", 1, retained=True)


def event(number: int) -> Message:
    return Message("node/event", f"{number}".encode(), 1, retained=False)


def publisher_to(broker: Broker, protocol: str = "5", username: str | None = None, password: str | None = None) -> Publisher:
    address = Address(broker.host, broker.port, "test-publisher", protocol, username, password)
    publisher = Publisher(address, last_will=WILL, greeting=HELLO)
    publisher.start()
    return publisher


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_everything_handed_over_before_close_arrives_in_order_and_then_the_farewell(broker: Broker, protocol: str) -> None:
    with subscriber(broker.host, broker.port, protocol=protocol) as inbox:
        publisher = publisher_to(broker, protocol=protocol)
        for number in range(300):
            publisher.publish(event(number))
        assert publisher.close(WILL, timeout_seconds=20)
        inbox.wait_for_payload("node/status", b"offline")
        assert [item.payload for item in inbox.messages if item.topic == "node/event"] == [
            b"%d" % number for number in range(300)
        ]
    assert publisher.dropped_messages == 0


def test_a_broker_that_comes_late_gets_the_events_and_only_the_latest_of_each_retained_topic() -> None:
    broker = Broker()
    publisher = publisher_to(broker)
    try:
        for number in range(3):
            publisher.publish(event(number))
            publisher.publish(Message("node/class/rain", f"state {number}".encode(), 1, retained=True))
            publisher.publish(Message("node/probabilities", b"{}", 0, retained=False))
        with broker, subscriber(broker.host, broker.port) as inbox:
            inbox.wait_for(lambda item: item.payload == b"2", "last event")
            assert publisher.close(WILL, timeout_seconds=20)
            inbox.wait_for_payload("node/status", b"offline")
            assert [item.payload for item in inbox.messages if item.topic == "node/class/rain"] == [b"state 2"]
            assert not [item for item in inbox.messages if item.topic == "node/probabilities"], "stale, and so not sent"
    finally:
        broker.close()
    assert publisher.dropped_messages == 3, "what was not sent is counted"


def test_events_beyond_the_bound_are_dropped_oldest_first_and_counted() -> None:
    broker = Broker()
    publisher = publisher_to(broker)
    try:
        for number in range(PENDING_EVENTS + 5):
            publisher.publish(event(number))
        wait_until(lambda: publisher.dropped_messages == 5, "five dropped messages")
        with broker, subscriber(broker.host, broker.port) as inbox:
            inbox.wait_for(lambda item: item.payload == b"%d" % (PENDING_EVENTS + 4), "newest event")
            assert publisher.close(WILL, timeout_seconds=20)
            events = [int(item.payload) for item in inbox.messages if item.topic == "node/event"]
            assert events == list(range(5, PENDING_EVENTS + 5))
    finally:
        broker.close()


def test_after_a_restart_of_the_broker_status_and_state_are_there_again(broker: Broker) -> None:
    publisher = publisher_to(broker)
    publisher.publish(Message("node/class/rain", b"ON", 1, retained=True))
    assert publisher.wait_connected(20)
    broker.kill()
    wait_until(lambda: not publisher.wait_connected(0), "the publisher to notice")
    publisher.publish(event(1))
    broker.start()
    with subscriber(broker.host, broker.port) as inbox:
        inbox.wait_for_payload("node/status", b"online")
        inbox.wait_for_payload("node/class/rain", b"ON")
        assert publisher.close(WILL, timeout_seconds=20)


def test_a_message_that_the_broker_refuses_is_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite node/status\n")
    with Broker(f"acl_file {rules}") as broker:
        publisher = publisher_to(broker)
        publisher.publish(event(1))
        assert publisher.close(WILL, timeout_seconds=20)
    assert publisher.refused_messages == 1
    assert "refused a message on node/event" in caplog.text


def test_a_wrong_login_is_said_in_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with Broker(anonymous=False) as broker:
        publisher = publisher_to(broker, username="nobody", password="wrong")  # noqa: S106 - it is wrong on purpose
        wait_until(lambda: "check user name and password" in caplog.text, "the refusal")
        assert not publisher.close(WILL, timeout_seconds=0.1), "nothing could be delivered"


def test_no_broker_is_an_error_for_a_subscriber_and_a_warning_for_the_publisher(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    address = Address("127.0.0.1", free_port(), "test")
    with pytest.raises(BrokerError, match="no broker answers"), subscription(address, "#", print):
        pass
    publisher = Publisher(address, last_will=WILL, greeting=HELLO)
    publisher.start()
    wait_until(lambda: "no broker answers" in caplog.text, "the warning")
    assert not publisher.close(WILL, timeout_seconds=0.1)
