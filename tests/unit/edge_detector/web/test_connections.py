import asyncio

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from edge_detector.web.asgi import Receive, Scope, Send
from edge_detector.web.connection_limits import ConnectionCounts, ConnectionLimits
from edge_detector.web.connections import Connection, Connections


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


class _Transport(asyncio.Transport):
    """The part of a transport that the limits of time look at."""

    def __init__(self) -> None:
        super().__init__()
        self.unsent_bytes = 0
        self.closing = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.168.1.9", 1234) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True


class _Clock:
    """The clock of a loop, set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ([(0, 100_000), (29, 100_000), (31, 99_999), (60, 99_999), (62, 99_999)], [False, False, False, False, True]),
        ([(0, 100_000), (29, 50_000), (58, 1), (60, 0), (67, 0), (69, 0)], [False, False, False, False, False, True]),
    ],
    ids=["slow progress is progress", "the time for the next request begins when all is sent"],
)
def test_a_client_is_too_slow_once_it_takes_nothing(
    sizes: list[tuple[int, int]], found: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> list[bool]:
        clock, transport = _Clock(), _Transport()
        connections = Connections(hello, ConnectionLimits(), ConnectionCounts())
        connection = connections.accept()
        assert isinstance(connection, Connection)
        monkeypatch.setattr(connection, "loop", clock)
        connection.connection_made(transport)
        slow = []
        for seconds, unsent_bytes in sizes:
            clock.seconds, transport.unsent_bytes = float(seconds), unsent_bytes
            slow.append(connection.is_too_slow())
        return slow

    assert asyncio.run(run()) == found


def test_what_is_used_of_uvicorn_beside_its_interface_is_there() -> None:
    async def protocol() -> H11Protocol:
        return H11Protocol(Config(hello, log_config=None), ServerState(), {})

    made = asyncio.run(protocol())
    assert {"transport", "flow", "cycle", "loop"} <= set(vars(made))
    assert callable(made.send_400_response)
    assert callable(made.on_response_complete)
    assert {"default_headers", "tasks"} <= set(vars(ServerState()))
    assert "write_paused" in FlowControl.__init__.__code__.co_names
    names = RequestResponseCycle.__init__.__code__.co_names
    assert {"response_started", "response_complete"} <= set(names)
