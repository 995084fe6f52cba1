"""Serves the page in a thread of its own, which can neither delay nor stop the detection."""

import logging
import socket
import threading
from collections.abc import Callable

from edge_detector.errors import EdgeDetectorError, unforeseen
from edge_detector.heartbeat import PROGRESS_SECONDS, Heartbeat
from edge_detector.web.access import ListenAddress
from edge_detector.web.asgi import App
from edge_detector.web.connection_limits import BACKLOG, ConnectionCounts, ConnectionLimits
from edge_detector.web.stop_signal import StopSignal

LOG = logging.getLogger(__name__)

SEND_BUFFER_BYTES = 131_072
"""In the kernel, for each connection; by itself it grows to 4 MB for a client that reads nothing."""
RETRY_SECONDS = 30.0
TICK_SECONDS = 1.0


class PageServer:
    """Serves an ASGI application at one address, in a daemon thread.

    A port that is taken is tried again every 30 s, and `trouble` is set meanwhile.

    Args:
        build: builds the application, with its guard around it; called in the thread, in its event loop, so that detection need
            not wait until the packages are loaded.
        address: port 0 lets the system choose one, which `address` has once it is bound.
        limits: of connections.
        retry_seconds, tick_seconds: between two tries to bind; between two looks at the connections.
        progress_seconds: without such a look, after which the thread counts as hung.

    Attributes:
        counts: of connections.
        trouble: why the page is not served, as a sentence; None while it is.

    """

    def __init__(
        self,
        build: Callable[[], App],
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
        self._stop = StopSignal()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._build = build
        self._limits = limits or ConnectionLimits()
        self.counts = ConnectionCounts()
        self.trouble: str | None = None

    @property
    def address(self) -> ListenAddress:
        """Where it listens, or will listen."""
        return self._address

    @property
    def hung(self) -> str | None:
        """A sentence if the thread makes no progress."""
        return self._heartbeat.overdue

    def bind(self) -> None:
        """Bind and listen now. Raises EdgeDetectorError."""
        if self._socket is not None:
            return
        try:
            self._socket = _listen(self._address, self._limits.stalled_seconds)
        except OSError as error:
            raise EdgeDetectorError(_not_served(self._address, error)) from error
        self._address = ListenAddress(self._address.host, self._socket.getsockname()[1])

    def start(self) -> None:
        """Start the thread, which binds as soon as it can, and return at once."""
        self._heartbeat.beat("start", self._progress_seconds)
        self._thread.start()

    def close(self, timeout_seconds: float = 0.5) -> None:
        """Cut all connections and end the thread; returns after `timeout_seconds` even if it has not ended."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        if self._socket is not None:
            self._socket.close()

    def _bound(self) -> socket.socket | None:
        """Bind if possible, and return the listening socket."""
        try:
            self.bind()
        except EdgeDetectorError as error:
            if self.trouble is None:
                LOG.warning("%s; it is tried again every %g s", error, self._retry_seconds)
            self.trouble = str(error)
            return None
        self.trouble = None
        LOG.info("the page is served at http://%s/", self._address)
        return self._socket

    def _run(self) -> None:
        try:
            # Here, since its packages take a while to load, and only those who want a page have them.
            from edge_detector.web.serving import serve_until  # noqa: PLC0415 - as above

            serve_until(
                self._stop,
                self._build,
                self._bound,
                limits=self._limits,
                counts=self.counts,
                beat=lambda: self._heartbeat.beat("requests", self._progress_seconds),
                retry_seconds=self._retry_seconds,
                tick_seconds=self._tick_seconds,
            )
        except Exception as error:  # noqa: BLE001 - the page must not end the detection
            sentence = f"the page is no longer served ({unforeseen(error)}); restart the program"
            self.trouble = sentence
            LOG.error("%s", sentence)  # noqa: TRY400 - one line
        finally:
            self._heartbeat.end()
            if self._socket is not None:
                self._socket.close()


def port_problem(address: ListenAddress) -> str | None:
    """Return why the page cannot be served at an address now, as a sentence, or None."""
    try:
        _listen(address, ConnectionLimits().stalled_seconds).close()
    except OSError as error:
        return _not_served(address, error)
    return None


def _not_served(address: ListenAddress, error: OSError) -> str:
    return (
        f"the page cannot be served at {address} ({error.strerror}); "
        "choose another address or port in [web] listen, or stop the program that has it"
    )


def _listen(address: ListenAddress, stalled_seconds: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # With its protocol, by which asyncio knows TCP: else the end of each response would wait 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
