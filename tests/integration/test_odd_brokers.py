"""Brokers that refuse, forget, hang up or send nonsense; the real mosquitto where it can be made to."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_detector.mqtt import publisher
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import Connection
from edge_detector.mqtt.inbox import Notice
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.refusals import refused
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.inbox import Inbox, subscriber
from tests.support.odd_broker import PUBACK, WELCOME, Guest, OddBroker, packet, published
from tests.support.odd_broker import publish as publication
from tests.support.publisher import HELLO, WILL, numbered
from tests.support.waiting import wait_until

STATE = Message("node/class/rain", b"OFF", 1, retained=True)
LARGE = Message("home/device/node/config", b"x" * 3_000, 1, retained=True)


@pytest.fixture(autouse=True)
def network_threads_end_with_their_test() -> Iterator[None]:
    """Wait for the threads that a stop left running: on a busy machine they need more than its half second."""
    yield
    for thread in threading.enumerate():
        if thread.name == "mqtt-network":
            thread.join(20.0)


@contextmanager
def publishing(
    broker: Broker | OddBroker, protocol: str = "5", *, inbox: Inbox | None = None, own: str = ""
) -> Iterator[Publisher]:
    made = Publisher(
        Address(broker.host, broker.port, "test-publisher", protocol, keepalive_seconds=5),
        last_will=WILL,
        greeting=HELLO,
        subscriptions=("home/status",),
        on_message=None if inbox is None else inbox.receive,
        own_filters=(own,) if own else (),
    )
    made.start()
    try:
        yield made
    finally:
        made.close(WILL, timeout_seconds=0.5)


@pytest.mark.parametrize(
    "nonsense",
    [
        publication(b"home/\xff\xfe"),
        publication(b"home/\xed\xa0\x80"),
        publication(b"home/status", b"", b"\x08\x26\x00\x01k\x00\x03\xef\xbb\xbf"),
    ],
)
def test_a_message_that_cannot_be_read_ends_neither_the_connection_nor_its_thread(nonsense: bytes) -> None:
    inbox = Inbox()

    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(WELCOME + nonsense + publication(b"home/status", b"online"))
        guest.serve()

    with OddBroker(script) as broker, publishing(broker, inbox=inbox) as made:
        inbox.wait_for_payload("home/status", b"online")
        made.publish(numbered(1))
        wait_until(lambda: made.wait_connected(0) and not made.outbox.depth, "the event to be taken")
        assert broker.connections == 1
        assert made.alive
        assert made.hung is None


def test_a_user_property_that_paho_takes_for_malformed_does_not_take_the_node_off(broker: Broker) -> None:
    inbox = Inbox()
    with publishing(broker, inbox=inbox) as made:
        wait_until(lambda: "Sending SUBACK to test-publisher" in broker.log, "the subscription")
        command = ["mosquitto_pub", "-V", "5", "-h", broker.host, "-p", str(broker.port), "-t", "home/status"]
        subprocess.run([*command, "-r", "-m", "bad", "-D", "publish", "user-property", "k", "\ufeff"], check=True)
        broker.publish("home/status", "good")
        inbox.wait_for_payload("home/status", b"good")
        assert made.reconnects == 0


def test_a_broker_that_refuses_3_1_1_and_goes_away_is_found_again_when_it_is_back() -> None:
    def script(guest: Guest, _number: int) -> None:
        guest.read()
        odd.close()
        guest.send(b"\x20\x02\x00\x01")

    with OddBroker(script) as odd, publishing(odd, "3.1.1") as made:
        wait_until(lambda: "set protocol" in (made.last_error or ""), "the sentence for a refused protocol")
        wait_until(lambda: "no broker answers" in (made.last_error or ""), "the broker to be away")
        back = Broker()
        back.port = odd.port
        back._config.write_text(back._config.read_text().replace("listener ", f"listener {odd.port} 127.0.0.1\n#"))  # noqa: SLF001 - a rig of ours
        with back:
            assert made.wait_connected(20)
            assert made.alive


def test_a_broker_that_lets_us_in_and_hangs_up_is_asked_more_and_more_seldom() -> None:
    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(WELCOME)

    notices: list[Notice] = []
    delays: list[float] = []

    def news(connection: Connection) -> bool:
        if connection.retry_seconds and connection.retry_seconds not in delays:
            delays.append(connection.retry_seconds)
        return len(delays) >= 3

    with OddBroker(script) as odd:
        address = Address(odd.host, odd.port, "test")
        connection = Connection(address, WILL, notices.append, lambda _message: None, dice=lambda: 0.0)
        connection.start()
        wait_until(lambda: news(connection), "three delays")
        connection.stop(5.0)
    assert delays == [0.5, 1.0, 2.0]


def test_another_client_with_the_same_id_is_a_trouble_that_lasts_after_the_reconnect() -> None:
    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(WELCOME + packet(0xE0, b"\x8e\x00"))

    with OddBroker(script) as odd, publishing(odd) as made:
        wait_until(lambda: any("another client uses the id" in sentence for sentence in made.troubles), "the trouble")


def test_a_broker_that_acknowledges_nothing_is_a_trouble_and_is_connected_to_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("UNACKNOWLEDGED_SECONDS", 0.3), ("NO_ACKNOWLEDGEMENT_SECONDS", 1.0), ("MAINTENANCE_SECONDS", 0.1)):
        monkeypatch.setattr(publisher, name, seconds)
    with OddBroker(lambda guest, _number: guest.serve(acknowledges=False)) as odd, publishing(odd) as made:
        wait_until(lambda: any("acknowledges nothing" in sentence for sentence in made.troubles), "the trouble")
        wait_until(lambda: odd.connections > 1, "another attempt")


def test_a_receive_maximum_of_nothing_is_said_to_be_no_mqtt() -> None:
    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(b"\x20\x06\x00\x00\x03\x21\x00\x00")
        guest.serve()

    with OddBroker(script) as odd, publishing(odd) as made:
        wait_until(lambda: made.last_error is not None or made.wait_connected(0), "an outcome")
        assert made.wait_connected(0) or 'protocol = "3.1.1"' in (made.last_error or "")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\x20\x02\x00\x01", 'set protocol = "3.1.1"'),
        (b"\x20\x02\x00\x05", "check user name and password"),
        (b"\x20\x03\x00\x84\x00", 'set protocol = "3.1.1"'),
        (b"\x20\x03\x00\x88\x00", "cannot serve now"),
        (b"\x20\x03\x00\x8a\x00", "lift the ban"),
        (b"\x20\x03\x00\x9a\x00", "retain_available true"),
        (b"\x20\x03\x00\x9b\x00", "max_qos 1"),
        (b"\x20\x03\x00\x9d\x00", "it has moved; set host"),
        (b"\x20\x03\x00\x9f\x00", "asked too often"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed the connection before it answered"),
    ],
)
def test_each_refusal_has_a_cure_of_its_own(answer: bytes, said: str) -> None:
    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(answer)

    with OddBroker(script) as odd, publishing(odd) as made:
        wait_until(lambda: made.last_error is not None, "a sentence")
        assert said in (made.last_error or "")


def test_the_sentence_about_the_password_is_for_a_wrong_login_alone() -> None:
    address = Address("host", 1883, "id")
    about_login = {code for code in range(128, 163) if "password" in refused(address, code, "reason")}
    assert about_login == {134, 135, 140}, "140 wants another kind of login"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_larger_than_the_broker_takes_is_named_and_all_else_arrives(protocol: str) -> None:
    limited = Broker("max_packet_size 2000")
    with limited as broker, subscriber(broker.host, broker.port, topics="node/#") as inbox, publishing(broker, protocol) as made:
        for message in (LARGE, STATE, numbered(1)):
            made.publish(message)
        inbox.wait_for_payload("node/event", b"1")
        wait_until(lambda: LARGE.topic in made.refused_topics, "the refusal", deadline_seconds=40)
        assert "too large" in made.refused_topics[LARGE.topic]
        inbox.wait_for_payload(STATE.topic, STATE.payload)
        inbox.wait_for_payload(HELLO.topic, HELLO.payload)
        assert made.wait_connected(20)
        reconnects = made.reconnects
        made.publish(LARGE)
        made.publish(numbered(2))
        inbox.wait_for_payload("node/event", b"2")
        assert made.reconnects == reconnects, "it is not tried again"
        assert not made.outbox.refused_messages, "no event is given up"


def test_a_packet_too_large_that_mqtt_5_cannot_say_is_a_refusal_all_the_same() -> None:
    with Broker("message_size_limit 300") as broker, publishing(broker) as made:
        made.publish(LARGE)
        wait_until(lambda: LARGE.topic in made.refused_topics, "the refusal")
        assert made.refused_topics[LARGE.topic] == "Packet too large"
        assert made.reconnects == 0


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_megabytes_for_us_are_not_read(protocol: str) -> None:
    with Broker() as broker:
        file = broker.folder / "megabytes"
        file.write_bytes(bytes(8 << 20))
        command = ["mosquitto_pub", "-h", broker.host, "-p", str(broker.port), "-t", "home/status", "-r", "-f", str(file)]
        subprocess.run(command, check=True)
        inbox = Inbox()
        with publishing(broker, protocol, inbox=inbox) as made, subscriber(broker.host, broker.port, topics="node/#") as seen:
            made.publish(numbered(1))
            seen.wait_for_payload("node/event", b"1")
            if protocol == "3.1.1":
                wait_until(lambda: "home/status" in made.refused_topics, "it to be given up", deadline_seconds=60)
                assert made.wait_connected(20)
            assert not inbox.messages


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_value_of_ours_that_somebody_else_overwrites_is_put_right(protocol: str) -> None:
    with Broker() as broker, publishing(broker, protocol, own="node/#") as made:
        wait_until(lambda: "Sending SUBACK to test-publisher" in broker.log and made.outbox.depth == 0, "the subscription")
        broker.publish(HELLO.topic, "offline")
        with subscriber(broker.host, broker.port, topics=HELLO.topic) as seen:
            wait_until(lambda: bool(seen.messages) and seen.messages[-1].payload == b"online", "the value to be put right")


def test_on_a_slow_link_the_status_waits_for_no_other_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "GREETING_SECONDS", 0.5)
    seen: list[bytes] = []

    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(WELCOME)
        while True:
            head, body = guest.read()
            if message := published(head, body):
                seen.append(message.topic + b" " + message.payload)
                threading.Event().wait(0.2)
                guest.send(packet(PUBACK, message.number))

    greeted, farewell = b"node/status online", b"node/status offline"
    with OddBroker(script) as odd, publishing(odd) as made:
        for number in range(100):
            made.publish(Message(f"node/class/{number}", b"OFF", 1, retained=True))
        wait_until(lambda: greeted in seen, "the greeting", deadline_seconds=5.0)
        assert seen.count(greeted) == 1
        assert len(seen) < 20
        made.close(WILL, timeout_seconds=8.0)
        wait_until(lambda: farewell in seen, "the farewell", deadline_seconds=5.0)
        assert len(seen) < 80, "long before all states were told"
        assert odd.connections == 1


def test_an_event_that_finds_the_connection_gone_is_not_tried_for_ever() -> None:
    made = Publisher(Address("127.0.0.1", 9, "test-publisher"), last_will=WILL, greeting=HELLO)
    made._online.set()  # noqa: SLF001 - between the loss of a connection and the notice of it, which is a moment
    made._hang_ups.cut({"node/large": 3_000}, ())  # noqa: SLF001 - as above
    made.publish(numbered(1))
    made._commit()  # noqa: SLF001 - as above
    turn = threading.Thread(target=made._send_pending, daemon=True)  # noqa: SLF001 - as above
    turn.start()
    turn.join(5.0)
    assert not turn.is_alive()
    assert made.outbox.depth == 1


def test_an_event_that_is_refused_for_a_full_quota_is_sent_again_and_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(publisher, "MAINTENANCE_SECONDS", 0.05)
    tries: list[bytes] = []

    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(WELCOME)
        while True:
            head, body = guest.read()
            if message := published(head, body):
                is_event = message.topic == b"node/cot/event"
                tries.extend([message.topic] if is_event else [])
                quota = is_event and len(tries) < 3
                guest.send(packet(PUBACK, message.number + (b"\x97\x00" if quota else b"")))

    with OddBroker(script) as odd, publishing(odd) as made:
        made.publish(Message("node/cot/event", b"{}", 1, retained=False))
        wait_until(lambda: len(tries) == 3 and not made.outbox.depth, "the third try")
        assert made.refused_messages == 0
        assert made.outbox.dead_letters() == []


def test_bytes_of_another_protocol_within_a_session_end_it_at_once() -> None:
    def script(guest: Guest, number: int) -> None:
        if number == 1:
            guest.read()
            guest.send(WELCOME)
            guest.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n" + 100 * b"x")
        guest.serve()

    with OddBroker(script) as odd, publishing(odd) as made:
        made.publish(Message("node/cot/event", b"{}", 1, retained=False))
        wait_until(lambda: odd.connections > 1 and not made.outbox.depth, "another connection, and the event")


def test_the_late_echo_of_a_value_that_was_replaced_is_no_other_clients() -> None:
    topic, values, asked = b"node/cot/class/rain", list[bytes](), threading.Event()

    def script(guest: Guest, _number: int) -> None:
        guest.read()
        guest.send(WELCOME)
        while True:
            head, body = guest.read()
            if message := published(head, body):
                guest.send(packet(PUBACK, message.number))
                if message.topic == topic:
                    values.append(message.payload)
                    if values[-1] == b"OFF":
                        guest.send(publication(topic, b"ON") + publication(b"ask", b"now"))

    with OddBroker(script) as odd:
        made = Publisher(
            Address(odd.host, odd.port, "test-publisher"),
            last_will=WILL,
            greeting=HELLO,
            own_filters=["node/+/class/+"],
            on_message=lambda _message: asked.set(),
        )
        made.start()
        made.publish(Message(topic.decode(), b"ON", 1, retained=True))
        wait_until(lambda: values == [b"ON"], "the first value")
        made.publish(Message(topic.decode(), b"OFF", 1, retained=True))
        assert asked.wait(20.0)
        made.close(WILL, timeout_seconds=5.0)
    assert values == [b"ON", b"OFF"]
