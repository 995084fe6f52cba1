"""Flow control of a connection: number of messages in flight, and whether QoS 0 messages are sent, by response time."""

from collections.abc import Callable
from typing import NamedTuple

FIRST_WINDOW = 4
FLOOD_MESSAGES = 200
"""Messages received since a message was sent that explain a late acknowledgement: it waits behind them."""
SLOW_SECONDS = 2.0
"""Response time of a slow link, on which QoS 0 messages are dropped."""
QUICK_SECONDS = 1.0


class _Sent(NamedTuple):
    """A message in flight: time of sending, and the count of received messages then. Both only increase."""

    at_seconds: float
    received_messages: int


class FlowControl:
    """Flow control of one connection. A slow link would queue QoS 0 messages, and events would wait behind them.

    Args:
        clock: monotonic time in seconds.
        received: returns the count of messages received so far.

    Attributes:
        window: QoS 1 messages that may be in flight now.
        most: limit of the broker.
        slow: whether the last response took too long, or is overdue.
        is_flooded: whether the last response was late, or is overdue, because of the messages that the broker sends.

    """

    def __init__(self, clock: Callable[[], float], received: Callable[[], int] = lambda: 0) -> None:
        self._clock = clock
        self._received = received
        self.reset(0)

    def reset(self, most: int) -> None:
        """Start a new connection, on which the broker allows `most` QoS 1 messages in flight."""
        self.most = most
        self.window = min(most, FIRST_WINDOW)
        self.slow = self.is_flooded = False
        self._sent: dict[int, _Sent] = {}
        self._received_at_answer = self._received()
        self._pinged_at: float | None = None
        self._unproven = 0
        self._answered_at = self._acknowledged_at = self._clock()

    def sent(self, mid: int) -> None:
        """Record a sent QoS 1 message."""
        self._sent[mid] = _Sent(self._clock(), self._received())

    def acknowledged(self, mid: int) -> None:
        """Record the acknowledgement of a QoS 1 message."""
        sent = self._sent.pop(mid, None)
        self._acknowledged_at = self._clock()
        if sent is None:
            return
        if self._clock() - sent.at_seconds > QUICK_SECONDS and self._is_flood_since(sent.received_messages):
            self.is_flooded = True
            self._note_answer()
            return
        self.is_flooded = False
        took_seconds = self._learn(sent.at_seconds)
        if took_seconds < QUICK_SECONDS:
            self.window = min(self.most, self.window + 1)
        elif took_seconds > SLOW_SECONDS:
            self.window = max(1, self.window // 2)

    def sent_qos0(self) -> None:
        """Record a sent QoS 0 message."""
        self._unproven += 1

    def pinged(self) -> None:
        """Record a sent ping."""
        self._pinged_at = self._clock()
        self._unproven = 0

    def answered(self) -> None:
        """Record the answer to a ping."""
        if self._pinged_at is not None:
            self._learn(self._pinged_at)
            self._pinged_at = None

    @property
    def wants_ping(self) -> bool:
        """Whether to send a ping, the only way to measure the response time to QoS 0 messages."""
        waited = self._clock() - self._answered_at >= QUICK_SECONDS
        if self._is_flood_since(self._received_at_answer):
            return False  # the answer would wait behind the received messages, and paho ends a connection without an answer
        return self._unproven > 0 and self._oldest is None and (self.slow or waited)

    @property
    def accepts_qos0(self) -> bool:
        """Whether QoS 0 messages may be sent now."""
        oldest = self._oldest
        if oldest is not None and self._clock() - oldest > SLOW_SECONDS:
            self.is_flooded = self._is_behind_flood
            self.slow = not self.is_flooded
        return oldest is None or not self.slow

    @property
    def unacknowledged_seconds(self) -> float:
        """Seconds without an acknowledgement although one is due; 0 if none is due."""
        if not self._sent or self._is_behind_flood:
            return 0.0
        return self._clock() - max(self._acknowledged_at, min(self._sent.values()).at_seconds)

    @property
    def _is_behind_flood(self) -> bool:
        """Whether many messages were received after the oldest unacknowledged one was sent."""
        return self._is_flood_since(min(self._sent.values()).received_messages if self._sent else self._received_at_answer)

    def _is_flood_since(self, received_messages: int) -> bool:
        return self._received() - received_messages > FLOOD_MESSAGES

    def _note_answer(self) -> None:
        self._answered_at = self._clock()
        self._received_at_answer = self._received()

    @property
    def _oldest(self) -> float | None:
        waiting = [*(sent.at_seconds for sent in self._sent.values()), *([] if self._pinged_at is None else [self._pinged_at])]
        return min(waiting, default=None)

    def _learn(self, sent_at: float) -> float:
        self._note_answer()
        took_seconds = self._answered_at - sent_at
        if took_seconds > SLOW_SECONDS:
            self.slow = True
        elif took_seconds < QUICK_SECONDS:
            self.slow = False
        return took_seconds
