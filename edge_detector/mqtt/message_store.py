"""Undelivered messages: the interface of a store, and the store in memory. `sqlite_store` has the one on disk."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from edge_detector.types import Message

DEAD_LETTERS = 100
"""Refused messages that are kept to be looked at; older ones go."""
TRIM_MESSAGES = 5_000
"""Rows that one trim takes away at most, so that it is soon over; who has trimmed so many should trim again."""
_START, _END = "/start", "/end"


class StoreError(Exception):
    """A store could not do what was asked and has changed nothing. Only the outbox meets it, and people its sentence.

    Attributes:
        reopen: whether the store is of no use until it is opened again; one that is merely full can still be read.

    """

    def __init__(self, sentence: str, *, reopen: bool) -> None:
        super().__init__(sentence)
        self.reopen = reopen


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message, the name it is known by, and the outbox's age in seconds when it was put there."""

    key: str
    message: Message
    born_seconds: float


def started(key: str) -> str | None:
    """The event whose start has this message id."""
    return key.removesuffix(_START) if key.endswith(_START) else None


def ended(key: str) -> str | None:
    """The event whose end has this message id."""
    return key.removesuffix(_END) if key.endswith(_END) else None


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction does, in this order: all of it or nothing.

    Attributes:
        add: rows to put last; a key that is there already stays as it is. A start opens its event, an end closes it.
        keep_open: start messages of events that are open although their rows may have gone.
        close: ids of events that have ended.
        remove: keys of rows to take away.
        to_dead_letters: keys of rows that become dead letters, and the broker's reasons.
        age_seconds: how long this outbox has been in use.

    """

    add: Sequence[StoredMessage] = ()
    keep_open: Sequence[StoredMessage] = ()
    close: Collection[str] = ()
    remove: Collection[str] = ()
    to_dead_letters: Mapping[str, str] = field(default_factory=dict)
    age_seconds: float = 0.0


class MessageStore(Protocol):
    """Where rows lie. Every method may raise StoreError.

    Attributes:
        age_seconds: the outbox's age as of the last change.
        damage: what became of a damaged store, in a sentence; None where there was none.
        lost: messages that damage has cost since this was last set to 0.

    """

    age_seconds: float
    damage: str | None
    lost: int

    def apply(self, change: Change) -> None:
        """Do all of `change`, or nothing."""

    def trim(self, max_messages: int, born_before_seconds: float, keep: Collection[str]) -> int:
        """Take away the oldest rows beyond `max_messages` and those too old, none of `keep`; how many, at most TRIM_MESSAGES."""
        ...

    def oldest(self, limit: int) -> list[StoredMessage]:
        """The first rows in the order they were put there."""
        ...

    def count(self) -> int:
        """Number of rows."""
        ...

    def open_events(self) -> list[StoredMessage]:
        """The start messages of events that no end has closed, in order."""
        ...

    def dead_letters(self) -> list[tuple[Message, str]]:
        """The newest refused messages with the broker's reasons."""
        ...

    def close(self) -> None:
        """Let go of it."""


class MemoryStore:
    """Rows that last as long as the process."""

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
        """Whether a row of this key lies here."""
        return key in self._rows

    def is_open(self, event: str) -> bool:
        """Whether the start of this event was put here and its end was not."""
        return event in self._open

    def is_empty(self) -> bool:
        """Whether there is nothing to export to another store."""
        return not self._rows and not self._open

    def dead_letters(self) -> list[tuple[Message, str]]:
        """As MessageStore."""
        return list(self._dead)

    def export_change(self, born_seconds: float) -> Change:
        """Everything that another store needs to take this one's place, as if born now. Nothing changes here."""
        rows = [replace(row, born_seconds=born_seconds) for row in self._rows.values()]
        return Change(add=rows, keep_open=[row for row in self._open.values() if row.key not in self._rows])

    def discard_exported(self, change: Change) -> None:
        """Discard what another store has taken over; what has come since stays."""
        for row in (*change.add, *change.keep_open):
            self._rows.pop(row.key, None)
            self._open.pop(started(row.key) or row.key, None)

    def close(self) -> None:
        """As MessageStore."""
