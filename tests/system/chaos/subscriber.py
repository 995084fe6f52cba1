"""A subscriber with a session that outlives connections and the broker, which keeps all it gets."""

import threading
import time
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_detector.types import Message

SESSION_SECONDS = 3_600


class PersistentSubscriber:
    """Use it as a context manager, around everything whose messages it must not miss.

    Attributes:
        arrivals: when each message came, on the monotonic clock.

    """

    def __init__(self, host: str, port: int, topic_filter: str) -> None:
        self._messages: defaultdict[str, list[Message]] = defaultdict(list)
        self.arrivals: list[float] = []
        self._subscribed = threading.Event()
        self._filter = topic_filter
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="persistent-subscriber", protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        session.SessionExpiryInterval = SESSION_SECONDS
        self._client.connect(host, port, keepalive=2, clean_start=False, properties=session)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(20.0), "no subscription"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def messages(self, leaf: str) -> list[Message]:
        """Those whose topic ends in `leaf`, in the order of their arrival."""
        return list(self._messages.get(leaf, ()))

    def latest(self) -> dict[str, bytes]:
        """The last payload by the last level of its topic."""
        return {leaf: messages[-1].payload for leaf, messages in self._messages.copy().items()}

    def _on_connect(self, client: paho.Client, _data: object, _flags: object, _reason: object, _more: object) -> None:
        client.subscribe(self._filter, qos=1)

    def _on_message(self, _client: paho.Client, _data: object, got: Any) -> None:  # noqa: ANN401 - paho's message
        self.arrivals.append(time.monotonic())
        self._messages[got.topic.rpartition("/")[2]].append(
            Message(got.topic, bytes(got.payload), 1 if got.qos else 0, got.retain)
        )
