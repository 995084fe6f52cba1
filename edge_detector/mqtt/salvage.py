"""Recovery of a damaged outbox database, row by row."""
# ruff: noqa: S608 - tables and columns are named by this module alone

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_detector.sqlite_errors import FAILURES

_COLUMNS = {
    "message": "key, topic, payload, born_seconds, checksum",
    "open_event": "event, key, topic, payload, born_seconds, checksum",
    "dead_letter": "key, topic, payload, reason",
}
_PROBED_NUMBERS = 2_000
"""Row numbers that are tried one by one if neither the table nor its index lists them."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Counts of recovered and lost messages; `lost` is None if the total is unknown."""

    saved: int
    lost: int | None


def checksum(key: str, topic: str, payload: bytes, born_seconds: float) -> int:
    """Return the CRC-32 of a row; SQLite has no checksums of its own."""
    return zlib.crc32(
        b"\0".join((key.encode(errors="replace"), topic.encode(errors="replace"), payload, repr(born_seconds).encode()))
    )


def is_sound(key: object, topic: object, payload: object, born_seconds: object, expected: object) -> bool:
    """Return whether a row is undamaged: its checksum matches, or, without one, its payload is JSON."""
    if not (isinstance(key, str) and isinstance(topic, str) and isinstance(payload, bytes) and isinstance(born_seconds, float)):
        return False
    if expected is not None:
        return checksum(key, topic, payload, born_seconds) == expected
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return True


def salvage(damaged: Path | sqlite3.Connection, new: sqlite3.Connection) -> Salvaged:
    """Copy the undamaged rows of a damaged file, or of a deleted one that is still open, into `new` in one transaction."""
    if isinstance(damaged, sqlite3.Connection):
        return _copy(damaged, new)
    with closing(sqlite3.connect(damaged, isolation_level=None)) as old:
        old.text_factory = lambda raw: raw.decode(errors="replace")
        return _copy(old, new)


def _copy(old: sqlite3.Connection, new: sqlite3.Connection) -> Salvaged:
    if not _is_readable(old):
        return Salvaged(0, None)
    new.execute("BEGIN IMMEDIATE")
    try:
        salvaged = _copy_messages(old, new)
        for values in _rows(old, "open_event", None):
            if is_sound(*values[1:]):
                _insert(new, "open_event", values)
        for values in _rows(old, "dead_letter", None):
            if [type(value) for value in values] == [str, str, bytes, str]:
                _insert(new, "dead_letter", values)
        new.execute("UPDATE life SET age_seconds = max(age_seconds, ?)", (_age_seconds(old),))
        new.execute("COMMIT")
    except BaseException:
        if new.in_transaction:
            new.execute("ROLLBACK")
        raise
    return salvaged


def _copy_messages(old: sqlite3.Connection, new: sqlite3.Connection) -> Salvaged:
    saved, unsound = 0, 0
    expected = _numbers(old)
    for values in _rows(old, "message", expected):
        if is_sound(*values):
            saved += max(0, _insert(new, "message", values))
        else:
            unsound += 1
    if expected is not None:
        return Salvaged(saved, max(0, len(expected) - saved))
    return Salvaged(saved, unsound if saved else None)


def _is_readable(old: sqlite3.Connection) -> bool:
    """Return whether at least the schema can be read."""
    try:
        old.execute("SELECT count(*) FROM message LIMIT 0").fetchall()
    except FAILURES:
        return False
    return True


def _insert(new: sqlite3.Connection, table: str, values: tuple[object, ...]) -> int:
    marks = ", ".join("?" * len(values))
    count: int = new.execute(f"INSERT OR IGNORE INTO {table} ({_COLUMNS[table]}) VALUES ({marks})", values).rowcount
    return count


def _numbers(old: sqlite3.Connection) -> list[int] | None:
    """Return the row numbers of all messages from their index; None if the index is damaged."""
    try:
        found = old.execute("SELECT number FROM message INDEXED BY sqlite_autoindex_message_1").fetchall()
    except FAILURES:
        return None
    return sorted(number for (number,) in found if isinstance(number, int))


def _rows(old: sqlite3.Connection, table: str, expected: list[int] | None) -> Iterator[tuple[object, ...]]:
    """Yield all readable rows of a table, without its index."""
    columns = _columns(old, table)
    last = 0
    with suppress(*FAILURES):  # beyond the damage, each row is queried by its number
        for number, *values in old.execute(f"SELECT number, {columns} FROM {table} NOT INDEXED ORDER BY number"):
            yield tuple(values)
            last = number
        return
    numbers = range(last + 1, _highest(old, table, last) + 1) if expected is None else (n for n in expected if n > last)
    for number in numbers:
        with suppress(*FAILURES):
            if found := old.execute(f"SELECT {columns} FROM {table} NOT INDEXED WHERE number = ?", (number,)).fetchone():
                yield found


def _columns(old: sqlite3.Connection, table: str) -> str:
    columns = _COLUMNS[table]
    try:
        known = {name for _, name, *_ in old.execute(f"PRAGMA table_info({table})")}
    except FAILURES:
        return columns
    return columns if "checksum" in known else columns.replace("checksum", "NULL")


def _highest(old: sqlite3.Connection, table: str, last: int) -> int:
    try:
        (highest,) = old.execute(f"SELECT max(number) FROM {table} NOT INDEXED").fetchone()
    except FAILURES:
        return last + _PROBED_NUMBERS
    return min(highest or 0, last + _PROBED_NUMBERS)


def _age_seconds(old: sqlite3.Connection) -> float:
    try:
        (age_seconds,) = old.execute("SELECT max(age_seconds) FROM life").fetchone()
    except FAILURES:
        return 0.0
    return age_seconds if isinstance(age_seconds, float) else 0.0
