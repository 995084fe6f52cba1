"""Stores of undelivered messages: the interface, and the store in memory; `sqlite_store` has the one on disk."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from edge_detector.types import Message

DEAD_LETTERS = 100
"""Limit of refused messages that are kept for inspection."""
TRIM_MESSAGES = 5_000
"""Limit of rows removed by one trim, to bound its time; after that many, trim again."""
_START, _END = "/start", "/end"


class StoreError(Exception):
    """A store failed and has changed nothing. The outbox handles it and reports its sentence.

    Attributes:
        reopen: whether the store must be opened again; a full one can still be read.

    """

    def __init__(self, sentence: str, *, reopen: bool) -> None:
        super().__init__(sentence)
        self.reopen = reopen


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message, its key, and the age of the outbox in seconds when it was stored."""

    key: str
    message: Message
    born_seconds: float


def started(key: str) -> str | None:
    """Return the event whose start has this message id, or None."""
    return key.removesuffix(_START) if key.endswith(_START) else None


def ended(key: str) -> str | None:
    """Return the event whose end has this message id, or None."""
    return key.removesuffix(_END) if key.endswith(_END) else None


@dataclass(frozen=True, slots=True)
class Change:
    """Steps of one transaction, in this order, all or none.

    Attributes:
        add: rows to append; an existing key stays unchanged. A start opens its event, an end closes it.
        keep_open: start messages of open events whose rows may be removed already.
        close: ids of events that have ended.
        remove: keys of rows to remove.
        to_dead_letters: keys of rows that become dead letters, with the broker's reasons.
        age_seconds: time that this outbox has been in use.

    """

    add: Sequence[StoredMessage] = ()
    keep_open: Sequence[StoredMessage] = ()
    close: Collection[str] = ()
    remove: Collection[str] = ()
    to_dead_letters: Mapping[str, str] = field(default_factory=dict)
    age_seconds: float = 0.0


class MessageStore(Protocol):
    """Storage of rows. Every method may raise StoreError.

    Attributes:
        age_seconds: age of the outbox as of the last change.
        damage: report on a damaged store, as a sentence, or None.
        lost: messages lost to damage since this was last set to 0.

    """

    age_seconds: float
    damage: str | None
    lost: int

    def apply(self, change: Change) -> None:
        """Apply all of `change`, or nothing."""

    def trim(self, max_messages: int, born_before_seconds: float, keep: Collection[str]) -> int:
        """Remove the oldest rows beyond `max_messages` and those too old, except `keep`; returns how many, at most 5 000."""
        ...

    def oldest(self, limit: int) -> list[StoredMessage]:
        """Return the first rows in the order of insertion."""
        ...

    def count(self) -> int:
        """Return the number of rows."""
        ...

    def open_events(self) -> list[StoredMessage]:
        """Return the start messages of open events, in order."""
        ...

    def dead_letters(self) -> list[tuple[Message, str]]:
        """Return the newest refused messages with the broker's reasons."""
        ...

    def close(self) -> None:
        """Close the store."""


class MemoryStore:
    """Store in memory."""

    def __init__(self) -> None:
        self.age_seconds = 0.0
        self.damage: str | None = None
        self.lost = 0
        self._rows: dict[str, StoredMessage] = {}
        self._open: dict[str, StoredMessage] = {}
        self._dead: deque[tuple[Message, str]] = deque(maxlen=DEAD_LETTERS)

    def apply(self, change: Change) -> None:
        """As MessageStore."""
        for row in change.add:
            self._rows.setdefault(row.key, row)
            if event := started(row.key):
                self._open[event] = row
            if event := ended(row.key):
                self._open.pop(event, None)
        self._open.update({started(row.key) or row.key: row for row in change.keep_open})
        for event in change.close:
            self._open.pop(event, None)
        for key in change.remove:
            self._rows.pop(key, None)
        for key, reason in change.to_dead_letters.items():
            if letter := self._rows.pop(key, None):
                self._dead.append((letter.message, reason))
        self.age_seconds = change.age_seconds

    def trim(self, max_messages: int, born_before_seconds: float, keep: Collection[str]) -> int:
        """As MessageStore."""
        free = [row for row in self._rows.values() if row.key not in keep]
        excess = len(self._rows) - max_messages
        gone = [row.key for place, row in enumerate(free) if place < excess or row.born_seconds < born_before_seconds]
        for key in gone:
            del self._rows[key]
        return len(gone)

    def oldest(self, limit: int) -> list[StoredMessage]:
        """As MessageStore."""
        return [row for row, _ in zip(self._rows.values(), range(limit), strict=False)]

    def count(self) -> int:
        """As MessageStore."""
        return len(self._rows)

    def open_events(self) -> list[StoredMessage]:
        """As MessageStore."""
        return list(self._open.values())

    def holds(self, key: str) -> bool:
        """Return whether there is a row with this key."""
        return key in self._rows

    def is_open(self, event: str) -> bool:
        """Return whether the start of this event was stored, and its end was not."""
        return event in self._open

    def is_empty(self) -> bool:
        """Return whether there is nothing to export to another store."""
        return not self._rows and not self._open

    def dead_letters(self) -> list[tuple[Message, str]]:
        """As MessageStore."""
        return list(self._dead)

    def export_change(self, born_seconds: float) -> Change:
        """Return all content as a change for another store, with the given age; this store is unchanged."""
        rows = [replace(row, born_seconds=born_seconds) for row in self._rows.values()]
        return Change(add=rows, keep_open=[row for row in self._open.values() if row.key not in self._rows])

    def discard_exported(self, change: Change) -> None:
        """Remove the content that another store has applied; later content stays."""
        for row in (*change.add, *change.keep_open):
            self._rows.pop(row.key, None)
            self._open.pop(started(row.key) or row.key, None)

    def close(self) -> None:
        """As MessageStore."""
