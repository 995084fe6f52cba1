"""Heartbeat of a thread, with a deadline for the next beat."""

import time
from collections.abc import Callable

PROGRESS_SECONDS = 20.0
"""Default deadline in seconds of one turn of a thread."""


class Heartbeat:
    """Deadline that one thread renews at each turn and another checks.

    Args:
        name: name of the thread, for the message.
        clock: monotonic time in seconds.

    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._deadline: tuple[str, float] | None = None

    def beat(self, doing: str = "work", within_seconds: float = PROGRESS_SECONDS) -> None:
        """Record progress: the thread turns to `doing` and beats again within `within_seconds`."""
        self._deadline = doing, self._clock() + within_seconds

    def end(self) -> None:
        """Record that the thread has ended as requested."""
        self._deadline = None

    @property
    def overdue(self) -> str | None:
        """A sentence on what hangs; None until the deadline passes."""
        deadline = self._deadline
        if deadline is None or self._clock() <= deadline[1]:
            return None
        late_seconds = self._clock() - deadline[1]
        return f"the {self._name} thread hangs in its {deadline[0]}, {late_seconds:.0f} s longer than it may"
