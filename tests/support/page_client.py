"""A client of the page of a whole service: single requests, and the live stream with the time of each receipt."""

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.support.page_server import Answer
from tests.support.waiting import wait_until

DEADLINE_SECONDS = 20.0
POLL_SECONDS = 0.1


def basic(password: str) -> dict[str, str]:
    """The header of HTTP Basic for any user."""
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class PageClient:
    """Sends requests to the page at a port of this machine, each with `headers`."""

    port: int
    headers: Mapping[str, str]

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON may hold anything
        """The JSON at a path."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def post(self, path: str, content: object) -> Answer:
        """Post JSON."""
        return self.ask("POST", path, {"Content-Type": "application/json"}, json.dumps(content).encode())

    @property
    def is_served(self) -> bool:
        """Whether the page is there and knows the state of the node."""
        try:
            return self.ask("GET", "/api/health").status == 200
        except OSError:
            return False

    def wait(self) -> Self:
        """Return as soon as it is served."""
        wait_until(lambda: self.is_served, "the page")
        return self

    def wait_for(self, path: str, holds: Callable[[Any], bool], what: str) -> None:
        """Return as soon as the JSON at a path is as wanted; asks more rarely than the page's limit of requests."""
        next_seconds = 0.0

        def holds_now() -> bool:
            nonlocal next_seconds
            if time.monotonic() < next_seconds:
                return False
            next_seconds = time.monotonic() + POLL_SECONDS
            return holds(self.get(path))

        wait_until(holds_now, what, deadline_seconds=2 * DEADLINE_SECONDS)

    def threshold(self, slug: str) -> float:
        """The threshold of a class of the only source, as the page shows it."""
        (source,) = self.get("/api/node")["sources"]
        return next(float(each["on"]) for each in source["classes"] if each["slug"] == slug)


@dataclass(frozen=True, slots=True)
class Received:
    """An event of the stream, and when it came (monotonic)."""

    name: str
    data: Any
    at_seconds: float


class Live:
    """Reads the live stream on a thread of its own, while it is entered; it does not connect again."""

    def __init__(self, client: PageClient) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=DEADLINE_SECONDS)
        self._headers = dict(client.headers)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._received: list[Received] = []
        self.ended = False

    def __enter__(self) -> Self:
        self._connection.request("GET", "/api/live", headers=self._headers)
        self._socket: socket.socket = self._connection.sock
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with suppress(OSError):  # the service may have ended it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE_SECONDS)
        self._response.close()
        self._connection.close()

    @property
    def received(self) -> list[Received]:
        """All events so far."""
        return list(self._received)

    def of(self, name: str) -> list[Any]:
        """The data of all events of this name."""
        return [each.data for each in self.received if each.name == name]

    def wait_for(self, name: str, wanted: Callable[[Any], bool], what: str) -> Received:
        """The first event that is wanted, waiting for it if need be."""
        wait_until(lambda: any(each.name == name and wanted(each.data) for each in self.received), what)
        return next(each for each in self.received if each.name == name and wanted(each.data))

    def _read(self) -> None:
        name = ""
        try:
            while line := self._response.readline():
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    self._received.append(Received(name, json.loads(value), time.monotonic()))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        finally:
            self.ended = True
