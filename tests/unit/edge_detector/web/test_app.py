import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from edge_detector.web import history_api
from edge_detector.web.app import AppParts, build_app
from edge_detector.web.broadcast import MOST_BROWSERS, Broadcast
from edge_detector.web.commands import Commands
from edge_detector.web.connection_limits import ConnectionCounts
from edge_detector.web.feed import Feed
from edge_detector.web.history_api import Kinds
from edge_detector.web.request import UNFORESEEN

pytestmark = pytest.mark.anyio
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "query_string": b"",
    "root_path": "",
    "headers": [],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def served(feed: Feed, broadcast: Broadcast, history: Path | None = None) -> Starlette:
    return build_app(AppParts(feed, broadcast, Commands("edge_detector/nursery"), history, None, ConnectionCounts()))


async def ask(app: Starlette, sent: list[Any]) -> None:
    """Ask for the choices of the history, and put what the application sends into `sent`."""

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: object) -> None:
        sent.append(message)

    await app({**SCOPE, "path": "/api/kinds"}, receive, send)


async def test_a_live_stream_of_which_nothing_could_be_sent_counts_as_no_browser_afterwards() -> None:
    feed = Feed()
    broadcast = Broadcast(feed)
    app = served(feed, broadcast)
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        # The client has not read an earlier response on its connection, and leaves.
        gone.set()
        await asyncio.Event().wait()

    for _ in range(MOST_BROWSERS + 1):
        gone.clear()
        await asyncio.wait_for(app({**SCOPE, "path": "/api/live"}, receive, send), 10.0)
    assert broadcast.browsers == 0
    assert not feed.watched


async def test_a_read_of_the_history_that_hangs_after_its_client_has_left_delays_no_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[Path] = []
    begun, released = threading.Event(), threading.Event()

    def kinds(path: Path) -> Kinds:
        reads.append(path)
        if len(reads) == 1:
            begun.set()
            released.wait(20.0)
        return Kinds((), ())

    monkeypatch.setattr(history_api, "kinds", kinds)
    feed = Feed()
    app = served(feed, Broadcast(feed), Path("history.sqlite"))

    left = asyncio.create_task(ask(app, []))
    assert await asyncio.to_thread(begun.wait, 20.0)
    left.cancel()
    try:
        for _ in range(4):
            sent: list[Any] = []
            await asyncio.wait_for(ask(app, sent), 10.0)
            assert sent[0]["status"] == 200
    finally:
        released.set()


async def test_an_error_of_this_program_is_answered_in_a_sentence_without_it_and_left_to_the_guard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kinds(_path: Path) -> Kinds:
        raise LookupError("a secret place")

    monkeypatch.setattr(history_api, "kinds", kinds)
    feed = Feed()
    sent: list[Any] = []
    with pytest.raises(LookupError):
        await ask(served(feed, Broadcast(feed), Path("history.sqlite")), sent)
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"]) == {"error": UNFORESEEN}
