"""Against a real mosquitto that is late, away, stopped, killed or hangs."""

import logging
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from edge_detector.errors import BrokerError
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.publisher import PENDING_EVENTS, Publisher
from edge_detector.types import Message
from tests.support.broker import Broker, free_port
from tests.support.inbox import Inbox, subscriber
from tests.support.publisher import HELLO, WILL, address_of, event, numbered, outbox_in, publisher_to
from tests.support.waiting import wait_until


def test_a_broker_that_answers_late_gets_the_events_and_only_the_latest_of_each_retained_topic(broker: Broker) -> None:
    with subscriber(broker.host, broker.port) as inbox:
        broker.freeze()
        publisher = publisher_to(broker)
        for number in range(3):
            publisher.publish(event(number))
            publisher.publish(Message("node/class/rain", f"state {number}".encode(), 1, retained=True))
            publisher.publish(Message("node/probabilities", b"{}", 0, retained=False))
        wait_until(lambda: publisher.dropped_messages == 3, "three stale messages")
        broker.thaw()
        inbox.wait_for(lambda item: item.payload == b"2", "last event")
        assert publisher.close(WILL, timeout_seconds=20)
        inbox.wait_for_payload("node/status", b"offline")
        assert [item.payload for item in inbox.messages if item.topic == "node/event"] == [b"0", b"1", b"2"]
        assert [item.payload for item in inbox.messages if item.topic == "node/class/rain"] == [b"state 2"]
        assert not [item for item in inbox.messages if item.topic == "node/probabilities"], "stale, and so not sent"


def test_events_beyond_the_bound_are_dropped_oldest_first_and_counted(broker: Broker) -> None:
    with subscriber(broker.host, broker.port) as inbox:
        broker.freeze()
        publisher = publisher_to(broker)
        for number in range(PENDING_EVENTS + 5):
            publisher.publish(event(number))
        wait_until(lambda: publisher.dropped_messages == 5, "five dropped messages")
        broker.thaw()
        inbox.wait_for(lambda item: item.payload == b"%d" % (PENDING_EVENTS + 4), "newest event")
        assert publisher.close(WILL, timeout_seconds=20)
        events = [int(item.payload) for item in inbox.messages if item.topic == "node/event"]
        assert events == list(range(5, PENDING_EVENTS + 5))


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


def test_no_broker_is_an_error_for_a_subscriber_and_a_warning_for_the_publisher(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    address = Address("127.0.0.1", free_port(), "test")
    with pytest.raises(BrokerError, match="no broker answers"), subscription(address, "#", print):
        pass
    publisher = Publisher(address, last_will=WILL, greeting=HELLO)
    publisher.start()
    wait_until(lambda: "no broker answers" in caplog.text, "the warning")
    assert not publisher.close(WILL, timeout_seconds=0.1)


def test_events_decided_while_there_is_no_broker_are_delivered_by_the_next_process(tmp_path: Path) -> None:
    with Broker() as broker:
        broker.stop()
        with closing(outbox_in(tmp_path)) as outbox:
            publisher = Publisher(address_of(broker), last_will=WILL, greeting=HELLO, outbox=outbox)
            publisher.start()
            for number in range(50):
                publisher.publish(numbered(number))
            assert not publisher.close(WILL, timeout_seconds=0.1)
            assert outbox.depth == 50
        broker.start()
        with closing(outbox_in(tmp_path)) as outbox, subscriber(broker.host, broker.port, topics="node/event") as inbox:
            publisher = Publisher(address_of(broker), last_will=WILL, greeting=HELLO, outbox=outbox)
            publisher.start()
            assert publisher.close(WILL, timeout_seconds=20)
            inbox.wait_for_payload("node/event", b"49")
            assert [int(item.payload) for item in inbox.messages] == list(range(50))
            assert outbox.depth == 0


def subscribed(broker: Broker, times: int) -> bool:
    return broker.log.count("Sending SUBACK to test-publisher") >= times


def test_subscriptions_are_there_again_after_the_broker_has_been_away(broker: Broker) -> None:
    inbox = Inbox()
    filters = ("node/+/mute/set", "home/status")
    publisher = Publisher(
        address_of(broker), last_will=WILL, greeting=HELLO, subscriptions=filters, on_message=inbox.receive
    )  # fmt: skip
    publisher.start()
    for restart in range(2):
        wait_until(partial(subscribed, broker, restart + 1), "the subscriptions")
        sender = Publisher(
            Address(broker.host, broker.port, "sender"),
            last_will=Message("sender", b"", 1, retained=True),
            greeting=Message("node/cot/mute/set", f"ON {restart}".encode(), 1, retained=True),
        )
        sender.start()
        inbox.wait_for_payload("node/cot/mute/set", f"ON {restart}".encode())
        sender.publish(Message("home/status", f"bye {restart}".encode(), 1, retained=False))
        assert sender.close(Message("sender", b"", 1, retained=True), timeout_seconds=20)
        inbox.wait_for_payload("home/status", f"bye {restart}".encode())
        if not restart:
            broker.kill()
            wait_until(lambda: not publisher.wait_connected(0), "the publisher to notice")
            broker.start()
    assert publisher.close(WILL, timeout_seconds=20)
    assert publisher.reconnects == 1


def test_a_state_that_was_on_its_way_when_the_broker_died_never_overtakes_the_newer_one(broker: Broker) -> None:
    publisher = publisher_to(broker)
    assert publisher.wait_connected(20)
    broker.freeze()
    for number in range(40):
        publisher.publish(Message("node/class/rain", f"old {number}".encode(), 1, retained=True))
    broker.kill()
    wait_until(lambda: not publisher.wait_connected(0), "the publisher to notice")
    publisher.publish(Message("node/class/rain", b"new", 1, retained=True))
    broker.start()
    with subscriber(broker.host, broker.port) as inbox:
        inbox.wait_for_payload("node/class/rain", b"new")
        assert publisher.close(WILL, timeout_seconds=20)
        inbox.wait_for_payload("node/status", b"offline")
        assert [item.payload for item in inbox.messages if item.topic == "node/class/rain"][-1] == b"new"
        assert not [item for item in inbox.messages if item.payload.startswith(b"old")], "only the latest is of interest"


def test_closing_does_not_wait_for_a_broker_that_hangs(broker: Broker) -> None:
    publisher = publisher_to(broker)
    assert publisher.wait_connected(20)
    broker.freeze()
    publisher.publish(numbered(1))
    assert not publisher.close(WILL, timeout_seconds=0.5)
    assert publisher.outbox.depth == 1
    assert not publisher.alive


def test_the_reason_for_an_outage_is_there_to_be_read_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with Broker() as broker:
        broker.stop()
        publisher = publisher_to(broker)
        wait_until(lambda: publisher.last_error is not None, "a reason")
        assert publisher.last_error == f"no broker answers at 127.0.0.1:{broker.port}: [Errno 111] Connection refused"
        broker.start()
        assert publisher.wait_connected(20)
        assert publisher.last_error is None
        assert caplog.text.count("no broker answers") == 1
        assert publisher.close(WILL, timeout_seconds=20)
