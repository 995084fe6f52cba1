"""Requests of the outbox to its database, one turn at a time, on the thread of the disk."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from edge_detector.mqtt.message_store import Change, MessageStore, StoredMessage, StoreError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """Result of a call that may still run; concurrent.futures.Future is one."""

    def done(self) -> bool:
        """Return whether the call has ended."""
        ...

    def result(self, timeout: float | None = None) -> T_co:
        """Wait for the result and return it. Raises TimeoutError."""
        ...


class Run(Protocol):
    """Executor that makes calls in order on one thread, and calls `then` there after each."""

    def __call__(self, call: Callable[[], T], then: Callable[[], None]) -> Pending[T]:
        """Queue `call` and return at once, or make the call on this thread."""
        ...


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    answer: T

    def done(self) -> bool:
        return True

    def result(self, timeout: float | None = None) -> T:  # noqa: ARG002 - the result is known
        return self.answer


def at_once(call: Callable[[], T], then: Callable[[], None]) -> Pending[T]:
    """Make the call on the caller's own thread."""
    done = _Done(call())
    then()
    return done


@dataclass(frozen=True, slots=True)
class Trim:
    """Limits of the store, as in MessageStore.trim."""

    max_messages: int
    born_before_seconds: float
    keep: Collection[str]


@dataclass(frozen=True, slots=True)
class Turn:
    """Steps of one turn, in this order; afterwards the `limit` oldest rows are read."""

    change: Change | None
    trim: Trim | None
    limit: int


@dataclass(frozen=True, slots=True)
class Report:
    """Result of a turn.

    Attributes:
        error: reason of a failure; nothing was changed then.
        rows, count: oldest rows and number of all rows; empty if the store cannot be read.
        dropped: number of trimmed rows.
        lost, damage: messages lost with a damaged file, and the sentence on it.
        age_seconds: age of the outbox in the store.

    """

    error: StoreError | None
    rows: list[StoredMessage] = field(default_factory=list)
    count: int = 0
    dropped: int = 0
    lost: int = 0
    damage: str | None = None
    age_seconds: float = 0.0


class Disk:
    """A store that is opened on first use, and again after an error that requires it. Not thread-safe."""

    def __init__(self, open_store: Callable[[], MessageStore]) -> None:
        self._open_store = open_store
        self._store: MessageStore | None = None

    def do(self, turn: Turn) -> Report:
        """Run one turn and return its result."""
        dropped = 0
        error = None
        try:
            store = self._opened()
            if turn.change is not None:
                store.apply(turn.change)
            if turn.trim is not None:
                dropped = store.trim(turn.trim.max_messages, turn.trim.born_before_seconds, turn.trim.keep)
        except StoreError as failure:
            error = failure
        if error is not None and error.reopen:
            return self._failed(error)
        try:
            store = self._opened()
            rows, count = store.oldest(turn.limit), store.count()
        except StoreError as failure:
            return self._failed(error or failure)
        lost, store.lost = store.lost, 0
        return Report(error, rows, count, dropped, lost, store.damage, store.age_seconds)

    def query(self, question: Callable[[MessageStore], T], otherwise: T) -> T:
        """Query the store; returns `otherwise` if it is closed or fails."""
        try:
            return otherwise if self._store is None else question(self._store)
        except StoreError:
            return otherwise

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _opened(self) -> MessageStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _failed(self, error: StoreError) -> Report:
        lost, damage = (self._store.lost, self._store.damage) if self._store is not None else (0, None)
        self.close()
        return Report(StoreError(str(error), reopen=True), lost=lost, damage=damage)
