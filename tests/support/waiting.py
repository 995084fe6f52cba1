"""Waiting for something outside this process, with a deadline."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.01


def wait_until(holds: Callable[[], bool], what: str, *, deadline_seconds: float = 20.0) -> None:
    """Return as soon as `holds()` is true; raise TimeoutError naming `what` if that does not happen in time."""
    give_up_at = time.monotonic() + deadline_seconds
    while not holds():
        if time.monotonic() >= give_up_at:
            message = f"waited {deadline_seconds} s in vain for: {what}"
            raise TimeoutError(message)
        time.sleep(POLL_SECONDS)
