"""Outbox: events that wait for the broker or are in flight, with limits on number and age."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from edge_detector.executor import Pending, Run, at_once
from edge_detector.mqtt.message_store import (
    TRIM_MESSAGES,
    Change,
    MemoryStore,
    MessageStore,
    StoredMessage,
    StoreError,
    ended,
    started,
)
from edge_detector.types import Message

T = TypeVar("T")

IN_FLIGHT = 20
"""Limit of events sent twice after a crash: those unacknowledged, and those whose delivery is not on disk yet."""
FORGET_MESSAGES = IN_FLIGHT // 2
FORGET_SECONDS = 120.0
"""Deliveries are written with the next event, or at these limits, to spare flash cards writes."""
MEMORY_MESSAGES = 1_000
"""Limit of events in memory while the disk fails, and of deliveries not yet on disk."""
HANG_SECONDS = 7.0
"""Time limit of a turn; beyond it the disk counts as hanging, and events are sent from memory."""
OPEN_SECONDS = 20.0
"""Longest wait for the disk at the start."""
CLOSE_SECONDS = 1.0
RETRY_DISK_SECONDS = 10.0
AGE_EVERY_SECONDS = 60.0
TEST_WRITE_SECONDS = 600.0
"""Interval of test writes without events, which detect a failed disk without wearing a flash card."""
_HANGS = "the disk does not answer; check its cable, its power and its health"


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


@dataclass(frozen=True, slots=True)
class _Outstanding:
    """A turn in progress, and the keys of the rows that it writes."""

    change: Change | None
    keys: frozenset[str]
    limit: int
    since_seconds: float
    answer: Pending[Report]


class Outbox:
    """Events in order. An event is written to disk, then sent, and removed once it is acknowledged.

    The disk runs one turn at a time; later changes belong to the next turn. Only `open_events`, `close` and the constructor wait
    for it, with time limits. While it fails or hangs, new events stay in memory and are sent from there, and are written once it
    works again; `trouble` reports that they would not survive the process. Events already on disk stay there.

    Not thread-safe, but any thread may read the attributes.

    Args:
        open_store: opens the store on disk, raising StoreError; None for an outbox in memory.
        clock: monotonic time in seconds.
        max_messages: beyond this number the oldest event not in flight is dropped and counted.
        max_age_seconds: older events are dropped and counted. The age counts time in use, by the monotonic clock: a Raspberry
            Pi's wall clock may jump by years when the network returns.
        run: makes calls for the disk in order; by default on the caller's thread, so that `commit` returns after the write.

    Attributes:
        trouble: reason why events are not on disk, as a sentence, or None.
        damage: report on a damaged file, as a sentence, kept as long as this object exists, or None.
        depth: number of unacknowledged events.
        dropped_messages, refused_messages: counts since this object was created. Events lost to damage count as dropped.
        wake: called on the disk's thread after each turn; the user should then call `run_maintenance`.

    """

    def __init__(
        self,
        open_store: Callable[[], MessageStore] | None,
        clock: Callable[[], float],
        *,
        max_messages: int = 10_000,
        max_age_seconds: float = 7 * 86_400.0,
        run: Run = at_once,
    ) -> None:
        self._disk = None if open_store is None else Disk(open_store)
        self._run = run
        self._clock = clock
        self._max_messages = max_messages
        self._max_memory = max_messages if open_store is None else min(max_messages, MEMORY_MESSAGES)
        self._max_age_seconds = max_age_seconds
        self._memory = MemoryStore()  # events not on disk yet
        self._turn: _Outstanding | None = None
        self._hangs = False
        self._is_open = False
        self._rows: list[StoredMessage] = []  # the oldest rows on disk
        self._on_disk = 0
        self._in_flight: set[str] = set()
        self._unrecorded: set[str] = set()  # delivered, but not removed on disk yet
        self._settled_in_turn: set[str] = set()  # acknowledged or refused while the current turn writes them
        self._unrecorded_refusals: dict[str, str] = {}  # refused, but not a dead letter on disk yet
        self._ended: set[str] = set()  # events whose end is not on disk yet
        self._age_offset_seconds = -clock()
        self._next_retry_seconds = self._forget_by_seconds = clock()
        self._next_aging_seconds = clock() + AGE_EVERY_SECONDS
        self._next_test_write_seconds = clock() + TEST_WRITE_SECONDS
        self.trouble: str | None = None
        self.damage: str | None = None
        self.depth = 0
        self.dropped_messages = 0
        self.refused_messages = 0
        self.wake: Callable[[], None] = lambda: None
        self._advance()
        self._wait(OPEN_SECONDS)

    def open_events(self) -> list[Message]:
        """Return the start messages of open events; before the first commit, those that a crash interrupted."""
        on_disk: list[StoredMessage] = []
        return [row.message for row in self._ask(lambda store: store.open_events(), on_disk) + self._memory.open_events()]

    def forget(self, start: Message) -> None:
        """Mark the event of this start message as ended, without an end message."""
        event = started(start.message_id or "")
        if event is not None and self._disk is not None:
            self._ended.add(event)
            self._advance()

    def dead_letters(self) -> list[tuple[Message, str]]:
        """Return the newest messages that the broker refused, with its reasons. They are not sent again."""
        on_disk: list[tuple[Message, str]] = []
        return self._ask(lambda store: store.dead_letters(), on_disk) + self._memory.dead_letters()

    def commit(self, added: Sequence[Message], delivered: Collection[str] = (), refused: Mapping[str, str] | None = None) -> None:
        """Store new events, to be dequeued once on disk, and remove delivered and refused ones by message id."""
        self._add([StoredMessage(message.message_id or "", message, self._age_seconds) for message in added])
        self._apply_answers(delivered, refused or {})
        self._advance()
        if self._memory.count() > self._max_memory:
            self._trim_memory()

    def dequeue(self, limit: int = IN_FLIGHT) -> list[Message]:
        """Return the oldest events not in flight, up to `limit`, and mark them as in flight."""
        self._advance()
        unanswered = len(self._in_flight) + len(self._unrecorded) + len(self._settled_in_turn)
        # While the disk fails, a crash may send up to MEMORY_MESSAGES again.
        room = min(limit, IN_FLIGHT - (len(self._in_flight) if self.trouble is not None else unanswered))
        taken = [row for row, _ in zip(self._free(), range(room), strict=False)]
        self._in_flight.update(row.key for row in taken)
        return [row.message for row in taken]

    def release(self, keys: Collection[str] | None = None) -> None:
        """Mark these events, or all, as not in flight; they wait again in their old order."""
        self._in_flight.difference_update(list(self._in_flight) if keys is None else keys)

    @property
    def is_waiting(self) -> bool:
        """Whether a turn of the disk is in progress; then call `run_maintenance` each second."""
        return self._turn is not None

    def run_maintenance(self) -> None:
        """Retry a failed disk, test a working one, and drop events that are too old. Call it every few seconds."""
        if self._clock() >= self._next_aging_seconds and (self._disk is None or self.trouble is not None):
            self._next_aging_seconds = self._clock() + AGE_EVERY_SECONDS
            self._trim_memory()
        self._advance()

    def close(self) -> None:
        """Write what is still in memory, if the disk works, and close the store."""
        self._wait(0.0 if self._hangs else CLOSE_SECONDS)
        self._next_retry_seconds = self._forget_by_seconds = self._clock()
        for _ in range(3):  # to open it, to write, and to collect the result
            self._wait(0.0 if self._hangs else CLOSE_SECONDS)
        if self._disk is not None and self._turn is None:
            self._answer(self._run(self._disk.close, lambda: None), CLOSE_SECONDS)
            self._is_open = False

    @property
    def _age_seconds(self) -> float:
        return self._clock() + self._age_offset_seconds

    def _add(self, rows: list[StoredMessage]) -> None:
        for row in rows:
            event = ended(row.key)
            # The start of such an event may be open on disk, and would count as interrupted at the next start.
            if event and self._disk is not None and (not self._memory.is_open(event) or self._is_in_turn(f"{event}/start")):
                self._ended.add(event)
        self._memory.apply(Change(add=rows, age_seconds=self._age_seconds))

    def _apply_answers(self, delivered: Collection[str], refused: Mapping[str, str]) -> None:
        if not self._unrecorded:
            self._forget_by_seconds = self._clock() + FORGET_SECONDS
        for key in (*delivered, *refused):
            self._in_flight.discard(key)
            if self._memory.holds(key):
                if self._is_in_turn(key):
                    self._settled_in_turn.add(key)
            elif self._disk is not None and key in refused:
                self._unrecorded_refusals[key] = refused[key]
            elif self._disk is not None:
                self._unrecorded.add(key)
        self._memory.apply(Change(remove=delivered, to_dead_letters=refused, age_seconds=self._age_seconds))
        self.refused_messages += len(refused)

    def _is_in_turn(self, key: str) -> bool:
        return self._turn is not None and key in self._turn.keys

    def _free(self) -> Iterator[StoredMessage]:
        """Yield the events that may be dequeued, in order."""
        # Deliveries not on disk are limited, since a crash would send all of them again.
        if len(self._unrecorded) < MEMORY_MESSAGES:
            yield from self._free_on_disk()
        if self._disk is None or self.trouble is not None:
            yield from (row for row in self._memory.oldest(IN_FLIGHT + len(self._in_flight)) if row.key not in self._in_flight)

    def _free_on_disk(self) -> Iterator[StoredMessage]:
        gone = self._in_flight, self._unrecorded, self._settled_in_turn, self._unrecorded_refusals
        return (row for row in self._rows if not any(row.key in keys for keys in gone))

    def _advance(self) -> None:
        """Collect the result of a finished turn and start the next one."""
        self._collect()
        for _ in range(3):  # a disk without a thread is opened, written and read at once
            turn = self._next_turn() if self._disk is not None and self._turn is None else None
            if turn is None:
                break
            self._start_turn(turn)
            self._collect()
        on_disk = self._on_disk - len(self._unrecorded) - len(self._unrecorded_refusals)
        self.depth = max(0, on_disk) + self._memory.count()

    def _next_turn(self) -> Turn | None:
        now = self._clock()
        may_try = now >= self._next_retry_seconds
        if not self._is_open:  # the stored age must be known before rows are dated
            return Turn(None, None, self._limit) if may_try else None
        if may_try if self.trouble is not None else self._has_changes(now):
            self._next_test_write_seconds = now + TEST_WRITE_SECONDS
            return Turn(self._change(), self._trim(now), self._limit)
        if self.trouble is None and now >= self._next_aging_seconds:
            return Turn(None, self._trim(now), self._limit)
        return Turn(None, None, self._limit) if self._wants_rows else None

    def _has_changes(self, now: float) -> bool:
        """Return whether the disk has to be written to."""
        if not self._memory.is_empty() or self._unrecorded_refusals or self._ended or now >= self._next_test_write_seconds:
            return True
        backlog = self._on_disk > len(self._rows) or next(self._free_on_disk(), None) is not None
        return bool(self._unrecorded) and (backlog or len(self._unrecorded) >= FORGET_MESSAGES or now >= self._forget_by_seconds)

    @property
    def _wants_rows(self) -> bool:
        """Whether the disk has unread rows, and all rows read are in flight or settled."""
        unread = self._on_disk > len(self._rows) and len(self._unrecorded) < MEMORY_MESSAGES
        return unread and next(self._free_on_disk(), None) is None

    @property
    def _limit(self) -> int:
        return 2 * IN_FLIGHT + len(self._in_flight) + len(self._unrecorded) + len(self._unrecorded_refusals)

    def _change(self) -> Change:
        age_seconds = self._age_seconds
        return dataclasses.replace(
            self._memory.export_change(age_seconds),
            close=frozenset(self._ended),
            remove=frozenset(self._unrecorded),
            to_dead_letters=dict(self._unrecorded_refusals),
            age_seconds=age_seconds,
        )

    def _trim(self, now: float) -> Trim | None:
        crowded = self._on_disk + self._memory.count() > self._max_messages
        if not crowded and now < self._next_aging_seconds:
            return None
        self._next_aging_seconds = now + AGE_EVERY_SECONDS
        return Trim(self._max_messages, self._age_seconds - self._max_age_seconds, frozenset(self._in_flight))

    def _trim_memory(self) -> None:
        keep = self._in_flight if self._turn is None else self._in_flight | self._turn.keys
        self.dropped_messages += self._memory.trim(self._max_memory, self._age_seconds - self._max_age_seconds, keep)
        self._advance()

    def _start_turn(self, turn: Turn) -> None:
        disk, change = self._disk, turn.change
        if disk is None:
            return
        keys = frozenset(row.key for row in (*change.add, *change.keep_open)) if change is not None else frozenset()
        self._turn = _Outstanding(change, keys, turn.limit, self._clock(), self._run(lambda: disk.do(turn), self.wake))

    def _collect(self) -> None:
        turn = self._turn
        if turn is None:
            return
        if turn.answer.done():
            self._turn = None
            self._apply_report(turn, turn.answer.result())
        elif self._clock() - turn.since_seconds >= HANG_SECONDS:
            self._report_hang()

    def _apply_report(self, turn: _Outstanding, report: Report) -> None:
        if self._hangs:
            self._hangs = False
            self._next_retry_seconds = self._clock()
        self.dropped_messages += report.dropped + report.lost
        self.damage = report.damage or self.damage
        self._rows = report.rows
        self._on_disk = report.count if len(report.rows) >= turn.limit else len(report.rows)
        if report.dropped >= TRIM_MESSAGES:
            self._next_aging_seconds = self._clock()
        if report.error is not None:
            self._is_open = not report.error.reopen
            self._settled_in_turn.clear()
            self._fail(str(report.error))
            return
        if not self._is_open:
            self._is_open = True
            # The stored age includes earlier processes.
            self._age_offset_seconds = max(self._age_offset_seconds, report.age_seconds - self._clock())
        if turn.change is not None:
            self._apply_written(turn.change)

    def _apply_written(self, change: Change) -> None:
        self.trouble = None
        self._memory.discard_exported(change)
        self._unrecorded.difference_update(change.remove)
        self._unrecorded |= self._settled_in_turn
        self._settled_in_turn.clear()
        self._ended.difference_update(change.close)
        for key in change.to_dead_letters:
            self._unrecorded_refusals.pop(key, None)

    def _fail(self, reason: str) -> None:
        self.trouble = f"events wait in memory and would not survive a restart: {reason}"
        self._next_retry_seconds = self._clock() + RETRY_DISK_SECONDS

    def _report_hang(self) -> None:
        self._hangs = True
        self._fail(_HANGS)

    def _wait(self, seconds: float) -> None:
        """Wait up to this time for the turn in progress."""
        if self._turn is not None and not self._answer(self._turn.answer, seconds):
            self._report_hang()
        self._advance()

    def _answer(self, pending: Pending[object], seconds: float) -> bool:
        try:
            pending.result(seconds)
        except TimeoutError:
            return False
        return True

    def _ask(self, question: Callable[[MessageStore], T], otherwise: T) -> T:
        disk = self._disk
        self._wait(OPEN_SECONDS)
        if disk is None or self._turn is not None:
            return otherwise
        answer = self._run(lambda: disk.query(question, otherwise), self.wake)
        return answer.result() if self._answer(answer, OPEN_SECONDS) else otherwise
