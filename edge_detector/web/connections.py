"""Connections of the page's server, with limits for clients that are slow on purpose. Only this file imports uvicorn.

uvicorn has no such limits; they are added here: connections of one address and in total, the time until a request's headers are
complete, and the time in which a response makes no progress.
"""

import asyncio
import logging
import time
from collections import Counter
from email.utils import formatdate

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from edge_detector.web.access import client_key
from edge_detector.web.asgi import App
from edge_detector.web.connection_limits import ConnectionCounts, ConnectionLimits
from edge_detector.web.guard import SECURITY_HEADERS

MAX_HEADER_BYTES = 16_384
READ_BYTES = 4_096
"""Read at once. uvicorn's limit of headers is for incomplete ones: within asyncio's 256 kB, complete ones would pass."""
LEAVE_SECONDS = 0.2
"""For the requests in progress, once their connections are cut."""
_BAD_REQUEST_BODY = b'{"error": "the request is not valid HTTP/1.1, or its headers are too large; send a shorter, valid one"}'
_BAD_REQUEST_HEADERS = (
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BAD_REQUEST_BODY)).encode()),
    (b"connection", b"close"),
    *SECURITY_HEADERS,
)
_BAD_REQUEST = b"\r\n".join(
    [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in _BAD_REQUEST_HEADERS), b"", _BAD_REQUEST_BODY]
)


class Connections:
    """All open connections, in the server's thread."""

    def __init__(self, app: App, limits: ConnectionLimits, counts: ConnectionCounts) -> None:
        self.limits = limits
        self._counts = counts
        self._open: set[Connection] = set()
        # No other logging than ours: what fails in the application is logged by its guard. proxy_headers would take a client's
        # address from headers that any client of this machine can send.
        self._config = Config(
            app,
            interface="asgi3",
            loop="none",
            http=H11Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            workers=1,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle_seconds,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        self._config.load()
        self._state = ServerState()

    def accept(self) -> "Connection":
        """Return the protocol of a new connection."""
        return Connection(self, self._config, self._state)

    def admits(self, address: str) -> bool:
        """Return whether there is room for a connection of this address; the longest idle one makes room if there is none."""
        of_address = Counter(connection.address for connection in self._open)
        if of_address[address] >= self.limits.of_address:
            self._counts.refused += 1
            return False
        if len(self._open) < self.limits.in_total:
            return True
        self._counts.refused += 1
        waiting = (connection for connection in self._open if connection.is_waiting)
        idle = min(waiting, key=lambda each: each.waiting_since_seconds, default=None)
        if idle is None:
            return False
        idle.abort()
        return True

    def add(self, connection: "Connection") -> None:
        """Count a connection that is open."""
        self._open.add(connection)
        self._counts.open = len(self._open)

    def discard(self, connection: "Connection") -> None:
        """Forget a connection; may be called again."""
        self._open.discard(connection)
        self._counts.open = len(self._open)

    def check(self) -> None:
        """Cut the connections whose client is too slow, and set the date of the responses."""
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        for connection in tuple(self._open):
            if connection.is_too_slow():
                self._counts.cut += 1
                connection.abort()

    async def close(self) -> None:
        """Cut all connections, and let their requests end."""
        for connection in tuple(self._open):
            connection.abort()
        tasks = tuple(self._state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVE_SECONDS)


class Connection(H11Protocol):
    """A connection with limits of time."""

    def __init__(self, connections: Connections, config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._of_server = connections
        self.address = ""
        self.waiting_since_seconds = 0.0
        self._unsent_bytes = 0
        self._stalled_since_seconds: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the headers of a request."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, unless there are too many connections."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        # A client that has gone already has no address.
        self.address = client_key(peer[0]) if peer else ""
        self.waiting_since_seconds = self.loop.time()
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # of asyncio's socket transports
        if self._of_server.admits(self.address):
            self._of_server.add(self)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._of_server.discard(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.waiting_since_seconds = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as in uvicorn
        """Answer what is not HTTP; uvicorn's own answer fails where a response has begun."""
        if not self.is_waiting and self.cycle.response_started:
            self.abort()
            return
        self.transport.write(_BAD_REQUEST)
        self.transport.close()

    def is_too_slow(self) -> bool:
        """Return whether the client has let a limit of time pass."""
        now_seconds, limits = self.loop.time(), self._of_server.limits
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes and (self.is_waiting or self.flow.write_paused or self.transport.is_closing()):
            # Nothing is added in these states, so a smaller number is progress.
            if self._stalled_since_seconds is None or unsent_bytes < self._unsent_bytes:
                self._stalled_since_seconds = now_seconds
            self._unsent_bytes = unsent_bytes
            self.waiting_since_seconds = now_seconds
            return now_seconds - self._stalled_since_seconds > limits.stalled_seconds
        self._stalled_since_seconds = None
        return self.is_waiting and now_seconds - self.waiting_since_seconds > limits.headers_seconds

    def abort(self) -> None:
        """Cut it at once, and drop what waits for the client."""
        self._of_server.discard(self)
        self.transport.abort()
