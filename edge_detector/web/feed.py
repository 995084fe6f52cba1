"""Feed: takes sound, probabilities and events from the detecting thread, which never waits, for the browsers."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edge_detector.detection.hysteresis import Rule
from edge_detector.types import Float32, Message
from edge_detector.web.views import NodeFigures, NodeView

MOST_ITEMS = 2_000
RECENT_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Frames:
    """Consecutive log-mel frames of a source, float32 (n, 64), up to the sample `end_sample` (16 kHz)."""

    source: str
    log_mel: Float32
    end_sample: int


@dataclass(frozen=True, slots=True)
class Hop:
    """Level and probabilities of the enabled classes of one hop, in the order of `slugs`."""

    source: str
    utc_seconds: float
    level_dbfs: float
    slugs: tuple[str, ...]
    probabilities: Float32


Item: TypeAlias = Frames | Hop | Message | NodeView


class Feed:
    """Bounded queue from the detecting thread to the page's. Every method but `take` belongs to the detecting thread.

    Attributes:
        watched: whether a browser looks on; without one, frames and hops are not taken.
        wake: called when the first item since the last `take` is there; None: nobody takes.
        view: newest view of the node; None before the first.
        figures: newest counters of the node; None before the first.
        default_rules: rules of bundle and configuration by source and class; empty where no probabilities are stored.
        levels: newest level in dBFS of each source.
        events: starts of events by source and class since the start.
        recent: newest event messages, oldest first.
        lost: items that were lost because the page's thread did not take them.

    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._woken = False
        self.watched = False
        self.wake: Callable[[], None] | None = None
        self.view: NodeView | None = None
        self.figures: NodeFigures | None = None
        self.default_rules: Mapping[str, Mapping[str, Rule]] = {}
        self.levels: dict[str, float] = {}
        self.events: Counter[tuple[str, str]] = Counter()
        self.recent: deque[Message] = deque(maxlen=RECENT_EVENTS)
        self.lost = 0

    def put_frames(self, frames: Frames) -> None:
        """Hand over frames, which nobody changes afterwards."""
        if self.watched:
            self._put(frames)

    def put_hop(self, hop: Hop) -> None:
        """Hand over a hop."""
        self.levels[hop.source] = hop.level_dbfs
        if self.watched:
            self._put(hop)

    def put_event(self, message: Message) -> None:
        """Hand over the message of an event's start or end."""
        _node, source, *_, slug, event_type = (message.message_id or "").split("/")
        if event_type == "start":
            self.events[source, slug] += 1
        self.recent.append(message)
        if self.watched:
            self._put(message)

    def put_view(self, view: NodeView) -> None:
        """Hand over the view of the node; nothing happens if it has not changed."""
        if view != self.view:
            self.view = view
            if self.watched:
                self._put(view)

    def take(self) -> Iterator[Item]:
        """Yield what has been handed over, on the page's thread."""
        # Before the items are read: one that comes now wakes again.
        self._woken = False
        while self._items:
            yield self._items.popleft()

    def _put(self, item: Item) -> None:
        if len(self._items) >= MOST_ITEMS:
            # The page's thread hangs. A browser gets the present state when it connects again.
            self.lost += 1
            return
        self._items.append(item)
        if self.wake is not None and not self._woken:
            self._woken = True
            self.wake()
