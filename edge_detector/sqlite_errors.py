"""Errors of SQLite, as the outbox and the history tell them apart."""

import sqlite3

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""Errors of a database; the latter where SQLite quotes damaged bytes in its error."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY_CODE = 0xFF


def is_damage(error: Exception) -> bool:
    """Return whether the file is damaged, or no database."""
    return _code(error) in _DAMAGED


def is_full(error: Exception) -> bool:
    """Return whether the disk is full."""
    return _code(error) == sqlite3.SQLITE_FULL


def _code(error: Exception) -> int:
    default = sqlite3.SQLITE_CORRUPT if isinstance(error, UnicodeDecodeError) else sqlite3.SQLITE_ERROR
    code: int = getattr(error, "sqlite_errorcode", default)
    return code & _PRIMARY_CODE
