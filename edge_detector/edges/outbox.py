"""The outbox on disk, in SQLite: committed means synced, and neither a killed process nor a cut of power takes it back."""

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_detector.core.outgoing import Outbox
from edge_detector.core.shelf import DEAD_LETTERS, Change, Row, ShelfError, ended, started
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

SCHEMA_VERSION = 1
# The checks are for integrity_check, which finds by them what a flipped bit has made of a row.
_MESSAGE = """
key TEXT NOT NULL CHECK (typeof(key) = 'text'), topic TEXT NOT NULL CHECK (typeof(topic) = 'text'),
payload BLOB NOT NULL CHECK (typeof(payload) = 'blob')
"""
_SCHEMA = (
    f"CREATE TABLE message (number INTEGER PRIMARY KEY, {_MESSAGE}, born_seconds REAL NOT NULL, UNIQUE (key))",
    f"CREATE TABLE open_event (number INTEGER PRIMARY KEY, event TEXT NOT NULL UNIQUE, {_MESSAGE}, born_seconds REAL NOT NULL)",
    f"CREATE TABLE dead_letter (number INTEGER PRIMARY KEY, {_MESSAGE}, reason TEXT NOT NULL)",
    "CREATE TABLE life (age_seconds REAL NOT NULL)",
    "INSERT INTO life VALUES (0.0)",
)
_BURY = """
INSERT INTO dead_letter (key, topic, payload, reason) SELECT key, topic, payload, ? FROM message WHERE key = ?
"""
_FORGET_LETTERS = "DELETE FROM dead_letter WHERE number <= (SELECT max(number) FROM dead_letter) - ?"
_BUSY_SECONDS = 1.0
_CHECKPOINT_PAGES = 100
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FAILURES = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite quotes damaged bytes in its error
_PRIMARY_CODE = 0xFF


def open_outbox(path: Path, clock: Callable[[], float], *, max_messages: int, max_age_seconds: float) -> Outbox:
    """The outbox in the file `path`, or in memory, with its `trouble` set, for as long as that cannot be had."""
    return Outbox(lambda: SqliteShelf(path), clock, max_messages=max_messages, max_age_seconds=max_age_seconds)


class SqliteShelf:
    """Rows in a SQLite file that belongs to one process at a time. A damaged file is put aside and a new one begun.

    Attributes:
        age_seconds: the outbox's age as of the last change.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ShelfError(f"the folder {path.parent} cannot be made ({error}); name another", reopen=True) from error
        with self._gate():
            try:
                self._database = _connect(path)
            except _FAILURES as error:
                if _code(error) not in _DAMAGED:
                    raise
                _put_aside(path, error)
                self._database = _connect(path)
            (self.age_seconds,) = self._database.execute("SELECT coalesce(max(age_seconds), 0.0) FROM life").fetchone()

    def apply(self, change: Change) -> None:
        """As Shelf says; on disk when it returns."""
        with self._transaction() as database:
            for row in change.add:
                values = (row.key, row.message.topic, row.message.payload, row.born_seconds)
                database.execute("INSERT OR IGNORE INTO message (key, topic, payload, born_seconds) VALUES (?, ?, ?, ?)", values)
                self._open(row)
                database.execute("DELETE FROM open_event WHERE event = ?", (ended(row.key),))
            for row in change.keep_open:
                self._open(row)
            database.executemany("DELETE FROM open_event WHERE event = ?", [(event,) for event in change.close])
            letters = [(reason, key) for key, reason in change.bury.items()]
            database.executemany(_BURY, letters)
            if letters:
                database.execute(_FORGET_LETTERS, (DEAD_LETTERS,))
            database.executemany("DELETE FROM message WHERE key = ?", [(key,) for key in (*change.remove, *change.bury)])
            database.execute("UPDATE life SET age_seconds = ?", (change.age_seconds,))
        self.age_seconds = change.age_seconds

    def trim(self, max_messages: int, born_before_seconds: float, keep: Collection[str]) -> int:
        """As Shelf says."""
        excess = self.count() - max_messages
        query = "SELECT number, key, born_seconds FROM message ORDER BY number"
        with self._gate():
            free = [(number, born) for number, key, born in self._database.execute(query) if key not in keep]
        gone = [(number,) for place, (number, born) in enumerate(free) if place < excess or born < born_before_seconds]
        if gone:
            with self._transaction() as database:
                database.executemany("DELETE FROM message WHERE number = ?", gone)
        return len(gone)

    def oldest(self, limit: int) -> list[Row]:
        """As Shelf says."""
        query = "SELECT key, topic, payload, born_seconds FROM message ORDER BY number LIMIT ?"
        with self._gate():
            return [_row(*values) for values in self._database.execute(query, (limit,))]

    def count(self) -> int:
        """As Shelf says."""
        with self._gate():
            (count,) = self._database.execute("SELECT count(*) FROM message").fetchone()
        return int(count)

    def open_events(self) -> list[Row]:
        """As Shelf says."""
        query = "SELECT key, topic, payload, born_seconds FROM open_event ORDER BY number"
        with self._gate():
            return [_row(*values) for values in self._database.execute(query)]

    def dead_letters(self) -> list[tuple[Message, str]]:
        """As Shelf says."""
        query = "SELECT key, topic, payload, reason FROM dead_letter ORDER BY number"
        with self._gate():
            return [
                (_row(key, topic, payload, 0.0).message, str(reason))
                for key, topic, payload, reason in self._database.execute(query)
            ]

    def close(self) -> None:
        """Let go of the file; a failure to tidy it up is of no consequence, since the next opening does that too."""
        try:
            self._database.close()
        except sqlite3.Error as error:
            LOG.debug("closing %s: %s", self._path, error)

    def _open(self, row: Row) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO open_event (event, key, topic, payload, born_seconds) SELECT ?1, ?2, ?3, ?4, ?5"
            " WHERE ?1 IS NOT NULL",
            (started(row.key), row.key, row.message.topic, row.message.payload, row.born_seconds),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._gate():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite has rolled some failures back by itself
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _gate(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            full = _code(error) == sqlite3.SQLITE_FULL
            advice = "make room" if full else "make it writable, for one service alone"
            raise ShelfError(f"{self._path} cannot be used ({error}); {advice}", reopen=not full) from error


def _code(error: Exception) -> int:
    default = sqlite3.SQLITE_CORRUPT if isinstance(error, UnicodeDecodeError) else sqlite3.SQLITE_ERROR
    code: int = getattr(error, "sqlite_errorcode", default)
    return code & _PRIMARY_CODE


def _row(key: str, topic: str, payload: bytes, born_seconds: float) -> Row:
    return Row(key, Message(topic, payload, 1, retained=False, message_id=key), born_seconds)


def _connect(path: Path) -> sqlite3.Connection:
    # One thread uses it after another: it is opened where the service is built and used on the publisher's thread.
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    database.text_factory = lambda raw: raw.decode(errors="replace")  # no byte on a worn-out card may end the publisher
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")  # also: no shared memory file, and no second service
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _check(path, database)
    except BaseException:
        database.close()
        raise
    return database


def _check(path: Path, database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ShelfError(f"{path} is of version {version}, but this program knows {SCHEMA_VERSION}; move it away", reopen=True)
    (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        damage = sqlite3.DatabaseError(" ".join(verdict.split()))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    # A write even where there is nothing to do shows at once whether there may be one.
    database.execute("BEGIN IMMEDIATE")
    if version == 0:
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute("UPDATE life SET age_seconds = age_seconds")
    database.execute("COMMIT")


def _put_aside(path: Path, error: Exception) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    LOG.error("the outbox %s is damaged (%s): it is now %s and a new one is begun", path, error, aside.name)
    try:
        path.replace(aside)
        path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
    except OSError as failure:
        raise ShelfError(f"the damaged {path} cannot be put aside ({failure}); remove it", reopen=True) from failure
