"""How fast the broker answers, and so how much may be under way. What needs no answer is sent only where there is room for it."""

from collections.abc import Callable

FIRST_WINDOW = 4
SLOW_SECONDS = 2.0
"""An answer that takes longer: the link has no room for what need not arrive."""
QUICK_SECONDS = 1.0


class FlowControl:
    """One connection's flow. A slow link queues what is sent to it, unseen; an event must never wait behind that.

    Args:
        clock: monotonic time in seconds.

    Attributes:
        window: QoS 1 messages that may be on their way now.
        most: what the broker allows of them.
        slow: the last answer took too long, or is overdue.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begin(0)

    def begin(self, most: int) -> None:
        """A new connection, of which the broker allows `most` QoS 1 messages on their way."""
        self.most = most
        self.window = min(most, FIRST_WINDOW)
        self.slow = False
        self._sent: dict[int, float] = {}
        self._pinged_at: float | None = None
        self._unproven = 0
        self._answered_at = self._acknowledged_at = self._clock()

    def sent(self, mid: int) -> None:
        """A QoS 1 message has been sent."""
        self._sent[mid] = self._clock()

    def acknowledged(self, mid: int) -> None:
        """The broker has answered for a QoS 1 message."""
        sent_at = self._sent.pop(mid, None)
        self._acknowledged_at = self._clock()
        if sent_at is None:
            return
        took_seconds = self._learn(sent_at)
        if took_seconds < QUICK_SECONDS:
            self.window = min(self.most, self.window + 1)
        elif took_seconds > SLOW_SECONDS:
            self.window = max(1, self.window // 2)

    def sent_loose(self) -> None:
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
        return self._unproven > 0 and self._oldest is None and (self.slow or waited)

    @property
    def takes_loose(self) -> bool:
        """Whether a QoS 0 message may be sent now."""
        oldest = self._oldest
        if oldest is not None and self._clock() - oldest > SLOW_SECONDS:
            self.slow = True
        return oldest is None or not self.slow

    @property
    def unacknowledged_seconds(self) -> float:
        """For how long nothing has been acknowledged although something should have been."""
        if not self._sent:
            return 0.0
        return self._clock() - max(self._acknowledged_at, min(self._sent.values()))

    @property
    def _oldest(self) -> float | None:
        waiting = [*self._sent.values(), *([] if self._pinged_at is None else [self._pinged_at])]
        return min(waiting, default=None)

    def _learn(self, sent_at: float) -> float:
        self._answered_at = self._clock()
        took_seconds = self._answered_at - sent_at
        if took_seconds > SLOW_SECONDS:
            self.slow = True
        elif took_seconds < QUICK_SECONDS:
            self.slow = False
        return took_seconds
