"""Thread that works for a disk in turns: a slow or hanging disk delays nothing else, and shows."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

HANG_SECONDS = 7.0
"""Time limit of a turn; beyond it the disk counts as hanging."""
_HANGS = "the disk does not answer; check its cable, its power and its health"


class DiskThread(ABC):
    """A daemon thread with its wake-up and its end. A subclass begins it with `_begin`, last in its constructor."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._closing = False
        self._turn_since_seconds: float | None = None
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Write what waits, then end; returns at once."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def wait_closed(self, timeout_seconds: float) -> bool:
        """Wait for the end, after `close`; False if that takes longer."""
        if self._thread is None:
            return True
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    @property
    def _hang(self) -> str | None:
        """What is wrong with the disk while a turn takes too long; None otherwise."""
        since_seconds = self._turn_since_seconds
        return _HANGS if since_seconds is not None and time.monotonic() - since_seconds >= HANG_SECONDS else None

    @contextmanager
    def _timed_turn(self) -> Iterator[None]:
        # Not ended by an error, which ends the thread: what never ends a turn counts as hanging.
        self._turn_since_seconds = time.monotonic()
        yield
        self._turn_since_seconds = None

    def _begin(self, name: str) -> None:
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @abstractmethod
    def _work(self) -> None:
        """Work until `close`, on the thread."""
