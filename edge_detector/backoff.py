"""Randomised exponential backoff."""

from collections.abc import Callable


class Backoff:
    """Delays that double with each attempt, each multiplied by a random factor from 0.5 to 1.

    The factor keeps clients that lost the same server from all reconnecting at once.

    Args:
        first_seconds, longest_seconds: first and longest delay, before the factor.
        random: returns a number from 0 to 1.

    """

    def __init__(self, first_seconds: float, longest_seconds: float, random: Callable[[], float]) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._random = random
        self._next_seconds = first_seconds

    def next_seconds(self) -> float:
        """Return the delay before the next attempt, in seconds, and double the one after it."""
        seconds = self._next_seconds
        self._next_seconds = min(2.0 * seconds, self._longest_seconds)
        return seconds * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Start from the first delay again."""
        self._next_seconds = self._first_seconds
