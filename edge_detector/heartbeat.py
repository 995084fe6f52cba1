"""A thread's sign of life: what it does, and by when it will be heard of again."""

import time
from collections.abc import Callable

PROGRESS_SECONDS = 20.0
"""How long one turn of a thread may take where nothing is named that it waits for."""


class Heartbeat:
    """Beaten by one thread at each turn, looked at by another.

    Args:
        name: of the thread, for the sentence.
        clock: monotonic time in seconds.

    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._promise: tuple[str, float] | None = None

    def beat(self, doing: str = "work", within_seconds: float = PROGRESS_SECONDS) -> None:
        """The thread makes progress now. It waits for what `doing` names, and beats again within so many seconds."""
        self._promise = doing, self._clock() + within_seconds

    def end(self) -> None:
        """The thread has ended, as it was asked to."""
        self._promise = None

    @property
    def overdue(self) -> str | None:
        """What hangs, in a sentence; None while the thread keeps its word."""
        promise = self._promise
        if promise is None or self._clock() <= promise[1]:
            return None
        late_seconds = self._clock() - promise[1]
        return f"the {self._name} thread hangs in its {promise[0]}, {late_seconds:.0f} s longer than it may"
