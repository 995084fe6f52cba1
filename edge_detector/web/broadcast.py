"""Broadcast: what the feed has taken, to each browser, as server-sent events. Each item is encoded once, for all browsers."""

import asyncio
import json
from base64 import b64encode
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import partial

import numpy as np

from edge_detector.bounded_files import parse_json
from edge_detector.mqtt.messages import rfc3339
from edge_detector.types import Codes, Float32, Message
from edge_detector.web.event_loop import call_soon
from edge_detector.web.feed import Feed, Frames, Hop, Item
from edge_detector.web.views import NodeView

DARKEST, BRIGHTEST = -6.9, 4.0
"""Natural log of magnitude that the bytes 0 and 255 of a spectrogram stand for; ln 0.001 is the default bundle's floor."""
MOST_BROWSERS = 32
COALESCE_SECONDS = 0.1
"""Items of so long are encoded and sent together."""
KEEP_ALIVE_SECONDS = 10.0
SLOW_CHUNKS = 20
"""With so many chunks unsent, about 2 s, a browser loses spectrogram and probabilities."""
STUCK_CHUNKS = 200
"""With so many unsent events and states the connection is closed; the browser connects again and gets the present state."""
_KEEP_ALIVE = b": keep-alive\n\n"
_RETRY = b"retry: 2000\n\n"
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


class Broadcast:
    """Subscriptions of the browsers, on the event loop that runs now.

    Attributes:
        lost: messages with spectrogram or probabilities that slow browsers have lost.

    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._subscriptions: list[Subscription] = []
        self.lost = 0
        feed.wake = self._wake

    @property
    def browsers(self) -> int:
        """Number of subscriptions."""
        return len(self._subscriptions)

    def subscribe(self) -> "Subscription | None":
        """Return a new subscription, with the present state in it; None if there are too many."""
        if len(self._subscriptions) >= MOST_BROWSERS:
            return None
        # First: what comes from now on is in the queue, or in the state that is read next, or in both.
        self._feed.watched = True
        self.distribute()
        subscription = Subscription()
        subscription.offer(_RETRY)
        if self._feed.view is not None:
            subscription.offer(_event("node", self._feed.view.as_json()))
        recent = [parse_json(message.payload) for message in self._feed.recent.copy()]
        subscription.offer(_event("recent", {"events": recent}))
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: "Subscription") -> None:
        """End a subscription; may be called again."""
        with suppress(ValueError):
            self._subscriptions.remove(subscription)
        self._feed.watched = bool(self._subscriptions)

    def distribute(self) -> None:
        """Encode what the feed has taken, and offer it to each subscription."""
        passing: list[bytes] = []
        lasting: list[bytes] = []
        for item in self._feed.take():
            if self._subscriptions:
                (passing if isinstance(item, Frames | Hop) else lasting).append(encoded(item))
        for subscription in tuple(self._subscriptions):
            for chunk in lasting:
                subscription.offer(chunk)
            if passing:
                self.lost += subscription.offer_passing(b"".join(passing), len(passing))

    def _wake(self) -> None:
        """Distribute soon; called on the detecting thread."""
        call_soon(self._loop, partial(self._loop.call_later, COALESCE_SECONDS, self.distribute))


class Subscription:
    """What one browser has not been sent yet."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        self._lost = self._reported_lost = 0

    def offer(self, chunk: bytes) -> None:
        """Add what must not be missed; ends the subscription of a browser that takes nothing."""
        if len(self._chunks) >= STUCK_CHUNKS:
            self.end()
            return
        self._chunks.append(chunk)
        self._ready.set()

    def offer_passing(self, chunk: bytes, messages: int) -> int:
        """Add what is outdated soon; returns how many of its messages are lost because the browser is slow."""
        if len(self._chunks) >= SLOW_CHUNKS:
            self._lost += messages
            return messages
        if self._reported_lost != self._lost:
            self._reported_lost = self._lost
            chunk = _event("lost", {"frames": self._lost}) + chunk
        self._chunks.append(chunk)
        self._ready.set()
        return 0

    def end(self) -> None:
        """End the subscription."""
        self._ended = True
        self._ready.set()

    async def chunks(self, keep_alive_seconds: float = KEEP_ALIVE_SECONDS) -> AsyncGenerator[bytes, None]:
        """Yield what there is to send, and a comment after each `keep_alive_seconds` without anything."""
        while not self._ended:
            try:
                async with asyncio.timeout(keep_alive_seconds):
                    await self._ready.wait()
            except TimeoutError:
                yield _KEEP_ALIVE
                continue
            self._ready.clear()
            if self._chunks:
                waiting = b"".join(self._chunks)
                self._chunks.clear()
                yield waiting


def encoded(item: Item) -> bytes:
    """Return an item as a server-sent event."""
    match item:
        case Frames(source, log_mel, end_sample):
            count, bands = log_mel.shape
            data = b64encode(pixels(log_mel).tobytes()).decode("ascii")
            return _event("frames", {"source": source, "end_sample": end_sample, "frames": count, "bands": bands, "data": data})
        case Hop(source, utc_seconds, level_dbfs, slugs, probabilities):
            by_slug = {slug: round(float(value), 4) for slug, value in zip(slugs, probabilities, strict=True)}
            values = {"source": source, "time": rfc3339(utc_seconds), "level_dbfs": round(level_dbfs, 1)}
            return _event("hop", {**values, "probabilities": by_slug})
        case Message(payload=payload):
            # The payload is one line of JSON already.
            return b"event: event\ndata: " + payload + b"\n\n"
        case NodeView():
            return _event("node", item.as_json())


def pixels(log_mel: Float32) -> Codes:
    """Return log-mel values as bytes: 0 for `DARKEST` and below, 255 for `BRIGHTEST` and above."""
    scaled = (log_mel - DARKEST) * (255.0 / (BRIGHTEST - DARKEST))
    values: Codes = np.clip(np.rint(scaled), 0.0, 255.0).astype(np.uint8)
    return values


def _event(name: str, values: Mapping[str, object]) -> bytes:
    return f"event: {name}\ndata: {_ENCODER.encode(values)}\n\n".encode()
