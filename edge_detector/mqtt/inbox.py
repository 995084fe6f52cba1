"""What everybody hands to the publisher's worker thread: bounded for messages, never for the connection's own notices."""

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from edge_detector.types import Message

INBOX_MESSAGES = 4_000
"""Bound of what waits for the worker thread; what need not arrive is dropped from half of it on."""
TURN_ITEMS = 500
"""What the worker hears before it commits, all in one transaction."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted us, and owes us nothing.

    Attributes:
        window: QoS 1 messages that may be on their way at one time.
        longest_packet: in bytes; None where it has named no limit.

    """

    window: int
    longest_packet: int | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has answered for a message; `refusal` says why it would not take it."""

    mid: int
    refusal: str | None
    is_transient: bool = False


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The broker will not send us what is published under a topic filter."""

    topic_filter: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The outbox's disk has done what it was given; events may be ready to be sent."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker has read what was sent before a ping."""


@dataclass(frozen=True, slots=True)
class Overwritten:
    """Somebody else has published another value on a topic of ours."""

    topic: str


Notice: TypeAlias = Connected | Disconnected | Acknowledged | SubscriptionRefused | Answered | Overwritten | Stored


@dataclass(frozen=True, slots=True)
class Close:
    """Deliver what is left, say `farewell` in time (monotonic clock), and stop."""

    farewell: Message
    farewell_by_seconds: float
    deadline_seconds: float


Item: TypeAlias = Message | Notice | Close


def is_event(message: Message) -> bool:
    """Whether a message has to arrive exactly as it is, and so goes through the outbox."""
    return message.qos == 1 and not message.retained


class Inbox:
    """Takes from any thread, and never makes it wait.

    Attributes:
        overflowed_events, overflowed_rest: messages that found no room.

    """

    def __init__(self) -> None:
        self._queue: queue.Queue[Item] = queue.Queue()
        self.overflowed_events = 0
        self.overflowed_rest = 0

    def offer(self, message: Message) -> None:
        """Take one message, or count it where there is no room."""
        if self._queue.qsize() < (INBOX_MESSAGES if message.qos else INBOX_MESSAGES // 2):
            self._queue.put(message)
        elif is_event(message):
            self.overflowed_events += 1
        else:
            self.overflowed_rest += 1

    def put(self, item: Notice | Close) -> None:
        """Take what must not be missed."""
        self._queue.put(item)

    def receive(self, timeout_seconds: float) -> Iterator[Item]:
        """What is there, waiting for the first of it if need be."""
        try:
            yield self._queue.get(timeout=max(0.0, timeout_seconds))
            for _ in range(TURN_ITEMS):
                yield self._queue.get_nowait()
        except queue.Empty:
            return

    def __len__(self) -> int:
        """How much waits for the worker."""
        return self._queue.qsize()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for the worker."""
        return self._queue.empty()
