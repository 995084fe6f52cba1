"""How fast a stream may be heard: as fast as the clock goes, whatever the far end sends."""

from collections.abc import Callable

BURST_SECONDS = 4.0
"""So much sound may come ahead of the clock at a stream's beginning: ffmpeg holds back about 2 s, a web radio often more."""
CATCH_UP_SECONDS = 12.0
"""So much more may come at once after a pause: a playlist's stream comes a segment at a time."""
RATE = 1.001
"""Faster than the clock by more than any crystal is, or sound of a fast one would pile up for ever."""


class Pace:
    """Seconds of sound that may be read now: they grow with the clock and shrink with what was read.

    Args:
        clock: seconds, monotonic.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._due_seconds = BURST_SECONDS
        self._caught_up = False

    def wait_seconds(self) -> float:
        """How long to wait before anything may be read; 0 if it may be now."""
        return max(0.0, -self._refill() / RATE)

    def behind_seconds(self, waiting_seconds: float) -> float:
        """How much of the sound that waits is late, which says that the reader is too slow; none while a stream begins."""
        return min(waiting_seconds, max(0.0, self._refill())) if self._caught_up else 0.0

    def take(self, seconds: float, waiting_seconds: float) -> None:
        """So much sound was read, and so much waits still."""
        self._due_seconds = self._refill() - seconds
        self._caught_up = self._caught_up or not waiting_seconds or self._due_seconds <= 0.0

    def _refill(self) -> float:
        before, self._at = self._at, self._clock()
        self._due_seconds = min(BURST_SECONDS + CATCH_UP_SECONDS, self._due_seconds + RATE * (self._at - before))
        return self._due_seconds
