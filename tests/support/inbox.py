"""A subscriber that keeps what it receives, for tests that wait for a message."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.types import Message

DEADLINE_SECONDS = 30.0
_NUMBERS = count()


class Inbox:
    """Messages in the order of their arrival."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: list[Message] = []

    def receive(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    @property
    def messages(self) -> list[Message]:
        with self._changed:
            return list(self._messages)

    def wait_for(self, wanted: Callable[[Message], bool], what: str) -> Message:
        """The first message that is wanted, waiting for it if need be."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: any(map(wanted, self._messages)), DEADLINE_SECONDS)
            assert arrived, f"no {what} arrived; got {[(item.topic, item.payload[:60]) for item in self._messages[-20:]]}"
            return next(filter(wanted, self._messages))

    def wait_for_payload(self, topic: str, payload: bytes) -> Message:
        return self.wait_for(lambda item: item.topic == topic and item.payload == payload, f"{payload!r} on {topic}")

    def json(self, leaf: str) -> list[dict[str, Any]]:
        """All payloads whose topic ends with `leaf`, in order."""
        return [json.loads(item.payload) for item in self.messages if item.topic.endswith(f"/{leaf}")]


@contextmanager
def subscriber(host: str, port: int, *, protocol: str = "5", topics: str = "#") -> Iterator[Inbox]:
    inbox = Inbox()
    # Two of the same name would throw each other out.
    with subscription(Address(host, port, f"test-subscriber-{next(_NUMBERS)}", protocol), topics, inbox.receive):
        yield inbox
