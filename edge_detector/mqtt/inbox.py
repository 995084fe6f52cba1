"""Queue of the publisher's worker thread: bounded for messages, unbounded for notices of the connection."""

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from edge_detector.types import Message

INBOX_MESSAGES = 4_000
"""Limit of queued items; QoS 0 messages are dropped from half of it on."""
TURN_ITEMS = 500
"""Items that the worker handles before it commits them in one transaction."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted the connection; no acknowledgement is pending.

    Attributes:
        window: QoS 1 messages that may be in flight.
        longest_packet: limit of the broker in bytes; None if it named none.

    """

    window: int
    longest_packet: int | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has ended."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has acknowledged a message, or refused it for the reason `refusal`."""

    mid: int
    refusal: str | None
    is_transient: bool = False


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The broker has refused a subscription."""

    topic_filter: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The disk thread of the outbox has finished a turn; events may be ready to send."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker has answered a ping, so it has read everything sent before."""


@dataclass(frozen=True, slots=True)
class Overwritten:
    """Another client has published a different value on a topic of this node."""

    topic: str


Notice: TypeAlias = Connected | Disconnected | Acknowledged | SubscriptionRefused | Answered | Overwritten | Stored


@dataclass(frozen=True, slots=True)
class Close:
    """Deliver the remaining messages, publish `farewell` in time (monotonic clock), and stop."""

    farewell: Message
    farewell_by_seconds: float
    deadline_seconds: float


Item: TypeAlias = Message | Notice | Close


def is_event(message: Message) -> bool:
    """Return whether a message goes through the outbox: QoS 1 and not retained."""
    return message.qos == 1 and not message.retained


class Inbox:
    """Thread-safe queue that never blocks the sender.

    Attributes:
        overflowed_events, overflowed_rest: messages dropped because the queue was full.

    """

    def __init__(self) -> None:
        self._queue: queue.Queue[Item] = queue.Queue()
        self.overflowed_events = 0
        self.overflowed_rest = 0

    def offer(self, message: Message) -> None:
        """Queue one message, or count it as dropped if the queue is full."""
        if self._queue.qsize() < (INBOX_MESSAGES if message.qos else INBOX_MESSAGES // 2):
            self._queue.put(message)
        elif is_event(message):
            self.overflowed_events += 1
        else:
            self.overflowed_rest += 1

    def put(self, item: Notice | Close) -> None:
        """Queue an item that must not be dropped."""
        self._queue.put(item)

    def receive(self, timeout_seconds: float) -> Iterator[Item]:
        """Yield queued items; wait for the first up to the timeout."""
        try:
            yield self._queue.get(timeout=max(0.0, timeout_seconds))
            for _ in range(TURN_ITEMS):
                yield self._queue.get_nowait()
        except queue.Empty:
            return

    def __len__(self) -> int:
        """Return the number of queued items."""
        return self._queue.qsize()

    @property
    def is_empty(self) -> bool:
        """Whether the queue is empty."""
        return self._queue.empty()
