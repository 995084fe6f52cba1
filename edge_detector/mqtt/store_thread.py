"""What the outbox asks of its disk: one turn at a time, on whatever thread the disk has, so that nobody else waits for it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from edge_detector.mqtt.message_store import Change, MessageStore, StoredMessage, StoreError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """The answer to a call that may still be on its way; concurrent.futures.Future is one."""

    def done(self) -> bool:
        """Whether the answer is there."""
        ...

    def result(self, timeout: float | None = None) -> T_co:
        """The answer, waiting for it if need be. Raises TimeoutError."""
        ...


class Run(Protocol):
    """Makes one call after another, somewhere, and calls `then` there when each has ended."""

    def __call__(self, call: Callable[[], T], then: Callable[[], None]) -> Pending[T]:
        """Take `call` and return at once, unless the call is made right here."""
        ...


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    answer: T

    def done(self) -> bool:
        return True

    def result(self, timeout: float | None = None) -> T:  # noqa: ARG002 - there is nothing to wait for
        return self.answer


def at_once(call: Callable[[], T], then: Callable[[], None]) -> Pending[T]:
    """Make the call on the caller's own thread."""
    done = _Done(call())
    then()
    return done


@dataclass(frozen=True, slots=True)
class Trim:
    """The bounds of the store, as in MessageStore.trim."""

    max_messages: int
    born_before_seconds: float
    keep: Collection[str]


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done, in this order; `limit` is how many of the oldest rows are to be read afterwards."""

    change: Change | None
    trim: Trim | None
    limit: int


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a turn.

    Attributes:
        error: why it could not be done; nothing was changed then.
        rows, count: the oldest rows, and how many there are; none of a store that cannot be read.
        dropped: rows that were trimmed.
        lost, damage: messages that a damaged file has cost, and the sentence on it.
        age_seconds: the outbox's age as the store has it.

    """

    error: StoreError | None
    rows: list[StoredMessage] = field(default_factory=list)
    count: int = 0
    dropped: int = 0
    lost: int = 0
    damage: str | None = None
    age_seconds: float = 0.0


class Disk:
    """A store that is opened when it is needed, and again after an error that asks for it. For one thread."""

    def __init__(self, open_store: Callable[[], MessageStore]) -> None:
        self._open_store = open_store
        self._store: MessageStore | None = None

    def do(self, turn: Turn) -> Report:
        """Make one turn."""
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

    def ask(self, question: Callable[[MessageStore], T], otherwise: T) -> T:
        """The store's answer, or `otherwise` where it has none."""
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
