"""When something is late, and when it is tried again."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeeperTimes:
    """How patient a keeper is, in seconds.

    Attributes:
        first_delay: before the first new attempt; doubled from attempt to attempt up to `longest_delay`, and each time
            multiplied with a random number from 0.5 to 1, so that many sources do not come back all at once.
        open, close: an opening or closing that takes longer hangs.
        stall: without a block for this long a healthy source is stalled ...
        lost: ... and for this long, lost, if it has not said so itself.
        steady: a source that was healthy for this long begins with `first_delay` again when it is lost.

    """

    first_delay: float = 0.5
    longest_delay: float = 10.0
    open: float = 45.0
    close: float = 10.0
    stall: float = 1.0
    lost: float = 15.0
    steady: float = 3.0


class Backoff:
    """Delays that double from attempt to attempt.

    Args:
        times: the first and the longest delay.
        random: a number from 0 to 1.

    """

    def __init__(self, times: KeeperTimes, random: Callable[[], float]) -> None:
        self._times = times
        self._random = random
        self._next_seconds = times.first_delay

    def next_seconds(self) -> float:
        """The delay before the next attempt, in seconds."""
        seconds = self._next_seconds
        self._next_seconds = min(2.0 * seconds, self._times.longest_delay)
        return seconds * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Begin with the first delay again."""
        self._next_seconds = self._times.first_delay
