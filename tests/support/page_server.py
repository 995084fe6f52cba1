"""The page's server around a small application, and clients that speak to it as they like."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge_detector.web.access import HostRule, ListenAddress, Sessions
from edge_detector.web.connection_limits import ConnectionLimits
from edge_detector.web.guard import Guard
from edge_detector.web.request import RequestLimits
from edge_detector.web.server import PageServer

PASSWORD = "correct horse"  # noqa: S105 - of tests alone
PUBLIC_URL = "https://sounds.example.org"
PIECE = b"data: " + b"x" * 20_000 + b"\n\n"
LARGE = b"x" * 3_000_000
DEADLINE_SECONDS = 20.0


@dataclass(slots=True)
class SmallApp:
    """An endless stream, an echo, a page with a file, an error, and a handler that takes its time."""

    folder: Path
    streamed_bytes: int = 0
    streams: int = 0
    seen: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def asgi(self) -> Starlette:
        routes = [
            Route("/", self.index),
            Route("/api/live", self.live),
            Route("/api/echo", self.echo, methods=["POST"]),
            Route("/api/node", self.node),
            Route("/api/error", self.error),
            Route("/api/late-error", self.late_error),
            Route("/api/stuck", self.stuck),
            Route("/api/blocking", self.blocking),
            Route("/api/large", self.large),
            Route("/metrics", self.node),
            Mount("/static", StaticFiles(directory=self.folder)),
        ]
        return Starlette(routes=routes)

    async def index(self, _request: Request) -> Response:
        return PlainTextResponse("page")

    async def node(self, request: Request) -> Response:
        self.seen.append(str(request.url))
        return JSONResponse({"node": "nursery"})

    async def echo(self, request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    async def error(self, _request: Request) -> Response:
        raise LookupError("a secret place")

    async def late_error(self, _request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            raise LookupError("a secret place")

        return StreamingResponse(parts())

    async def blocking(self, _request: Request) -> Response:
        self.released.wait(DEADLINE_SECONDS)
        return PlainTextResponse("released")

    async def large(self, _request: Request) -> Response:
        return PlainTextResponse(LARGE)

    async def stuck(self, _request: Request) -> Response:
        # It does not look whether its client is still there.
        await asyncio.Event().wait()
        return PlainTextResponse("never")

    async def live(self, _request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            self.streams += 1
            try:
                while True:
                    self.streamed_bytes += len(PIECE)
                    yield PIECE
                    await asyncio.sleep(0)
            finally:
                self.streams -= 1

        return StreamingResponse(pieces(), media_type="text/event-stream")


@contextmanager
def serving(
    app: SmallApp,
    *,
    password: str | None = None,
    limits: ConnectionLimits | None = None,
    requests: RequestLimits | None = None,
    host: str = "127.0.0.1",
) -> Iterator[PageServer]:
    """Serve while entered, at a free port, with frequent looks at the connections."""
    guard = Guard(app.asgi(), HostRule("nursery-pi", PUBLIC_URL), Sessions(password, iterations=1_000), limits=requests)
    server = PageServer(lambda: guard, ListenAddress(host, 0), limits=limits, tick_seconds=0.02)
    server.bind()
    server.start()
    try:
        yield server
    finally:
        server.close(DEADLINE_SECONDS)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def ask(
    server: PageServer,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    *,
    source: str = "127.0.0.1",
) -> Answer:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.address.port, DEADLINE_SECONDS, source_address=(source, 0))
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def post(
    server: PageServer, path: str, content: object, headers: Mapping[str, str] | None = None, *, source: str = "127.0.0.1"
) -> Answer:
    """Post JSON as a program does."""
    own = {"Content-Type": "application/json", **(headers or {})}
    return ask(server, "POST", path, own, json.dumps(content).encode(), source=source)


def connect(server: PageServer, *, source: str = "127.0.0.1", receive_bytes: int | None = None) -> socket.socket:
    """Open a connection; `receive_bytes` bounds what this machine takes for a client that does not read."""
    client = socket.socket()
    client.settimeout(DEADLINE_SECONDS)
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        client.bind((source, 0))
        client.connect(("127.0.0.1", server.address.port))
    except OSError:
        client.close()
        raise
    return client


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes or cuts the connection."""
    received = bytearray()
    try:
        while piece := client.recv(65_536):
            received += piece
    except ConnectionError:
        pass
    return bytes(received)


def exchange(server: PageServer, request: bytes) -> bytes:
    """Send bytes as they are, and return all that comes until the server closes the connection."""
    with connect(server) as client:
        with suppress(ConnectionError):
            client.sendall(request)
        return read_all(client)
