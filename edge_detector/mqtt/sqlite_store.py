"""Outbox in SQLite. A commit is synced to disk and survives a killed process and a power cut."""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge_detector.executor import Run, at_once
from edge_detector.files import name_aside, not_a_file, sync_folder
from edge_detector.mqtt.message_store import DEAD_LETTERS, TRIM_MESSAGES, Change, StoredMessage, StoreError, ended, started
from edge_detector.mqtt.outbox import Outbox
from edge_detector.mqtt.salvage import checksum, is_sound, salvage
from edge_detector.sqlite_errors import FAILURES, is_damage, is_full
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

SCHEMA_VERSION = 1
# With the CHECKs, integrity_check also detects a flipped bit in a row.
_MESSAGE = """
key TEXT NOT NULL CHECK (typeof(key) = 'text'), topic TEXT NOT NULL CHECK (typeof(topic) = 'text'),
payload BLOB NOT NULL CHECK (typeof(payload) = 'blob')
"""
_BORN = "born_seconds REAL NOT NULL, checksum INTEGER"
_SCHEMA = (
    f"CREATE TABLE message (number INTEGER PRIMARY KEY, {_MESSAGE}, {_BORN}, UNIQUE (key))",
    f"CREATE TABLE open_event (number INTEGER PRIMARY KEY, event TEXT NOT NULL UNIQUE, {_MESSAGE}, {_BORN})",
    f"CREATE TABLE dead_letter (number INTEGER PRIMARY KEY, {_MESSAGE}, reason TEXT NOT NULL)",
    "CREATE TABLE life (age_seconds REAL NOT NULL)",
    "INSERT INTO life VALUES (0.0)",
)
_ADD = "INSERT OR IGNORE INTO message (key, topic, payload, born_seconds, checksum) VALUES (?, ?, ?, ?, ?)"
_OPEN = "INSERT OR REPLACE INTO open_event (event, key, topic, payload, born_seconds, checksum) VALUES (?, ?, ?, ?, ?, ?)"
_TO_DEAD_LETTERS = """
INSERT INTO dead_letter (key, topic, payload, reason) SELECT key, topic, payload, ? FROM message WHERE key = ?
"""
_FORGET_LETTERS = "DELETE FROM dead_letter WHERE number <= (SELECT max(number) FROM dead_letter) - ?"
_OLDEST = "SELECT number, key, topic, payload, born_seconds, checksum FROM message ORDER BY number LIMIT ?"
_BUSY_SECONDS = 1.0
_PAGE_BYTES = 1_024
"""SQLite writes whole pages, several for each message of about 600 bytes; small pages spare the flash card."""
_MOST_REPAGED_BYTES = 4 << 20
_CHECKPOINT_PAGES = 400
_AGE_SECONDS = 60.0
"""A change also writes the outbox's age if it has increased by this much."""


def open_outbox(
    path: Path, clock: Callable[[], float], *, max_messages: int, max_age_seconds: float, run: Run = at_once
) -> Outbox:
    """Open the outbox in the file `path`; while that fails, events stay in memory and `trouble` is set."""
    return Outbox(lambda: SqliteStore(path), clock, max_messages=max_messages, max_age_seconds=max_age_seconds, run=run)


class SqliteStore:
    """Store in a SQLite file, exclusive to one process. The readable rows of a damaged file are copied into a new one.

    Attributes:
        age_seconds: age of the outbox as of the last change.
        damage: report on a damaged or deleted file, as a sentence, or None.
        lost: messages known to be lost to damage since this was last set to 0.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.age_seconds = 0.0
        self.damage: str | None = None
        self.lost = 0
        self._count = 0
        with self._store_errors():
            _make_folder(path.parent)
            _finish_salvage(path)
            try:
                self._database = _connect(path)
            except FAILURES as error:
                if not is_damage(error):
                    raise
                self._salvage(error)
                self._database = _connect(path)
            self._load_counters()

    def apply(self, change: Change) -> None:
        """As MessageStore; on disk when it returns."""
        self._replace_deleted_file()
        count = self._count
        with self._transaction() as database:
            for row in change.add:
                count += database.execute(_ADD, _values(row)).rowcount
                self._open(row)
                if event := ended(row.key):
                    database.execute("DELETE FROM open_event WHERE event = ?", (event,))
            for row in change.keep_open:
                self._open(row)
            database.executemany("DELETE FROM open_event WHERE event = ?", [(event,) for event in change.close])
            letters = [(reason, key) for key, reason in change.to_dead_letters.items()]
            database.executemany(_TO_DEAD_LETTERS, letters)
            if letters:
                database.execute(_FORGET_LETTERS, (DEAD_LETTERS,))
            gone = [(key,) for key in (*change.remove, *change.to_dead_letters)]
            count -= max(0, database.executemany("DELETE FROM message WHERE key = ?", gone).rowcount)
            ages = change.age_seconds >= self.age_seconds + _AGE_SECONDS or change == Change(age_seconds=change.age_seconds)
            if ages:
                database.execute("UPDATE life SET age_seconds = ?", (change.age_seconds,))
        self._count = count
        if ages:
            self.age_seconds = change.age_seconds

    def trim(self, max_messages: int, born_before_seconds: float, keep: Collection[str]) -> int:
        """As MessageStore. Rows are read from the lowest number, the oldest, up to the first that stays."""
        excess = self._count - max_messages
        gone: list[tuple[int]] = []
        query = "SELECT number, key, born_seconds FROM message ORDER BY number"
        with self._store_errors(), closing(self._database.execute(query)) as rows:
            for number, key, born_seconds in rows:
                if key in keep:
                    continue
                if len(gone) == TRIM_MESSAGES or not (len(gone) < excess or born_seconds < born_before_seconds):
                    break
                gone.append((number,))
        if gone:
            with self._transaction() as database:
                database.executemany("DELETE FROM message WHERE number = ?", gone)
            self._count -= len(gone)
        return len(gone)

    def oldest(self, limit: int) -> list[StoredMessage]:
        """As MessageStore. A damaged row becomes a dead letter and counts as lost."""
        while True:
            with self._store_errors():
                found = self._database.execute(_OLDEST, (limit,)).fetchall()
            damaged = [number for number, *values in found if not is_sound(*values)]
            if not damaged:
                return [_row(*values[:-1]) for _, *values in found]
            self._discard_rows(damaged)

    def count(self) -> int:
        """As MessageStore."""
        return self._count

    def open_events(self) -> list[StoredMessage]:
        """As MessageStore. A damaged one is deleted and logged."""
        query = "SELECT number, key, topic, payload, born_seconds, checksum FROM open_event ORDER BY number"
        with self._store_errors():
            found = self._database.execute(query).fetchall()
        damaged = [(number, key) for number, key, *rest in found if rest[-1] is not None and not is_sound(key, *rest)]
        for _, key in damaged:
            LOG.error("%s cannot be read, it is damaged on the disk; its event is deleted", key)
        numbers = {number for number, _ in damaged}
        if numbers:
            with self._transaction() as database:
                database.executemany("DELETE FROM open_event WHERE number = ?", [(number,) for number in numbers])
        return [_row(*values[:-1]) for number, *values in found if number not in numbers]

    def dead_letters(self) -> list[tuple[Message, str]]:
        """As MessageStore."""
        query = "SELECT key, topic, payload, reason FROM dead_letter ORDER BY number"
        with self._store_errors():
            return [
                (_row(key, topic, payload, 0.0).message, str(reason))
                for key, topic, payload, reason in self._database.execute(query)
            ]

    def close(self) -> None:
        """Close the file. Errors are ignored, since the next opening repeats the clean-up."""
        _close(self._database)

    def _load_counters(self) -> None:
        (self.age_seconds,) = self._database.execute("SELECT coalesce(max(age_seconds), 0.0) FROM life").fetchone()
        (self._count,) = self._database.execute("SELECT count(*) FROM message").fetchone()
        self._files = _files(self._path)

    def _open(self, row: StoredMessage) -> None:
        if event := started(row.key):
            self._database.execute(_OPEN, (event, *_values(row)))

    def _discard_rows(self, numbers: list[int]) -> None:
        query = (
            "INSERT INTO dead_letter (key, topic, payload, reason) SELECT key, topic, payload, ? FROM message WHERE number = ?"
        )
        with self._transaction() as database:
            database.executemany(query, [("damaged on the disk", number) for number in numbers])
            database.executemany("DELETE FROM message WHERE number = ?", [(number,) for number in numbers])
        self._count -= len(numbers)
        self._report_damage(
            len(numbers), f"{len(numbers)} events in the outbox {self._path} were damaged on the disk and are not sent"
        )

    def _salvage(self, error: Exception) -> None:
        scratch = _scratch(self._path)
        _remove(scratch)
        with closing(_connect(scratch)) as new:
            found = salvage(self._path, new)
        aside = name_aside(self._path)
        self._path.replace(aside)
        if _wal(self._path).exists():
            _wal(self._path).replace(_wal(aside))
        _finish_salvage(self._path)
        known = "an unknown number" if found.lost is None else f"{found.lost}"
        sentence = f"the outbox {self._path} is damaged ({error}): {found.saved} events could be read, {known} are lost"
        self._report_damage(found.lost or 0, f"{sentence}; it is now {aside.name}, look after the card or disk")

    def _report_damage(self, lost: int, sentence: str) -> None:
        self.lost += lost
        self.damage = sentence
        LOG.error("%s", sentence)

    def _replace_deleted_file(self) -> None:
        """Detect a deleted file, whose content ends with the process, and copy the content into a new file."""
        files = _files(self._path)
        if files == self._files:
            return
        with self._store_errors():
            if files[0] == self._files[0]:
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                raise StoreError(f"{_wal(self._path)} was deleted while in use; leave it alone", reopen=True)
            try:
                _make_folder(self._path.parent)
                new = _connect(self._path)
            except (*FAILURES, OSError, StoreError) as error:
                problem = f"{self._path} was deleted while in use, and no new one can be made ({error}); make its folder writable"
                raise StoreError(problem, reopen=False) from error
            try:
                salvage(self._database, new)
            except BaseException:
                _close(new)
                raise
            _close(self._database)
            self._database = new
            self._load_counters()
        self._report_damage(0, f"the outbox {self._path} was deleted while in use; its {self._count} events are in a new one")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._store_errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite rolls back some failures by itself
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except (*FAILURES, OSError) as error:
            full = is_full(error)
            advice = "make room" if full else "make it writable, for one service alone"
            raise StoreError(f"{self._path} cannot be used ({error}); {advice}", reopen=not full) from error


def _row(key: str, topic: str, payload: bytes, born_seconds: float) -> StoredMessage:
    return StoredMessage(key, Message(topic, payload, 1, retained=False, message_id=key), born_seconds)


def _values(row: StoredMessage) -> tuple[object, ...]:
    values = row.key, row.message.topic, row.message.payload, row.born_seconds
    return (*values, checksum(*values))


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _scratch(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _files(path: Path) -> list[tuple[int, int] | None]:
    """Return device and inode of the database and its log, None for a missing file."""
    found: list[tuple[int, int] | None] = []
    for file in (path, _wal(path)):
        try:
            status = file.stat()
            found.append((status.st_dev, status.st_ino))
        except OSError:
            found.append(None)
    return found


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be made ({error}); name another", reopen=True) from error


def _remove(path: Path) -> None:
    for file in (path, _wal(path)):
        file.unlink(missing_ok=True)


def _finish_salvage(path: Path) -> None:
    """Replace the damaged file by the recovered one; after a crash in between, the next start does it."""
    if os.path.lexists(path) or not _scratch(path).exists():
        return
    _wal(path).unlink(missing_ok=True)  # the damaged file's
    _scratch(path).replace(path)
    sync_folder(path.parent)


def _close(database: sqlite3.Connection) -> None:
    try:
        database.close()
    except sqlite3.Error as error:
        LOG.debug("closing the outbox: %s", error)


def _prepare(path: Path) -> None:
    """Create the file if it is missing, readable by the owner only, since events are private. Raises StoreError."""
    for file in (path, _wal(path)):
        if kind := not_a_file(file):
            raise StoreError(f"{file} is {kind}, and the outbox needs a file; move it away", reopen=True)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    elif path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):  # another user's file, or a read-only disk: its mode stays
            path.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    _prepare(path)
    # It may be closed on another thread than it was opened on; never two at a time.
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    database.text_factory = lambda raw: raw.decode(errors="replace")  # an invalid byte on a worn card must not end the service
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")  # also excludes a second service, and needs no shared memory file
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # applies to a new file
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _check(path, database)
        _use_small_pages(path, database)
    except BaseException:
        database.close()
        raise
    return database


def _check(path: Path, database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreError(f"{path} is of version {version}, and this program reads {SCHEMA_VERSION}; move it away", reopen=True)
    (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        damage = sqlite3.DatabaseError(" ".join(verdict.split()))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    # A write, even without changes, shows at once whether the file is writable.
    database.execute("BEGIN IMMEDIATE")
    if version == 0:
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for table in ("message", "open_event"):  # files of earlier versions lack it; an older program ignores it
        if not any(name == "checksum" for _, name, *_ in database.execute(f"PRAGMA table_info({table})")):
            database.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER")
    database.execute("UPDATE life SET age_seconds = age_seconds")
    database.execute("COMMIT")


def _use_small_pages(path: Path, database: sqlite3.Connection) -> None:
    (page_bytes,), (pages,) = (database.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count"))
    if page_bytes == _PAGE_BYTES or page_bytes * pages > _MOST_REPAGED_BYTES:
        return
    try:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        database.execute("VACUUM")
    except sqlite3.OperationalError as error:  # such as no room for a copy; large pages work as well
        LOG.debug("%s keeps its large pages: %s", path, error)
    finally:
        database.execute("PRAGMA journal_mode = WAL")
