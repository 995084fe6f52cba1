"""Writer of clips, on a thread of its own: a slow, full or hanging disk delays nothing else, and stops clips alone."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from edge_detector.clips.cutter import ClipHead, ClipPiece
from edge_detector.clips.store import ClipError, ClipStore
from edge_detector.disk_thread import DiskThread

if TYPE_CHECKING:
    from edge_detector.clips.clip_file import ClipFile

LOG = logging.getLogger(__name__)

MOST_WAITING_BYTES = 16 << 20
"""Sound that may wait for the disk: three minutes of one clip at 48 kHz."""
MOST_WAITING = 10_000
MOST_OPEN = 64
"""Clips that are written at once; each takes a file descriptor and an encoder."""
RETRY_SECONDS = 60.0
UPKEEP_SECONDS = 3_600.0
_ARRAY_BYTES = 128
"""Memory of an array beside its samples."""


@dataclass(frozen=True, slots=True)
class _Abandoned:
    """A clip that lacks something, since it could not wait."""

    event_id: str


ClipPart: TypeAlias = ClipHead | ClipPiece
_Item: TypeAlias = ClipPart | _Abandoned


class ClipWriter(DiskThread):
    """Writes clips into a store, and deletes old ones. A clip that lacks anything is lost as a whole, and counted.

    Args:
        store: the folder.
        days: clips of events older than this are deleted.
        megabytes: size of all clips, beyond which the oldest are deleted.
        now_utc_seconds: the clock for the age of clips.

    Attributes:
        store: the folder; its reading and deleting methods may be used elsewhere meanwhile.
        trouble: why clips are not stored now, as a sentence, or None.
        lost: clips that were not stored.

    """

    def __init__(self, store: ClipStore, *, days: int, megabytes: int, now_utc_seconds: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.store = store
        self._now_utc_seconds = now_utc_seconds
        self._days = days
        self._most_bytes = megabytes << 20
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._refused: set[str] = set()
        """Clips that could not wait, until their last piece."""
        self._open: dict[str, ClipFile] = {}
        self._is_ready = False
        self._next_upkeep_seconds = self._next_try_seconds = 0.0
        self._told_lost = 0
        self.trouble: str | None = None
        self.lost = 0
        self._begin("clips")

    @property
    def kept(self) -> str:
        """Where clips are stored, and for how long, as a sentence."""
        limits = f"for {self._days} days and in {self._most_bytes >> 20} MB at most"
        return f"the sound of each event is stored in {self.store.folder}, {limits}"

    @property
    def troubles(self) -> tuple[str, ...]:
        """Everything wrong with the clips, one sentence each."""
        if (hang := self._hang) is not None:
            return (f"clips are not stored: {hang}",)
        return tuple(filter(None, (self.trouble,)))

    def put(self, part: ClipPart) -> None:
        """Take the beginning or the next piece of a clip, and return at once. Its arrays must stay as they are."""
        with self._wake:
            if part.event_id in self._refused:
                if isinstance(part, ClipPiece) and part.is_last:
                    self._refused.discard(part.event_id)
                return
            size_bytes = _bytes_of(part)
            if self._waiting_bytes + size_bytes > MOST_WAITING_BYTES or len(self._waiting) >= MOST_WAITING:
                self._refuse(part)
                return
            self._waiting.append(part)
            self._waiting_bytes += size_bytes
            self._wake.notify()

    def _refuse(self, part: ClipPart) -> None:
        """Lose a clip that cannot wait, and with it what of it waits."""
        is_new = isinstance(part, ClipHead)
        kept = [item for item in self._waiting if item.event_id != part.event_id]
        self._waiting_bytes -= sum(_bytes_of(item) for item in self._waiting if item.event_id == part.event_id)
        is_unopened = is_new or any(isinstance(item, ClipHead) and item.event_id == part.event_id for item in self._waiting)
        self._waiting = deque(kept if is_unopened else [*kept, _Abandoned(part.event_id)])
        if is_unopened:
            self.lost += 1
        if is_new or not (isinstance(part, ClipPiece) and part.is_last):
            self._refused.add(part.event_id)
        self._wake.notify()

    def _work(self) -> None:
        while True:
            item = self._next()
            with self._timed_turn():
                self._turn(item)
            if self._closing and not self._waiting:
                break
        self._lose(self._open)

    def _next(self) -> _Item | None:
        """Wait for the next item; None where something else is to be done."""
        with self._wake:
            while not self._waiting and not self._closing and (seconds := self._due_in_seconds()) > 0.0:
                self._wake.wait(seconds)
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            self._waiting_bytes -= _bytes_of(item)
            return item

    def _due_in_seconds(self) -> float:
        return (self._next_upkeep_seconds if self._is_ready else self._next_try_seconds) - time.monotonic()

    def _turn(self, item: _Item | None) -> None:
        """Prepare the disk if that is due, and write an item; without the disk it is lost."""
        try:
            if not self._is_ready and self._due_in_seconds() <= 0.0:
                self._prepare()
            if self._is_ready:
                self._write(item)
                if self._due_in_seconds() <= 0.0:
                    self._trim()
                self._tell_lost()
                return
        except ClipError as error:
            self._fail(error)
        if isinstance(item, ClipHead) and item.event_id not in self._open:
            self._lose([item.event_id])

    def _prepare(self) -> None:
        with self.store.errors():
            self.store.prepare()
            self.store.require_room(self.store.folder)
            if self.trouble is not None:
                self.store.try_disk()
        self._is_ready = True
        self._next_upkeep_seconds = 0.0
        if self.trouble is not None:
            LOG.info("clips are stored again; %d are missing", self.lost)
            self.trouble, self._told_lost = None, self.lost

    def _write(self, item: _Item | None) -> None:
        match item:
            case ClipHead() if len(self._open) >= MOST_OPEN:
                self._lose([item.event_id])
            case ClipHead():
                from edge_detector.clips.clip_file import ClipFile  # noqa: PLC0415 - libsndfile only where there is a clip

                self._open[item.event_id] = ClipFile(self.store, item)
            case ClipPiece() if item.event_id in self._open:
                self._open[item.event_id].write(item)
                if item.is_last:
                    self._finish(item)
            case _Abandoned() if item.event_id in self._open:
                self._lose([item.event_id])

    def _finish(self, item: ClipPiece) -> None:
        file = self._open[item.event_id]
        stored = file.finish(self._now_ms(), days=self._days, most_bytes=self._most_bytes)
        del self._open[item.event_id]
        if not stored:
            self._lose([item.event_id])
            return
        if item.is_early:
            LOG.info("the clip of %s ends before its event: it has the longest length of [clips]", item.event_id)
        if file.lost_samples:
            LOG.info("the clip of %s has silence in place of %d lost samples", item.event_id, file.lost_samples)

    def _trim(self) -> None:
        with self.store.errors():
            self.store.trim(self._now_ms(), days=self._days, most_bytes=self._most_bytes)
        self._next_upkeep_seconds = time.monotonic() + UPKEEP_SECONDS

    def _now_ms(self) -> int:
        return round(1e3 * self._now_utc_seconds())

    def _fail(self, error: ClipError) -> None:
        self._lose(self._open)
        self._is_ready = False
        self._next_try_seconds = time.monotonic() + RETRY_SECONDS
        if self.trouble is None:
            LOG.error("clips are not stored: %s", error)
        self.trouble = f"clips are not stored: {error}"

    def _lose(self, event_ids: Iterable[str]) -> None:
        lost = list(event_ids)
        for event_id in lost:
            if (file := self._open.pop(event_id, None)) is not None:
                file.abandon()
        with self._wake:
            self.lost += len(lost)

    def _tell_lost(self) -> None:
        lost = self.lost
        if lost > self._told_lost:
            LOG.warning("%d clips so far are lost, which could not be stored", lost)
            self._told_lost = lost


def _bytes_of(item: _Item) -> int:
    return sum(samples.nbytes + _ARRAY_BYTES for samples in item.samples) if isinstance(item, ClipPiece) else 0
