"""History in SQLite: writing and retention. `queries` reads it, in other processes too.

A commit survives a killed process. It is not synced, which spares the flash card: after a power cut the newest events may be
missing, and the file is sound.
"""

import contextlib
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_detector.files import not_a_file
from edge_detector.history.records import RecordedEvent
from edge_detector.sqlite_errors import FAILURES, is_damage, is_full

LOG = logging.getLogger(__name__)

SCHEMA_VERSION = 1
FILE_NAME = "history.sqlite"
HOURS, HOUR_MS, DAY_MS = 24, 3_600_000, 86_400_000
_NAMES = "source TEXT NOT NULL, slug TEXT NOT NULL, label TEXT NOT NULL, UNIQUE (source, slug, label)"
_EVENT = """
id TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER, peak REAL NOT NULL,
end_reason TEXT, clock TEXT NOT NULL
"""
_HOUR = "hour INTEGER, day INTEGER"  # hour of the day from 0 and days since 1970, in UTC
_SCHEMA = (
    f"CREATE TABLE kind (number INTEGER PRIMARY KEY, {_NAMES})",
    f"CREATE TABLE event (number INTEGER PRIMARY KEY, {_EVENT})",
    "CREATE INDEX event_by_start ON event (start_ms)",
    "CREATE INDEX event_by_kind ON event (kind, start_ms)",
    "CREATE INDEX open_event ON event (number) WHERE end_reason IS NULL",
    # In this order the sum over days is a scan of the key.
    f"CREATE TABLE hourly (kind INTEGER, {_HOUR}, count INTEGER NOT NULL, PRIMARY KEY (kind, hour, day)) WITHOUT ROWID",
)
_ADD = "INSERT INTO event (kind, start_ms, end_ms, peak, end_reason, clock, id) VALUES (?, ?, ?, ?, ?, ?, ?)"
_COMPLETE = "UPDATE event SET end_ms = ?, peak = ?, end_reason = ?, clock = ? WHERE id = ?"
_REPLACE = "UPDATE event SET kind = ?, start_ms = ?, end_ms = ?, peak = ?, end_reason = ?, clock = ? WHERE id = ?"
_COUNT = """
INSERT INTO hourly (kind, hour, day, count) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, hour, day) DO UPDATE SET count = count + excluded.count
"""
_OLDEST = "SELECT number, kind, start_ms FROM event ORDER BY start_ms, number LIMIT ?"
TRIM_EVENTS = 500
"""Events removed by one trim, to bound its time."""
SPARE_BYTES = 512 << 10
"""Free room that stays in the file for new events; more of it is returned to the disk."""
_VACUUM_PAGES = 2_000
_PAGE_BYTES = 1_024
"""SQLite writes whole pages, four for each event of about 150 bytes; small pages spare the flash card."""
_CHECKPOINT_PAGES = 400
_CACHE_KIB = 1_000
_BUSY_SECONDS = 1.0


class HistoryError(Exception):
    """The history failed and has changed nothing. The recorder handles it and reports its sentence.

    Attributes:
        reopen: whether the store must be opened again; a full disk can still be read.
        renewed: a damaged file was set aside, so that the next opening begins a new one.

    """

    def __init__(self, sentence: str, *, reopen: bool = True, renewed: bool = False) -> None:
        super().__init__(sentence)
        self.reopen = reopen
        self.renewed = renewed


class HistoryStore:
    """The history in the file `path`, with one writer. Every method may raise HistoryError.

    Args:
        path: the file; made if it is missing, readable by its owner alone.
        days: events that began earlier than this are removed.
        megabytes: size of the file, beyond which the oldest events are removed; 2 at least.

    """

    def __init__(self, path: Path, *, days: int, megabytes: int) -> None:
        self._path = path
        self._days = days
        self._most_pages = ((megabytes << 20) - SPARE_BYTES) // _PAGE_BYTES
        self._kinds: dict[tuple[str, str, str], int] = {}
        self._database: sqlite3.Connection | None = None
        with self._errors():
            self._database = _connect(path)
            self._file = _identity(path)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Add new events and replace known ones, all in one transaction."""
        self._replace_deleted_file()
        with self._transaction() as database:
            changes: Counter[tuple[int, int]] = Counter()
            for event in events:
                kind = self._kind(database, event)
                values = (kind, event.start_ms, event.end_ms, event.peak, event.end_reason, event.clock, event.id)
                known = database.execute("SELECT kind, start_ms FROM event WHERE id = ?", (event.id,)).fetchone()
                if known == values[:2]:
                    database.execute(_COMPLETE, values[2:])  # writes fewer indexes
                    continue
                if known is not None:
                    changes[known[0], known[1] // HOUR_MS] -= 1
                database.execute(_ADD if known is None else _REPLACE, values)
                changes[kind, event.start_ms // HOUR_MS] += 1
            _count(database, changes)

    def close_open_events(self) -> int:
        """End the events that an earlier process left open, as interrupted; returns how many. Their end is not known."""
        with self._transaction() as database:
            query = "UPDATE event SET end_reason = 'interrupted' WHERE end_reason IS NULL"
            return database.execute(query).rowcount

    def trim(self, now_ms: int) -> bool:
        """Remove the oldest events beyond the limits, and return free room to the disk. True: there is more to remove."""
        with self._transaction() as database:
            pages, free = _pages(database)
            crowded = pages - free > self._most_pages
            before_ms = now_ms - self._days * DAY_MS
            found = database.execute(_OLDEST, (TRIM_EVENTS,)).fetchall() if crowded else _before(database, before_ms)
            database.executemany("DELETE FROM event WHERE number = ?", [(number,) for number, _, _ in found])
            _count(database, Counter({key: -n for key, n in Counter((kind, ms // HOUR_MS) for _, kind, ms in found).items()}))
        with self._errors():
            pages, free = _pages(database)
            spare = free - SPARE_BYTES // _PAGE_BYTES
            if spare > 0:
                # Each step of the statement frees one page; `execute` makes the first step only.
                database.executescript(f"PRAGMA incremental_vacuum({min(spare, _VACUUM_PAGES)})")
        return len(found) == TRIM_EVENTS or spare > _VACUUM_PAGES or pages - free > self._most_pages

    def close(self) -> None:
        """Close the file. Errors are ignored, since the next opening repeats the clean-up."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()

    def _replace_deleted_file(self) -> None:
        """Begin a new file where a person has deleted the history; without this, events would go into the deleted one."""
        if _identity(self._path) == self._file:
            return
        self.close()
        self._kinds.clear()
        with self._errors():
            self._database = _connect(self._path)
            self._file = _identity(self._path)
        LOG.info("the history %s was deleted; a new one is begun", self._path)

    def _kind(self, database: sqlite3.Connection, event: RecordedEvent) -> int:
        names = event.source, event.slug, event.label
        if names not in self._kinds:
            database.execute("INSERT OR IGNORE INTO kind (source, slug, label) VALUES (?, ?, ?)", names)
            query = "SELECT number FROM kind WHERE source = ? AND slug = ? AND label = ?"
            (self._kinds[names],) = database.execute(query, names).fetchone()
        return self._kinds[names]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            database = self._database
            if database is None:
                raise sqlite3.ProgrammingError("it is closed")
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                self._kinds.clear()
                if database.in_transaction:  # SQLite rolls back some failures by itself
                    database.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (*FAILURES, OSError) as error:
            if is_damage(error):
                self.close()
                raise HistoryError(_set_aside(self._path, error), renewed=True) from error
            full = is_full(error)
            advice = "make room" if full else "make it writable"
            raise HistoryError(f"{self._path} cannot be used ({error}); {advice}", reopen=not full) from error


def _pages(database: sqlite3.Connection) -> tuple[int, int]:
    (pages,), (free,) = (database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
    return pages, free


def _before(database: sqlite3.Connection, before_ms: int) -> list[tuple[int, int, int]]:
    query = "SELECT number, kind, start_ms FROM event WHERE start_ms < ? ORDER BY start_ms, number LIMIT ?"
    return database.execute(query, (before_ms, TRIM_EVENTS)).fetchall()


def _count(database: sqlite3.Connection, changes: Counter[tuple[int, int]]) -> None:
    """Apply changes of the counts, by kind and hours since 1970."""
    changed = [(kind, hour % HOURS, hour // HOURS, change) for (kind, hour), change in changes.items() if change]
    database.executemany(_COUNT, changed)
    gone = [(kind, hour, day) for kind, hour, day, change in changed if change < 0]
    database.executemany("DELETE FROM hourly WHERE kind = ? AND hour = ? AND day = ? AND count = 0", gone)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")


def _set_aside(path: Path, error: Exception) -> str:
    """Rename a damaged file, in place of the one before, so that a failing card is not filled with them; returns a sentence."""
    aside = _beside(path, ".damaged")
    try:
        path.replace(aside)
        _beside(aside, "-wal").unlink(missing_ok=True)
        if _beside(path, "-wal").exists():
            _beside(path, "-wal").replace(_beside(aside, "-wal"))
        _beside(path, "-shm").unlink(missing_ok=True)
    except OSError as failure:
        raise HistoryError(f"the history {path} is damaged ({error}) and cannot be renamed ({failure}); remove it") from failure
    return f"the history {path} is damaged ({error}); it is now {aside.name}, and a new one is begun"


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in (path, _beside(path, "-wal")):
        if kind := not_a_file(file):
            raise HistoryError(f"{file} is {kind}, and the history needs a file; move it away")
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # this and the next apply to a new file
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute(f"PRAGMA journal_size_limit = {2 * _CHECKPOINT_PAGES * _PAGE_BYTES}")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _use_schema(path, database)
    except BaseException:
        database.close()
        raise
    return database


def _use_schema(path: Path, database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise HistoryError(f"{path} is of version {version}, and this program reads {SCHEMA_VERSION}; move it away")
    if version == 0:
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.execute("COMMIT")
