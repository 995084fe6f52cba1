"""How fast the broker answers, and so how much may be under way. What needs no answer is sent only where there is room for it."""

from collections.abc import Callable
from typing import NamedTuple

FIRST_WINDOW = 4
FLOOD_MESSAGES = 200
"""Messages received since a message was sent: its acknowledgement is late because it waits behind them."""
SLOW_SECONDS = 2.0
"""An answer that takes longer: the link has no room for what need not arrive."""
QUICK_SECONDS = 1.0


class _Sent(NamedTuple):
    """A message under way: when it was sent, and how many messages had been received by then. Both only grow."""

    at_seconds: float
    received_messages: int


class FlowControl:
    """One connection's flow. A slow link queues what is sent to it, unseen; an event must never wait behind that.

    Args:
        clock: monotonic time in seconds.
        received: count of the messages that were received so far.

    Attributes:
        window: QoS 1 messages that may be on their way now.
        most: what the broker allows of them.
        slow: the last answer took too long, or is overdue.
        is_flooded: the last answer was late, or is, because of the messages that the broker sends.

    """

    def __init__(self, clock: Callable[[], float], received: Callable[[], int] = lambda: 0) -> None:
        self._clock = clock
        self._received = received
        self.reset(0)

    def reset(self, most: int) -> None:
        """A new connection, of which the broker allows `most` QoS 1 messages on their way."""
        self.most = most
        self.window = min(most, FIRST_WINDOW)
        self.slow = self.is_flooded = False
        self._sent: dict[int, _Sent] = {}
        self._received_at_answer = self._received()
        self._pinged_at: float | None = None
        self._unproven = 0
        self._answered_at = self._acknowledged_at = self._clock()

    def sent(self, mid: int) -> None:
        """A QoS 1 message has been sent."""
        self._sent[mid] = _Sent(self._clock(), self._received())

    def acknowledged(self, mid: int) -> None:
        """The broker has answered for a QoS 1 message."""
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
        """A QoS 0 message has been sent."""
        self._unproven += 1

    def pinged(self) -> None:
        """The broker has been asked to answer."""
        self._pinged_at = self._clock()
        self._unproven = 0

    def answered(self) -> None:
        """It has."""
        if self._pinged_at is not None:
            self._learn(self._pinged_at)
            self._pinged_at = None

    @property
    def wants_ping(self) -> bool:
        """Whether to ask how far the broker has come with the QoS 0 messages, which nothing else tells."""
        waited = self._clock() - self._answered_at >= QUICK_SECONDS
        if self._is_flood_since(self._received_at_answer):
            return False  # the answer would wait behind them, and paho ends a connection whose ping is not answered
        return self._unproven > 0 and self._oldest is None and (self.slow or waited)

    @property
    def accepts_qos0(self) -> bool:
        """Whether a QoS 0 message may be sent now."""
        oldest = self._oldest
        if oldest is not None and self._clock() - oldest > SLOW_SECONDS:
            self.is_flooded = self._is_behind_flood
            self.slow = not self.is_flooded
        return oldest is None or not self.slow

    @property
    def unacknowledged_seconds(self) -> float:
        """For how long nothing has been acknowledged although something should have been."""
        if not self._sent or self._is_behind_flood:
            return 0.0
        return self._clock() - max(self._acknowledged_at, min(self._sent.values()).at_seconds)

    @property
    def _is_behind_flood(self) -> bool:
        """Whether the oldest message without an answer was followed by many that the broker sent."""
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
