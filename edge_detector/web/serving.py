"""Event loop of the page's thread: binds when it can, serves, and ends on request."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import socket
from typing import Any

from edge_detector.errors import unforeseen
from edge_detector.repeat_limit import RepeatLimit
from edge_detector.web.asgi import App
from edge_detector.web.connection_limits import ACCEPTED_AT_ONCE, BACKLOG, ConnectionCounts, ConnectionLimits
from edge_detector.web.connections import Connections
from edge_detector.web.event_loop import call_soon
from edge_detector.web.stop_signal import StopSignal

LOG = logging.getLogger(__name__)


def serve_until(
    stop: StopSignal,
    build: Callable[[], App],
    bound: Callable[[], socket | None],
    *,
    limits: ConnectionLimits,
    counts: ConnectionCounts,
    beat: Callable[[], None],
    retry_seconds: float,
    tick_seconds: float,
) -> None:
    """Serve until `stop` is set.

    Args:
        stop: ends it.
        build: builds the application, in the event loop.
        bound: tries to bind, and returns the listening socket or None; called again after `retry_seconds`.
        limits: of connections.
        counts: of connections, written here.
        beat: called at each look at the connections.
        retry_seconds: between two tries to bind.
        tick_seconds: between two looks at the connections.

    """

    async def serve() -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(_ExceptionLog())
        stop.then(lambda: call_soon(loop, stopping.set))
        connections = Connections(build(), limits, counts)
        ticking = asyncio.create_task(_tick(connections, beat, tick_seconds))
        server = None
        listening = bound()
        while listening is None and not stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), retry_seconds)
            listening = bound()
        if listening is not None and not stopping.is_set():
            server = await loop.create_server(connections.accept, sock=listening, backlog=ACCEPTED_AT_ONCE)
            listening.listen(BACKLOG)  # asyncio takes one number for both
        stopped = asyncio.create_task(stopping.wait())
        # The ticking ends by an error alone.
        await asyncio.wait([ticking, stopped], return_when=asyncio.FIRST_COMPLETED)
        if server is not None:
            server.close()
        await connections.close()
        if ticking.done():
            ticking.result()

    asyncio.run(serve())


async def _tick(connections: Connections, beat: Callable[[], None], tick_seconds: float) -> None:
    while True:
        beat()
        connections.check()
        await asyncio.sleep(tick_seconds)


class _ExceptionLog:
    """Logs what no task caught, such as a lack of file descriptors, in one line each."""

    def __init__(self) -> None:
        self._limit = RepeatLimit(time.monotonic)

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        sentence = unforeseen(error) if isinstance(error, Exception) else str(context.get("message"))
        if self._limit.allow(type(error).__name__) is not None:
            LOG.error("the page's server: %s", sentence)
