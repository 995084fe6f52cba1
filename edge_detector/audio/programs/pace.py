"""Rate limit of a stream to real time, whatever the server sends."""

from collections.abc import Callable

BURST_SECONDS = 4.0
"""Burst allowed at the start of a stream: ffmpeg buffers about 2 s, a web radio often more."""
CATCH_UP_SECONDS = 60.0
"""Additional burst allowed after a pause: playlist streams arrive in segments, and a stopped process has to catch up."""
RATE = 1.001
"""Faster than real time by more than any crystal error, or sound from a fast crystal would accumulate."""


class Pace:
    """Token bucket in seconds of sound: filled by the clock, emptied by reading.

    Args:
        clock: seconds, monotonic.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._due_seconds = BURST_SECONDS
        self._caught_up = False

    def wait_seconds(self) -> float:
        """Return the seconds to wait before reading; 0 for none."""
        return max(0.0, -self._refill() / RATE)

    def behind_seconds(self, waiting_seconds: float) -> float:
        """Return the seconds of waiting sound that are overdue, because the reader is too slow; 0 during the initial burst."""
        return min(waiting_seconds, max(0.0, self._refill())) if self._caught_up else 0.0

    def consume(self, seconds: float, waiting_seconds: float) -> None:
        """Account for `seconds` read, with `waiting_seconds` still waiting."""
        self._due_seconds = self._refill() - seconds
        self._caught_up = self._caught_up or not waiting_seconds or self._due_seconds <= 0.0

    def _refill(self) -> float:
        before, self._at = self._at, self._clock()
        self._due_seconds = min(BURST_SECONDS + CATCH_UP_SECONDS, self._due_seconds + RATE * (self._at - before))
        return self._due_seconds
