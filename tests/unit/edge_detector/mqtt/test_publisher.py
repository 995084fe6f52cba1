"""Against a real mosquitto."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from edge_detector.errors import BrokerError
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.inbox import INBOX_MESSAGES
from edge_detector.mqtt.publisher import Publisher
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.inbox import subscriber
from tests.support.publisher import HELLO, WILL, address_of, event, numbered, outbox_in, publisher_to
from tests.support.waiting import wait_until


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_messages_published_before_close_arrive_in_order_and_then_the_farewell(broker: Broker, protocol: str) -> None:
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


def test_the_node_is_online_only_after_its_retained_states_are_current(broker: Broker) -> None:
    states = [Message(f"node/class/{number}", b"OFF", 1, retained=True) for number in range(50)]
    publisher = Publisher(Address(broker.host, broker.port, "test-publisher"), last_will=WILL, greeting=HELLO)
    for state in states:
        publisher.publish(state)
    publisher.start()
    for connects in (1, 2):
        assert taken(broker, greetings=connects) == connects * [*(state.topic for state in states), "node/status"]
        broker.kill()
        broker.start()
    publisher.close(WILL, timeout_seconds=20)


def test_the_deletion_of_a_topic_follows_earlier_messages(broker: Broker) -> None:
    publisher = Publisher(Address(broker.host, broker.port, "test-publisher"), last_will=WILL, greeting=HELLO)
    for topic, payload in (("node/class/owl", b"OFF"), ("node/config", b"no owl any more"), ("node/class/owl", b"")):
        publisher.publish(Message(topic, payload, 1, retained=True))
    publisher.start()
    assert taken(broker, greetings=1) == ["node/config", "node/class/owl", "node/status"]
    publisher.close(WILL, timeout_seconds=20)


def taken(broker: Broker, greetings: int) -> list[str]:
    """The topics of all messages that the broker has received, in order, once there are so many greetings among them."""

    def topics() -> list[str]:
        return re.findall(r"Received PUBLISH from [^']*'([^']*)'", broker.log)

    wait_until(lambda: topics().count(HELLO.topic) >= greetings, "the node to say that it is there")
    return topics()


def test_a_refused_message_is_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite node/status\n")
    with Broker(f"acl_file {rules}") as broker:
        publisher = publisher_to(broker)
        publisher.publish(event(1))
        assert publisher.close(WILL, timeout_seconds=20)
    assert publisher.refused_messages == 1
    assert "refused a message on node/event" in caplog.text


def test_a_wrong_login_is_logged_in_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with Broker(anonymous=False) as broker:
        publisher = publisher_to(broker, username="nobody", password="wrong")  # noqa: S106 - it is wrong on purpose
        wait_until(lambda: "check user name and password" in caplog.text, "the refusal")
        assert not publisher.close(WILL, timeout_seconds=0.1), "nothing could be delivered"


def test_a_refused_event_becomes_a_dead_letter_and_the_others_go_on(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite node/status\ntopic readwrite node/allowed\n")
    with Broker(f"acl_file {rules}") as broker, closing(outbox_in(tmp_path)) as outbox:
        publisher = Publisher(address_of(broker), last_will=WILL, greeting=HELLO, outbox=outbox)
        publisher.start()
        publisher.publish(numbered(1))
        publisher.publish(Message("node/allowed", b"2", 1, retained=False, message_id="2/end"))
        assert publisher.close(WILL, timeout_seconds=20)
        assert publisher.refused_topics == {"node/event": "Not authorized"}
        assert (publisher.refused_messages, publisher.dropped_events) == (1, 0)
        assert outbox.dead_letters() == [(numbered(1), "Not authorized")]


def test_an_invalid_topic_is_refused_and_other_messages_continue(broker: Broker) -> None:
    publisher = publisher_to(broker)
    publisher.publish(Message("node/+/event", b"", 1, retained=False, message_id="1/end"))
    publisher.publish(numbered(2))
    assert publisher.close(WILL, timeout_seconds=20)
    assert publisher.refused_messages == 1


def test_a_broker_with_a_receive_maximum_of_two_never_gets_more() -> None:
    with Broker("max_inflight_messages 2") as broker:
        publisher = publisher_to(broker)
        for number in range(100):
            publisher.publish(numbered(number))
            publisher.publish(Message(f"node/class/{number}", b"OFF", 1, retained=True))
        assert publisher.close(WILL, timeout_seconds=20)
        assert publisher.reconnects == 0, broker.log[-2_000:]


def test_a_subscriber_with_a_wrong_login_gets_an_error() -> None:
    with Broker(anonymous=False) as broker:
        address = Address(broker.host, broker.port, "test", username="nobody", password="wrong")  # noqa: S106 - on purpose
        with pytest.raises(BrokerError, match="check user name and password"), subscription(address, "#", print):
            pass


def test_the_repr_of_a_broker_has_no_password() -> None:
    assert "secret" not in repr(Address("host", 1, "id", username="me", password="secret"))  # noqa: S106 - not one


def test_an_invalid_host_name_is_an_error_at_once() -> None:
    address = Address("broker..local", 1883, "test")
    with pytest.raises(BrokerError, match="cannot be the name of a broker"):
        Publisher(address, last_will=WILL, greeting=HELLO)
    with pytest.raises(BrokerError, match="cannot be the name of a broker"), subscription(address, "#", print):
        pass


def test_all_messages_published_before_the_start_arrive(broker: Broker) -> None:
    publisher = Publisher(address_of(broker), last_will=WILL, greeting=HELLO)
    for number in range(2 * INBOX_MESSAGES):
        publisher.publish(Message(f"node/class/{number}", b"OFF", 1, retained=True))
    publisher.start()
    assert publisher.close(WILL, timeout_seconds=60)
    assert publisher.dropped_messages == 0
    for number in (0, 2 * INBOX_MESSAGES - 1):
        with subscriber(broker.host, broker.port, topics=f"node/class/{number}") as inbox:
            inbox.wait_for_payload(f"node/class/{number}", b"OFF")


def test_an_error_while_a_message_is_received_ends_the_connection_and_never_the_network_thread(broker: Broker) -> None:
    received: list[bytes] = []

    def receive(message: Message) -> None:
        received.append(message.payload)
        if message.payload == b"bad":
            raise RuntimeError

    publisher = Publisher(
        Address(broker.host, broker.port, "test-publisher"),
        last_will=WILL,
        greeting=HELLO,
        subscriptions=["ask"],
        on_message=receive,
    )
    publisher.start()
    with subscriber(broker.host, broker.port) as inbox:
        inbox.wait_for_payload("node/status", b"online")
    broker.publish("ask", "bad")
    wait_until(lambda: publisher.reconnects >= 1 and publisher.wait_connected(0), "the next connection")
    wait_until(lambda: broker.log.count("Sending SUBACK to test-publisher") >= 2, "the subscription")
    broker.publish("ask", "good")
    wait_until(lambda: b"good" in received, "the next message")
    assert publisher.alive
    assert publisher.close(WILL, timeout_seconds=20)
