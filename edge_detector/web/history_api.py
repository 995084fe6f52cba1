"""Answers of the HTTP interface from the history: events page by page, as CSV, by hour of the day, and what can be chosen."""

import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from edge_detector.clips.names import clip_id
from edge_detector.history.queries import Cursor, HistoryPage, HistoryReader, Selection, local_offset_seconds
from edge_detector.history.records import FIRST_MS, LAST_MS, RECORD_KEYS, RecordedEvent, milliseconds, record
from edge_detector.review.sounds import Review
from edge_detector.schema import shown
from edge_detector.web.clips_api import Recordings

T = TypeVar("T")
Query = Mapping[str, Sequence[str]]
"""Parameters of a URL, each with all its values. An empty value counts as absent, as of an empty field of a form."""

DEFAULT_EVENTS, MOST_EVENTS = 100, 1_000
MOST_ROWS = 100_000
MOST_VALUES = 100
MOST_CHARACTERS = 1_000
_SHOWN_CHARACTERS = 100
_CHUNK_ROWS = 1_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_CURSOR = re.compile(r"(\d{1,15})-(\d{1,18})", re.ASCII)
_COUNT = re.compile(r"\d{1,6}", re.ASCII)
_SELECTION = ("source", "class", "since", "until")
_PAGE = (*_SELECTION, "id", "limit", "before", "format")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


class BadRequest(Exception):  # noqa: N818 - named as HTTP does
    """A query that cannot be answered; the message is a sentence for the sender."""


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Events, newest first.

    Attributes:
        next: value of `before` for the next page; None on the last one.
        clips: ids of the clips that there are, or are being recorded; None where no clips are kept.
        reviews: by the ids of the reviewed ones.

    """

    events: Sequence[RecordedEvent]
    next: str | None
    clips: AbstractSet[str] | None
    reviews: Mapping[str, Review]

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON.

        An event is as `edge-detector events --json` has it, with its clip and its review where clips are kept.
        """
        return {"events": [{**record(event), **self._clip(event)} for event in self.events], "next": self.next}

    def _clip(self, event: RecordedEvent) -> dict[str, object]:
        if self.clips is None:
            return {}
        clip = clip_id(event.id)
        review = self.reviews.get(clip)
        found = clip if clip in self.clips or review is not None else None
        return {"clip": found, "review": None if review is None else asdict(review)}


@dataclass(frozen=True, slots=True)
class ClassHours:
    """How many events of a class started in each of the 24 hours of the day."""

    slug: str
    label: str
    hours: Sequence[int]


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of all classes with an event, the most frequent class first; `utc_offset_seconds` is the present one."""

    utc_offset_seconds: int
    classes: Sequence[ClassHours]

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """A class of the history, under its newest label."""

    slug: str
    label: str


@dataclass(frozen=True, slots=True)
class Kinds:
    """Sources and classes that the history has, or had, events of, in the order of their names."""

    sources: Sequence[str]
    classes: Sequence[ClassLabel]

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON."""
        return asdict(self)


def events_page(path: Path, query: Query, recordings: Recordings | None = None) -> EventsPage:
    """Return a page of the events that the query selects, or the event of its `id`, each with its clip and its review.

    Raises BadRequest, EdgeDetectorError.
    """
    check_keys(query, _PAGE)
    limit = limit_of(query, DEFAULT_EVENTS, MOST_EVENTS, "events")
    page = _first_page(path, query, limit)
    following = None if page.next is None else f"{page.next.start_ms}-{page.next.number}"
    if recordings is None:
        return EventsPage(page.events, following, None, {})
    # Clips first: one that is reviewed meanwhile is in both, and not in neither.
    clips = _readable(recordings.clips.ids, frozenset[str]())
    return EventsPage(page.events, following, clips, _readable(recordings.sounds.reviews, dict[str, Review]()))


def events_csv(path: Path, query: Query) -> Iterator[bytes]:
    """Return the CSV of the events that the query selects, in chunks; newest first, `limit` of them at most.

    No transaction lasts while a slow receiver takes a chunk. Raises BadRequest and EdgeDetectorError at once, and while it is
    read EdgeDetectorError.
    """
    check_keys(query, _PAGE)
    limit = limit_of(query, MOST_ROWS, MOST_ROWS, "events")
    return _csv_chunks(path, _selection(query), limit, _first_page(path, query, min(limit, _CHUNK_ROWS)))


def hours(path: Path, query: Query) -> Hours:
    """Return the events that the query selects by the hour of the day. Raises BadRequest, EdgeDetectorError."""
    check_keys(query, ("source", "since", "until"))
    selection = _selection(query)
    with HistoryReader(path) as reader:
        counts = reader.by_hour_of_day(selection, local_offset_seconds)
        labels = {kind.slug: kind.label for kind in reader.kinds}
    rows = sorted(counts.items(), key=lambda row: (-sum(row[1]), row[0]))
    now_offset_seconds = local_offset_seconds(round(time.time()))
    return Hours(now_offset_seconds, tuple(ClassHours(slug, labels[slug], tuple(of_hours)) for slug, of_hours in rows))


def kinds(path: Path) -> Kinds:
    """Return what the history can be filtered by. Raises EdgeDetectorError."""
    with HistoryReader(path) as reader:
        found = reader.kinds
    labels = {kind.slug: kind.label for kind in found}
    classes = sorted(labels.items(), key=lambda item: (item[1].casefold(), item[0]))
    return Kinds(tuple(sorted({kind.source for kind in found})), tuple(ClassLabel(*item) for item in classes))


def _readable(read: Callable[[], T], default: T) -> T:
    """Return what is read, or the default: the history can be shown all the same; the clips' own addresses say what is wrong."""
    try:
        return read()
    except OSError:
        return default


def _first_page(path: Path, query: Query, limit: int) -> HistoryPage:
    form = value_of(query, "format")
    if form not in (None, "json", "csv"):
        raise BadRequest(f"format = {quoted(form)} is not known; give json or csv")
    identity, selection, before = _identity(query), _selection(query), _cursor(query)
    with HistoryReader(path) as reader:
        if identity is None:
            return reader.page(selection, limit, before)
        found = reader.by_id(identity)
    return HistoryPage(() if found is None else (found,), None)


def _csv_chunks(path: Path, selection: Selection, limit: int, page: HistoryPage) -> Iterator[bytes]:
    yield _csv([RECORD_KEYS, *map(_row, page.events)])
    left = limit - _CHUNK_ROWS
    while page.next is not None and left > 0:
        # A reader of its own, since each chunk may be asked for on another thread.
        with HistoryReader(path) as reader:
            page = reader.page(selection, min(left, _CHUNK_ROWS), page.next)
        yield _csv([_row(event) for event in page.events])
        left -= _CHUNK_ROWS


def _row(event: RecordedEvent) -> Sequence[object]:
    """Return the cells of an event, without any that a spreadsheet would compute."""
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in record(event).values()]


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def check_keys(query: Query, known: Sequence[str]) -> None:
    """Raise BadRequest for a parameter that is not known."""
    for key in query:
        if key not in known:
            raise BadRequest(f"there is no parameter {quoted(key)} here; known: {', '.join(known)}")


def _selection(query: Query) -> Selection:
    since_ms, until_ms = _time_ms(query, "since"), _time_ms(query, "until")
    return Selection(
        _values(query, "source"),
        _values(query, "class"),
        FIRST_MS if since_ms is None else since_ms,
        LAST_MS + 1 if until_ms is None else until_ms,
    )


def _values(query: Query, key: str) -> Sequence[str]:
    values = [value for value in query.get(key, ()) if value]
    if len(values) > MOST_VALUES:
        raise BadRequest(f"there are {len(values)} values of {key}; give {MOST_VALUES} at most")
    for value in values:
        if len(value) > MOST_CHARACTERS:
            raise BadRequest(f"a value of {key} has {len(value)} characters; give {MOST_CHARACTERS} at most")
    return values


def value_of(query: Query, key: str) -> str | None:
    """Return the only value of a parameter, or None. Raises BadRequest for several, and for a long one."""
    values = _values(query, key)
    if len(values) > 1:
        raise BadRequest(f"there are {len(values)} values of {key}; give one")
    return values[0] if values else None


def _identity(query: Query) -> str | None:
    identity = value_of(query, "id")
    if identity is not None and any(_values(query, key) for key in (*_SELECTION, "before")):
        raise BadRequest(f"an id names one event; leave out {', '.join(_SELECTION)} and before, or leave out id")
    return identity


def limit_of(query: Query, default: int, most: int, what: str) -> int:
    """Return the parameter `limit`. Raises BadRequest for one that is no number of so many `what` at most."""
    text = value_of(query, "limit")
    if text is None:
        return default
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= most:
        raise BadRequest(f"limit = {quoted(text)} is no number of {what}; give 1 to {most}")
    return int(text)


def _time_ms(query: Query, key: str) -> int | None:
    text = value_of(query, key)
    if text is None:
        return None
    try:
        if _TIME.fullmatch(text):
            return milliseconds(text)
    except ValueError:
        pass
    raise BadRequest(f"{key} = {quoted(text)} is no time; give one like 2026-11-28T21:30:00Z, of 1970 to 9999, with %2B for +")


def _cursor(query: Query) -> Cursor | None:
    text = value_of(query, "before")
    if text is None:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise BadRequest(f"before = {quoted(text)} is no place in the history; give the value of next of the page before")
    return Cursor(int(found[1]), int(found[2]))


def quoted(text: str) -> str:
    """Return a value for a sentence, shortened and without control characters."""
    return f'"{shown(text[:_SHOWN_CHARACTERS])}"'
