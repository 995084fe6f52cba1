import asyncio
from typing import Any

import pytest

from edge_detector.web.app import AppParts, build_app
from edge_detector.web.broadcast import MOST_BROWSERS, Broadcast
from edge_detector.web.commands import Commands
from edge_detector.web.connection_limits import ConnectionCounts
from edge_detector.web.feed import Feed

pytestmark = pytest.mark.anyio
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/api/live",
    "raw_path": b"/api/live",
    "query_string": b"",
    "root_path": "",
    "headers": [],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_live_stream_of_which_nothing_could_be_sent_counts_as_no_browser_afterwards() -> None:
    feed = Feed()
    broadcast = Broadcast(feed)
    app = build_app(AppParts(feed, broadcast, Commands("edge_detector/nursery"), None, ConnectionCounts()))
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
        await asyncio.wait_for(app(dict(SCOPE), receive, send), 10.0)
    assert broadcast.browsers == 0
    assert not feed.watched
