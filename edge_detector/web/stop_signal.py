"""Stop signal: set by one thread, and passed on to another one's event loop as soon as that has one."""

import threading
from collections.abc import Callable


class StopSignal:
    """Calls a function once it is set, or at once if it was set before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._call: Callable[[], None] | None = None

    def set(self) -> None:
        """Set it; may be called again."""
        with self._lock:
            self._is_set = True
            call = self._call
        if call is not None:
            call()

    def then(self, call: Callable[[], None]) -> None:
        """Call this when it is set."""
        with self._lock:
            self._call = call
            is_set = self._is_set
        if is_set:
            call()
