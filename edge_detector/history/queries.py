"""Reading of the history, also while the service writes it: newest events, page by page, and counts by hour of the day."""

import heapq
import os
import sqlite3
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from edge_detector.errors import EdgeDetectorError
from edge_detector.files import not_a_file
from edge_detector.history.records import FIRST_MS, LAST_MS, RecordedEvent
from edge_detector.history.store import HOUR_MS, HOURS, SCHEMA_VERSION
from edge_detector.sqlite_errors import FAILURES

_SECONDS_OF_HOUR = 3_600
_FETCHED_EVENTS = 200
"""Events read by one statement; between two the service may write."""
_BUSY_SECONDS = 5.0
_CACHE_KIB = 250
"""Each reader in a long-lived process begins anew, and needs no more."""
_EVENTS = """
SELECT event.number, id, source, slug, label, start_ms, end_ms, peak, end_reason, clock
FROM event JOIN kind ON kind.number = event.kind WHERE
"""
_PLACES = """
SELECT start_ms, number FROM event INDEXED BY event_by_start WHERE start_ms >= ? AND (start_ms, number) < (?, ?)
ORDER BY start_ms DESC, number DESC LIMIT ?
"""
_PLACES_OF_KIND = """
SELECT start_ms, number FROM event INDEXED BY event_by_kind WHERE kind = ? AND start_ms >= ? AND (start_ms, number) < (?, ?)
ORDER BY start_ms DESC, number DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events: of these sources and classes (none: of all) that start in this time (Unix milliseconds, its end excluded)."""

    sources: Sequence[str] = ()
    slugs: Sequence[str] = ()
    since_ms: int = FIRST_MS
    until_ms: int = LAST_MS + 1


@dataclass(frozen=True, order=True, slots=True)
class Cursor:
    """Place in the order of events: behind the event of this start and number. Both together are unique."""

    start_ms: int
    number: int


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some events, newest first.

    Attributes:
        next: where the next page begins; None on the last one.

    """

    events: Sequence[RecordedEvent]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Kind:
    """Source and class that the history has, or had, events of."""

    number: int
    source: str
    slug: str
    label: str


class HistoryReader:
    """The history in the file `path`, read-only. Every method may raise EdgeDetectorError.

    Attributes:
        kinds: sources and classes in the history, from the oldest to the newest.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = _open(path)
        try:
            with self._errors():
                self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                (version,) = self._database.execute("PRAGMA user_version").fetchone()
                _check_version(path, version)
                found = self._database.execute("SELECT number, source, slug, label FROM kind ORDER BY number").fetchall()
            self.kinds = tuple(Kind(*values) for values in found)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def newest(self, selection: Selection, limit: int) -> Sequence[int]:
        """Return the numbers of the newest events, newest first; `events` reads them."""
        with self._errors():
            return array("q", (number for _, number in self._newest(selection, limit, None)))

    def page(self, selection: Selection, limit: int, before: Cursor | None = None) -> HistoryPage:
        """Return the newest events, or the newest of those before a place; the time does not depend on the place."""
        with self._errors():
            # One more than the page has, to know whether another one follows.
            places = [Cursor(*place) for place in self._newest(selection, limit + 1, before)]
        shown = places[:limit]
        events = tuple(self.events([place.number for place in shown]))
        return HistoryPage(events, shown[-1] if len(places) > limit else None)

    def by_id(self, identity: str) -> RecordedEvent | None:
        """Return the event of this id, or None."""
        with self._errors():
            found = self._database.execute(f"{_EVENTS} id = ?", (identity,)).fetchone()
        return None if found is None else RecordedEvent(*found[1:])

    def _newest(self, selection: Selection, limit: int, before: Cursor | None) -> Iterator[tuple[int, int]]:
        """Yield start and number of the newest events before a place, newest first."""
        # Numbers begin at 1, so that the first place is the end of the time.
        end = min(Cursor(selection.until_ms, 0), before) if before else Cursor(selection.until_ms, 0)
        bounds = selection.since_ms, end.start_ms, end.number
        if not (selection.sources or selection.slugs):
            return self._database.execute(_PLACES, (*bounds, limit))
        # Each kind's events are in order in the index, so that a rare class needs no search among all others.
        rows = [self._database.execute(_PLACES_OF_KIND, (kind.number, *bounds, limit)) for kind in self._selected(selection)]
        return islice(heapq.merge(*rows, reverse=True), limit)

    def events(self, numbers: Sequence[int]) -> Iterator[RecordedEvent]:
        """Yield the events of these numbers in this order, without those removed meanwhile."""
        for begin in range(0, len(numbers), _FETCHED_EVENTS):
            chunk = numbers[begin : begin + _FETCHED_EVENTS]
            query = f"{_EVENTS} event.number IN ({', '.join('?' * len(chunk))})"
            with self._errors():
                found = {number: values for number, *values in self._database.execute(query, tuple(chunk))}
            yield from (RecordedEvent(*found[number]) for number in chunk if number in found)

    def by_hour_of_day(self, selection: Selection, offset_seconds: Callable[[int], int]) -> dict[str, list[int]]:
        """Return how many events of each class start in each of the 24 hours of the day.

        Args:
            selection: the events.
            offset_seconds: returns local time less UTC at this Unix time, in seconds. Of an offset of half an hour, a whole hour
                counts where it begins.

        """
        with self._errors():
            # All statements see the same state of the file.
            self._database.execute("BEGIN")
            try:
                return self._by_hour_of_day(selection, offset_seconds)
            finally:
                self._database.execute("ROLLBACK")

    def _by_hour_of_day(self, selection: Selection, offset_seconds: Callable[[int], int]) -> dict[str, list[int]]:
        slugs = {kind.number: kind.slug for kind in self._selected(selection)}
        counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * HOURS)
        first, end = -(-selection.since_ms // HOUR_MS), selection.until_ms // HOUR_MS
        # Both in one SELECT would read the whole index.
        query = "SELECT (SELECT min(start_ms) FROM event), (SELECT max(start_ms) FROM event)"
        (oldest, newest) = self._database.execute(query).fetchone()
        if oldest is None:
            return {}
        for begin_hour, end_hour, offset in _spans(
            max(first, oldest // HOUR_MS), min(end, newest // HOUR_MS + 1), offset_seconds
        ):
            for kind, slug in slugs.items():
                for hour in range(HOURS):
                    # The first and one past the last day on which this hour lies in the span.
                    days = [-(-(edge - hour) // HOURS) for edge in (begin_hour, end_hour)]
                    query = "SELECT sum(count) FROM hourly WHERE kind = ? AND hour = ? AND day >= ? AND day < ?"
                    (count,) = self._database.execute(query, (kind, hour, *days)).fetchone()
                    counts[slug][(hour + offset // _SECONDS_OF_HOUR) % HOURS] += count or 0
        # The parts of hours at both ends.
        edges = [(selection.since_ms, min(first * HOUR_MS, selection.until_ms))]
        if first <= end:
            edges.append((end * HOUR_MS, selection.until_ms))
        for edge in edges:
            query = "SELECT kind, start_ms / 1000 FROM event WHERE start_ms >= ? AND start_ms < ?"
            for kind, seconds in self._database.execute(query, edge):
                if kind in slugs:
                    counts[slugs[kind]][(seconds // _SECONDS_OF_HOUR + offset_seconds(seconds) // _SECONDS_OF_HOUR) % HOURS] += 1
        return {slug: of_hours for slug, of_hours in counts.items() if any(of_hours)}

    def _selected(self, selection: Selection) -> list[Kind]:
        return [
            kind
            for kind in self.kinds
            if (not selection.sources or kind.source in selection.sources)
            and (not selection.slugs or kind.slug in selection.slugs)
        ]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise EdgeDetectorError(
                f"the history {self._path} cannot be read ({error}); is it a history of this program?"
            ) from error


def local_offset_seconds(utc_seconds: int) -> int:
    """Return local time of this machine less UTC at this Unix time, in seconds, for `by_hour_of_day`."""
    return time.localtime(utc_seconds).tm_gmtoff


def _spans(begin_hour: int, end_hour: int, offset_seconds: Callable[[int], int]) -> Iterator[tuple[int, int, int]]:
    """Yield stretches of hours with one offset each: first hour, one past the last, offset in seconds."""
    since = begin_hour
    offset = offset_seconds(begin_hour * _SECONDS_OF_HOUR)
    for hour in range(begin_hour + 1, end_hour):
        now = offset_seconds(hour * _SECONDS_OF_HOUR)
        if now != offset:
            yield since, hour, offset
            since, offset = hour, now
    if since < end_hour:
        yield since, end_hour, offset


def _check_version(path: Path, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise EdgeDetectorError(f"{path} is of version {version}, and this program reads {SCHEMA_VERSION}; upgrade this program")


def _open(path: Path) -> sqlite3.Connection:
    """Open the file. Raises EdgeDetectorError where there is none, or where it may not be read."""
    try:
        if kind := not_a_file(path):
            raise EdgeDetectorError(f"{path} is {kind}, not a history; name the file history.sqlite")
        # Opening and closing the file here would give up the locks of a writer in this process.
        if not os.access(path, os.R_OK):
            raise FileNotFoundError if not path.exists() else PermissionError
        # Without a log nobody writes; the file is then read as it is, also from a disk that cannot be written.
        mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        name = f"file:{quote(str(path.absolute()))}?{mode}"
        return sqlite3.connect(name, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    except FileNotFoundError as error:
        raise EdgeDetectorError(
            f"there is no history {path}; the service makes it once it runs with a state directory, or name it: --database FILE"
        ) from error
    except PermissionError as error:
        raise EdgeDetectorError(f"{path} may not be read by you; run the command with sudo") from error
    except (OSError, sqlite3.Error) as error:
        raise EdgeDetectorError(f"the history {path} cannot be opened ({error}); check its folder") from error
