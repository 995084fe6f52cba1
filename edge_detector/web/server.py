"""Serves the page in a thread of its own, which can neither delay nor stop the detection. Only this file imports uvicorn.

uvicorn has no limits for clients that are slow on purpose; they are added here: connections of one address and in total, the time
until a request's headers are complete, and the time in which a response makes no progress.
"""

import asyncio
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from edge_detector.errors import EdgeDetectorError, unforeseen
from edge_detector.heartbeat import PROGRESS_SECONDS, Heartbeat
from edge_detector.repeat_limit import RepeatLimit
from edge_detector.web.access import ListenAddress, client_key
from edge_detector.web.guard import SECURITY_HEADERS, App

LOG = logging.getLogger(__name__)

MAX_HEADER_BYTES = 16_384
READ_BYTES = 4_096
"""Read at once. uvicorn's limit of headers is for incomplete ones: within asyncio's 256 kB, complete ones would pass."""
BACKLOG = 128
SEND_BUFFER_BYTES = 131_072
"""In the kernel, for each connection; by itself it grows to 4 MB for a client that reads nothing."""
RETRY_SECONDS = 30.0
TICK_SECONDS = 1.0
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


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        of_address, in_total: connections that are open at once.
        headers_seconds: until the headers of a request are complete, since the connection or the last response.
        idle_seconds: between two requests of a connection.
        stalled_seconds: in which a client takes nothing of a response that waits for it.

    """

    of_address: int = 32
    in_total: int = 128
    headers_seconds: float = 10.0
    idle_seconds: int = 5
    stalled_seconds: float = 30.0


class PageServer:
    """Serves an ASGI application at one address, in a daemon thread.

    A port that is taken is tried again every 30 s, and said in `trouble` meanwhile.

    Args:
        app: the application, with its guard around it; each of its coroutines runs in the server's thread.
        address: port 0 lets the system choose one, which `address` says once it is bound.
        limits: of connections.
        retry_seconds, tick_seconds: between two tries to bind; between two looks at the connections.
        progress_seconds: without such a look, after which the thread counts as hung.

    """

    def __init__(
        self,
        app: App,
        address: ListenAddress,
        *,
        limits: ConnectionLimits | None = None,
        retry_seconds: float = RETRY_SECONDS,
        tick_seconds: float = TICK_SECONDS,
        progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        self._address = address
        self._retry_seconds = retry_seconds
        self._tick_seconds = tick_seconds
        self._progress_seconds = progress_seconds
        self._heartbeat = Heartbeat("page")
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._closed = False
        self._connections = _Connections(app, limits or ConnectionLimits())
        self.trouble: str | None = None
        """Why the page is not served, as a sentence; None while it is."""

    @property
    def address(self) -> ListenAddress:
        """Where it listens, or will listen."""
        return self._address

    @property
    def hung(self) -> str | None:
        """A sentence if the thread makes no progress."""
        return self._heartbeat.overdue

    @property
    def refused_connections(self) -> int:
        """Connections that were closed since there were too many."""
        return self._connections.refused

    @property
    def cut_connections(self) -> int:
        """Connections that were closed since the client was too slow."""
        return self._connections.cut

    @property
    def open_connections(self) -> int:
        """Connections that are open."""
        return len(self._connections.open)

    def bind(self) -> None:
        """Bind and listen now. Raises EdgeDetectorError."""
        if self._socket is not None:
            return
        try:
            self._socket = _listen(self._address, self._connections.limits.stalled_seconds)
        except OSError as error:
            raise EdgeDetectorError(
                f"the page cannot be served at {self._address} ({error.strerror}); "
                "choose another address or port in [web] listen, or stop the program that has it"
            ) from error
        self._address = ListenAddress(self._address.host, self._socket.getsockname()[1])

    def start(self) -> None:
        """Bind if possible, start the thread, and return at once."""
        self._try_to_bind()
        self._heartbeat.beat("start", self._progress_seconds)
        self._thread.start()

    def close(self, timeout_seconds: float = 0.5) -> None:
        """Cut all connections and end the thread; returns after `timeout_seconds` even if it has not ended."""
        self._closed = True
        loop = self._loop
        if loop is not None:
            # RuntimeError: the loop is closed, since the thread has ended.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._stopping.set)
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        if self._socket is not None:
            self._socket.close()

    def _try_to_bind(self) -> None:
        try:
            self.bind()
        except EdgeDetectorError as error:
            if self.trouble is None:
                LOG.warning("%s; it is tried again every %g s", error, self._retry_seconds)
            self.trouble = str(error)
        else:
            self.trouble = None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the page must not end the detection
            sentence = f"the page is no longer served ({unforeseen(error)}); restart the program"
            self.trouble = sentence
            LOG.error("%s", sentence)  # noqa: TRY400 - one line
        finally:
            self._heartbeat.end()
            if self._socket is not None:
                self._socket.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_ExceptionLog())
        ticking = asyncio.create_task(self._tick())
        server = None
        if self._closed:
            self._stopping.set()
        while self._socket is None and not self._stopping.is_set():
            await self._wait(self._retry_seconds)
            self._try_to_bind()
        if self._socket is not None and not self._stopping.is_set():
            server = await self._loop.create_server(self._connections.accept, sock=self._socket, backlog=BACKLOG)
            LOG.info("the page is served at http://%s/", self._address)
        stopped = asyncio.create_task(self._stopping.wait())
        # The ticking ends by an error alone.
        await asyncio.wait([ticking, stopped], return_when=asyncio.FIRST_COMPLETED)
        if server is not None:
            server.close()
        await self._connections.close()
        if ticking.done():
            ticking.result()

    async def _tick(self) -> None:
        while True:
            self._heartbeat.beat("requests", self._progress_seconds)
            self._connections.check()
            await asyncio.sleep(self._tick_seconds)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


class _Connections:
    """All open connections, in the server's thread."""

    def __init__(self, app: App, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.open: set[_Connection] = set()
        self.refused = 0
        self.cut = 0
        # No other logging than ours: what fails in the application is logged by its guard. proxy_headers would believe what a
        # client of this machine says about its address.
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

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Connection(self, self._config, self._state)

    def admits(self, address: str) -> bool:
        """Return whether there is room for a connection of this address; the longest idle one makes room if there is none."""
        of_address = Counter(connection.address for connection in self.open)
        if of_address[address] >= self.limits.of_address:
            self.refused += 1
            return False
        if len(self.open) < self.limits.in_total:
            return True
        self.refused += 1
        waiting = (connection for connection in self.open if connection.is_waiting)
        idle = min(waiting, key=lambda each: each.waiting_since_seconds, default=None)
        if idle is None:
            return False
        idle.abort()
        return True

    def check(self) -> None:
        """Cut the connections whose client is too slow, and set the date of the responses."""
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        for connection in tuple(self.open):
            if connection.is_too_slow():
                self.cut += 1
                connection.abort()

    async def close(self) -> None:
        """Cut all connections, and let their requests end."""
        for connection in tuple(self.open):
            connection.abort()
        tasks = tuple(self._state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVE_SECONDS)


class _Connection(H11Protocol):
    """A connection with limits of time."""

    def __init__(self, connections: _Connections, config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._connections_of_server = connections
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
        if self._connections_of_server.admits(self.address):
            self._connections_of_server.open.add(self)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._connections_of_server.open.discard(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.waiting_since_seconds = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as in uvicorn
        """Answer what is not HTTP; uvicorn's own answer fails where a response has begun."""
        if not self.is_waiting:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.abort()
                return
        self.transport.write(_BAD_REQUEST)
        self.transport.close()

    def is_too_slow(self) -> bool:
        """Return whether the client has let a limit of time pass."""
        now_seconds, limits = self.loop.time(), self._connections_of_server.limits
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
        self._connections_of_server.open.discard(self)
        self.transport.abort()


class _ExceptionLog:
    """Logs what no task caught, such as a lack of file descriptors, in one line each."""

    def __init__(self) -> None:
        self._limit = RepeatLimit(time.monotonic)

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        sentence = unforeseen(error) if isinstance(error, Exception) else str(context.get("message"))
        if self._limit.allow(type(error).__name__) is not None:
            LOG.error("the page's server: %s", sentence)


def _listen(address: ListenAddress, stalled_seconds: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        # A phone that has left acknowledges nothing, and a quiet stream would be kept for it for a quarter of an hour.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1_000 * stalled_seconds))
        if family == socket.AF_INET6:
            # [::] is all addresses, IPv4's too, whatever the system's default is.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address.host != "::"))
        listening.bind((address.host, address.port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)  # noqa: FBT003 - its parameter has no name
    return listening
