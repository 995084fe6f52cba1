import asyncio
import json
import threading
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import numpy as np
import pytest

from edge_detector.types import Message
from edge_detector.web.broadcast import BRIGHTEST, DARKEST, MOST_BROWSERS, SLOW_CHUNKS, STUCK_CHUNKS, Broadcast, pixels
from edge_detector.web.feed import MOST_ITEMS, Feed, Frames, Hop
from edge_detector.web.views import NodeView

pytestmark = pytest.mark.anyio
VIEW = NodeView("nursery", "1.0", "default 2.0", "broker:1883", None, history=True, sources=(), troubles=())
LOG_MEL = np.zeros((24, 64), np.float32)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def start(number: int = 0, source: str = "cot") -> Message:
    identity = f"nursery/{source}/stream/{number}/dog"
    payload = json.dumps({"id": identity, "event_type": "start"}).encode()
    return Message(f"edge_detector/nursery/{source}/event", payload, 1, retained=False, message_id=f"{identity}/start")


def parsed(chunk: bytes) -> list[tuple[str, dict[str, object]]]:
    events = []
    for block in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


@asynccontextmanager
async def browser(broadcast: Broadcast) -> AsyncIterator[Callable[[], Awaitable[list[tuple[str, dict[str, object]]]]]]:
    """Connect, and return what reads on: all messages that have come since."""
    subscription = broadcast.subscribe()
    assert subscription is not None
    async with aclosing(subscription.chunks()) as chunks:

        async def read() -> list[tuple[str, dict[str, object]]]:
            return parsed(await anext(chunks))

        yield read
    broadcast.unsubscribe(subscription)


async def served() -> tuple[Feed, Broadcast]:
    feed = Feed()
    return feed, Broadcast(feed)


async def test_a_browser_gets_the_present_state_first_and_then_what_happens() -> None:
    feed, broadcast = await served()
    feed.put_view(VIEW)
    feed.put_event(start(1))
    async with browser(broadcast) as read:
        first = await read()
        assert [name for name, _ in first] == ["node", "recent"]
        assert first[0][1]["node"] == "nursery"
        assert [event["id"] for event in first[1][1]["events"]] == ["nursery/cot/stream/1/dog"]  # type: ignore[attr-defined]
        feed.put_event(start(2))
        assert await read() == [("event", {"id": "nursery/cot/stream/2/dog", "event_type": "start"})]


async def test_what_another_thread_hands_over_wakes_the_browser() -> None:
    feed, broadcast = await served()
    async with browser(broadcast) as read:
        await read()
        thread = threading.Thread(target=feed.put_event, args=(start(),))
        thread.start()
        assert [name for name, _ in await read()] == ["event"]
        thread.join()


async def test_frames_arrive_as_one_byte_a_band() -> None:
    feed, broadcast = await served()
    log_mel = np.linspace(DARKEST - 1, BRIGHTEST + 1, 24 * 64, dtype=np.float32).reshape(24, 64)
    async with browser(broadcast) as read:
        await read()
        feed.put_frames(Frames("cot", log_mel, 15_360))
        ((name, frames),) = await read()
        assert (name, frames["source"], frames["end_sample"], frames["frames"], frames["bands"]) == (
            "frames",
            "cot",
            15_360,
            24,
            64,
        )
        assert np.array_equal(np.frombuffer(b64decode(str(frames["data"])), np.uint8).reshape(24, 64), pixels(log_mel))


def test_pixels_span_the_range_and_keep_order() -> None:
    values = np.array([-100.0, DARKEST, 0.0, BRIGHTEST, 100.0], np.float32)
    assert pixels(values).tolist() == [0, 0, 161, 255, 255]


async def test_probabilities_are_named_by_class() -> None:
    feed, broadcast = await served()
    async with browser(broadcast) as read:
        await read()
        feed.put_hop(Hop("cot", 1_767_225_600.5, -43.21, ("dog", "rain"), np.array([0.25, 0.5], np.float32)))
        assert await read() == [
            (
                "hop",
                {
                    "source": "cot",
                    "time": "2026-01-01T00:00:00.500Z",
                    "level_dbfs": -43.2,
                    "probabilities": {"dog": 0.25, "rain": 0.5},
                },
            )
        ]
    assert feed.levels == {"cot": -43.21}


async def test_a_view_is_sent_only_when_it_changes() -> None:
    feed, broadcast = await served()
    feed.put_view(VIEW)
    async with browser(broadcast) as read:
        await read()
        feed.put_view(VIEW)
        feed.put_event(start())
        assert [name for name, _ in await read()] == ["event"]


async def test_without_a_browser_nothing_is_collected_but_counts_and_recent_events() -> None:
    feed, broadcast = await served()
    for number in range(3 * MOST_ITEMS):
        feed.put_frames(Frames("cot", LOG_MEL, number))
    feed.put_event(start(1))
    assert feed.lost == 0
    assert feed.events == {("cot", "dog"): 1}
    async with browser(broadcast) as read:
        assert [name for name, _ in await read()] == ["recent"]


async def test_a_slow_browser_loses_frames_and_is_told_how_many_and_keeps_every_event() -> None:
    feed, broadcast = await served()
    async with browser(broadcast) as slow:
        await slow()
        for number in range(SLOW_CHUNKS + 5):
            feed.put_frames(Frames("cot", LOG_MEL, number))
            broadcast.distribute()
        for number in range(5):
            feed.put_event(start(number))
        broadcast.distribute()
        assert (broadcast.lost, feed.lost) == (5, 0)
        names = [name for name, _ in await slow()]
        assert names == ["frames"] * SLOW_CHUNKS + ["event"] * 5
        feed.put_frames(Frames("cot", LOG_MEL, 0))
        assert [(name, values.get("frames")) for name, values in await slow()] == [("lost", 5), ("frames", 24)]


async def test_a_slow_browser_costs_the_others_nothing() -> None:
    feed, broadcast = await served()
    async with browser(broadcast) as slow, browser(broadcast) as quick:
        await slow()
        await quick()
        for number in range(2 * SLOW_CHUNKS):
            feed.put_frames(Frames("cot", LOG_MEL, number))
            broadcast.distribute()
            assert [name for name, _ in await quick()] == ["frames"]


async def test_a_browser_that_takes_nothing_is_disconnected() -> None:
    feed, broadcast = await served()
    subscription = broadcast.subscribe()
    assert subscription is not None
    for number in range(STUCK_CHUNKS + 1):
        feed.put_event(start(number))
        broadcast.distribute()
    assert [chunk async for chunk in subscription.chunks()] == []


async def test_items_that_the_page_s_thread_never_takes_are_bounded_and_counted() -> None:
    feed = Feed()
    feed.watched = True
    for number in range(MOST_ITEMS + 7):
        feed.put_event(start(number))
    assert feed.lost == 7
    assert len(list(feed.take())) == MOST_ITEMS


async def test_more_browsers_than_the_limit_are_refused_and_the_end_of_one_makes_room() -> None:
    _feed, broadcast = await served()
    subscriptions = [broadcast.subscribe() for _ in range(MOST_BROWSERS)]
    assert None not in subscriptions
    assert broadcast.subscribe() is None
    assert subscriptions[0] is not None
    broadcast.unsubscribe(subscriptions[0])
    broadcast.unsubscribe(subscriptions[0])
    assert broadcast.subscribe() is not None


async def test_a_quiet_connection_is_kept_alive() -> None:
    _feed, broadcast = await served()
    subscription = broadcast.subscribe()
    assert subscription is not None
    async with aclosing(subscription.chunks(keep_alive_seconds=0.01)) as chunks:
        assert b"retry" in await anext(chunks)
        assert await anext(chunks) == b": keep-alive\n\n"


async def test_the_end_of_the_page_ends_every_stream() -> None:
    _feed, broadcast = await served()
    subscription = broadcast.subscribe()
    assert subscription is not None
    subscription.end()
    assert [chunk async for chunk in subscription.chunks()] == []


def test_the_detecting_thread_goes_on_after_the_event_loop_has_ended() -> None:
    feed = Feed()

    async def serve() -> None:
        Broadcast(feed).subscribe()

    asyncio.run(serve())
    feed.put_event(start())
    assert feed.events["cot", "dog"] == 1
    assert feed.watched
