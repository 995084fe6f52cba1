"""Calls from other threads on the event loop of the page."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


def call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Let a loop call a function; nothing happens if the loop is closed, since the page has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
