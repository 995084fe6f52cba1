"""How long to wait before something is tried again."""

from collections.abc import Callable


class Backoff:
    """Delays that double from attempt to attempt, each multiplied with a random number from 0.5 to 1.

    So what was lost by many at the same moment is not asked for again by all of them at once.

    Args:
        first_seconds, longest_seconds: the first and the longest delay.
        random: a number from 0 to 1.

    """

    def __init__(self, first_seconds: float, longest_seconds: float, random: Callable[[], float]) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._random = random
        self._next_seconds = first_seconds

    def next_seconds(self) -> float:
        """The delay before the next attempt, in seconds."""
        seconds = self._next_seconds
        self._next_seconds = min(2.0 * seconds, self._longest_seconds)
        return seconds * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Begin with the first delay again."""
        self._next_seconds = self._first_seconds
