"""Makes an outbox remember all it was ever given."""

import sqlite3
from contextlib import closing
from pathlib import Path

from edge_detector.mqtt.sqlite_store import SqliteStore

# A trigger belongs to the transaction that sets it off: a key is in the ledger if and only if its row has been committed.
_LEDGER = """
CREATE TABLE ledger (key TEXT NOT NULL);
CREATE TRIGGER decided AFTER INSERT ON message BEGIN INSERT INTO ledger VALUES (new.key); END;
"""


def keep_ledger(outbox: Path) -> None:
    """Prepare the file, before the service opens it."""
    SqliteStore(outbox).close()
    with closing(sqlite3.connect(outbox)) as database:
        database.executescript(_LEDGER)


def decided(outbox: Path) -> list[str]:
    """Message ids of all events that were ever committed, in order; only while no service runs, whose the file is alone."""
    with closing(sqlite3.connect(outbox)) as database:
        return [key for (key,) in database.execute("SELECT key FROM ledger ORDER BY rowid")]
