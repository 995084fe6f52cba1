"""MQTT through paho: a publisher that never blocks the sound, and a subscriber for the demo and the tests.

Delivery is decided on PUBACK's reason code (`on_publish`), never on paho's MQTTMessageInfo, which calls a refused message
published. While the broker is away events wait in a bounded queue, retained topics keep their latest value, and the rest is
dropped; every loss is counted.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edge_detector.errors import BrokerError
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

PENDING_EVENTS = 1_000
"""Events kept while the broker is away: the oldest is dropped, and counted, when one more comes."""
IN_FLIGHT = 20
"""QoS 1 messages the broker may owe us an answer for at one time."""
INBOX_MESSAGES = 4_000
"""Bound of what waits for the worker thread."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it."""

    host: str
    port: int
    client_id: str
    protocol: str = "5"
    username: str | None = None
    password: str | None = None
    keepalive_seconds: int = 15


def _client(broker: Broker) -> paho.Client:
    version = MQTTProtocolVersion.MQTTv5 if broker.protocol == "5" else MQTTProtocolVersion.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=broker.client_id, protocol=version)
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    return client


@dataclass(frozen=True, slots=True)
class _Connected:
    """The broker has accepted us."""


@dataclass(frozen=True, slots=True)
class _Disconnected:
    """The connection is gone."""


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    """The broker has answered for a message; `refusal` says why it would not take it."""

    mid: int
    refusal: str | None


@dataclass(frozen=True, slots=True)
class _Close:
    """Deliver what is left until the deadline (monotonic clock), then stop."""

    deadline_seconds: float


class Publisher:
    """Publishes from any thread and never makes it wait.

    All state belongs to one worker thread, which everybody reaches through its inbox, paho's callbacks too: paho calls
    `on_publish` under a lock that its `publish` also takes, so a lock of our own around both would be a deadlock.

    Args:
        broker: where to.
        last_will: retained message that the broker sends when this client is cut off.
        greeting: retained message published first on every connect.

    """

    def __init__(self, broker: Broker, *, last_will: Message, greeting: Message) -> None:
        self._broker = broker
        self._inbox: queue.Queue[Message | _Connected | _Disconnected | _Acknowledged | _Close] = queue.Queue()
        self._retained: dict[str, Message] = {greeting.topic: greeting}
        self._waiting: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}
        self._connected = threading.Event()
        self._delivered_all = False
        self.dropped_messages = 0
        self.refused_messages = 0
        self._worker = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._client = _client(broker)
        self._client.reconnect_delay_set(1, 30)
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.will_set(last_will.topic, last_will.payload, last_will.qos, last_will.retained)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish

    def start(self) -> None:
        """Begin to connect, in the background; a broker that is not there yet is tried again for ever."""
        self._worker.start()
        self._client.connect_async(self._broker.host, self._broker.port, self._broker.keepalive_seconds)
        self._client.loop_start()

    def wait_connected(self, timeout_seconds: float) -> bool:
        """Whether the broker has accepted us, waiting for it if need be."""
        return self._connected.wait(timeout_seconds)

    def publish(self, message: Message) -> None:
        """Hand over one message. Returns at once; beyond the inbox's bound a message is dropped and counted."""
        if self._inbox.qsize() >= INBOX_MESSAGES:
            self._drop()
        else:
            self._inbox.put(message)

    def close(self, farewell: Message, timeout_seconds: float) -> bool:
        """Deliver what is waiting, say `farewell`, disconnect. False if not everything was acknowledged in time."""
        self._inbox.put(farewell)
        self._inbox.put(_Close(time.monotonic() + timeout_seconds))
        self._worker.join()
        self._client.disconnect()
        self._client.loop_stop()
        return self._delivered_all

    def _work(self) -> None:
        deadline_seconds: float | None = None
        while deadline_seconds is None or (self._undelivered and time.monotonic() < deadline_seconds):
            timeout = None if deadline_seconds is None else max(0.0, deadline_seconds - time.monotonic())
            try:
                item = self._inbox.get(timeout=timeout)
            except queue.Empty:
                break
            match item:
                case Message():
                    self._accept(item)
                case _Acknowledged():
                    self._settle(item)
                case _Connected():
                    self._greet()
                case _Disconnected():
                    self._connected.clear()
                case _Close():
                    deadline_seconds = item.deadline_seconds
        self._delivered_all = not self._undelivered

    @property
    def _undelivered(self) -> bool:
        return not self._connected.is_set() or bool(self._waiting or self._in_flight or self._inbox.qsize())

    def _accept(self, message: Message) -> None:
        if message.retained:
            self._retained[message.topic] = message
        if not self._connected.is_set():
            if not message.retained:
                self._keep(message)
        elif message.qos and len(self._in_flight) >= PENDING_EVENTS:
            self._keep(message)
        else:
            self._send(message)

    def _keep(self, message: Message) -> None:
        if message.qos == 0:
            self._drop()
            return
        self._waiting.append(message)
        if len(self._waiting) > PENDING_EVENTS:
            self._waiting.popleft()
            self._drop()

    def _drop(self) -> None:
        self.dropped_messages += 1
        if self.dropped_messages.bit_count() == 1:  # at 1, 2, 4, 8…: a long outage does not flood the log
            LOG.warning("the broker is away or slow: %d messages dropped so far", self.dropped_messages)

    def _send(self, message: Message) -> None:
        info = self._client.publish(message.topic, message.payload, message.qos, message.retained)
        if message.qos == 0:
            return
        if info.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            # With NO_CONN paho has queued the message all the same and sends it after reconnecting.
            self._in_flight[info.mid] = message
        else:
            self._keep(message)

    def _greet(self) -> None:
        self._connected.set()
        for message in self._retained.values():
            self._send(message)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and len(self._in_flight) < PENDING_EVENTS:
            self._send(self._waiting.popleft())

    def _settle(self, acknowledged: _Acknowledged) -> None:
        message = self._in_flight.pop(acknowledged.mid, None)
        if message is not None and acknowledged.refusal is not None:
            self.refused_messages += 1
            LOG.error("the broker refused a message on %s (%s); check its access rules", message.topic, acknowledged.refusal)
        self._send_waiting()

    def _on_connect(self, _client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:  # noqa: ANN401 - paho's ReasonCode is untyped
        where = f"{self._broker.host}:{self._broker.port}"
        if reason.is_failure:
            LOG.error("the broker %s refused us (%s); check user name and password", where, reason)
            return
        LOG.info("connected to the broker %s", where)
        self._inbox.put(_Connected())

    def _on_connect_fail(self, _client: paho.Client, _data: object) -> None:
        LOG.warning("no broker answers at %s:%d; trying again", self._broker.host, self._broker.port)

    def _on_disconnect(self, _client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:  # noqa: ANN401 - as above
        if reason.is_failure:
            LOG.warning("lost the broker %s:%d (%s); reconnecting", self._broker.host, self._broker.port, reason)
        self._inbox.put(_Disconnected())

    def _on_publish(self, _client: paho.Client, _data: object, mid: int, reason: Any, _more: object) -> None:  # noqa: ANN401 - as above
        self._inbox.put(_Acknowledged(mid, str(reason) if reason.is_failure else None))


@contextmanager
def subscription(broker: Broker, topic_filter: str, receive: Callable[[Message], None]) -> Iterator[None]:
    """Call `receive`, on paho's thread, for each message under `topic_filter` while the block runs. Raises BrokerError."""
    client = _client(broker)
    subscribed = threading.Event()

    def on_connect(*_: object) -> None:
        client.subscribe(topic_filter, qos=1)

    def on_subscribe(*_: object) -> None:
        subscribed.set()

    def on_message(_client: paho.Client, _data: object, got: paho.MQTTMessage) -> None:
        receive(Message(got.topic, bytes(got.payload), 1 if got.qos else 0, got.retain))

    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    try:
        client.connect(broker.host, broker.port, broker.keepalive_seconds)
    except OSError as error:
        raise BrokerError(f"no broker answers at {broker.host}:{broker.port}: {error}") from error
    client.loop_start()
    try:
        if not subscribed.wait(10.0):
            raise BrokerError(f"the broker {broker.host}:{broker.port} did not confirm a subscription to {topic_filter}")
        yield
    finally:
        client.disconnect()
        client.loop_stop()
