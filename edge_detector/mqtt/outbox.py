"""The outbox: which events wait for the broker, which are on their way, and what happens when there is no room for them."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edge_detector.mqtt.message_store import TRIM_MESSAGES, Change, MemoryStore, MessageStore, StoredMessage, ended, started
from edge_detector.mqtt.store_thread import Disk, Pending, Report, Run, Trim, Turn, at_once
from edge_detector.types import Message

Answer = TypeVar("Answer")

IN_FLIGHT = 20
"""After a crash no more than these are sent again: what the broker has not answered for, and what the disk has not been told."""
FORGET_MESSAGES = IN_FLIGHT // 2
FORGET_SECONDS = 120.0
"""Deliveries are told to the disk with the next event, or by these bounds: each write of its own costs a flash card some life."""
MEMORY_MESSAGES = 1_000
"""Bound of what waits in memory while the disk fails, and of deliveries that the disk has not been told of."""
HANG_SECONDS = 7.0
"""A disk that takes longer for one turn hangs: it is said, and events leave from memory as if it had failed."""
OPEN_SECONDS = 20.0
"""A start waits no longer than this for the disk."""
CLOSE_SECONDS = 1.0
RETRY_DISK_SECONDS = 10.0
AGE_EVERY_SECONDS = 60.0
TEST_WRITE_SECONDS = 600.0
"""How often the disk is written to although nothing happens: seldom enough for a flash card, and no year passes unnoticed."""
_HANGS = "the disk does not answer; check its cable, its power and its health"


@dataclass(frozen=True, slots=True)
class _Outstanding:
    """A turn that the disk has been given, and what it will know once that is done."""

    change: Change | None
    keys: frozenset[str]
    limit: int
    since_seconds: float
    answer: Pending[Report]


class Outbox:
    """Events in the order they were decided. One is decided when it is on disk, is sent then, and leaves when acknowledged.

    The disk is given one turn at a time; what has come meanwhile is the next one's. Only `open_events`, `close` and the
    constructor wait for it, and not for long. While it fails or hangs, new events wait in memory, leave from there, and are
    carried over when it works again; they would not survive the process, so `trouble` says it. What reached the disk before
    stays there.

    One thread at a time may use it; the attributes may be read by any.

    Args:
        open_store: opens the store on disk, raising StoreError; None for an outbox that is in memory by choice.
        clock: monotonic time in seconds.
        max_messages: beyond it the oldest that is not on its way is dropped and counted.
        max_age_seconds: what is older is dropped and counted. Only time in which the outbox was in use counts, by the monotonic
            clock: a Pi's wall clock may jump by years at the very moment the network, and the broker with it, comes back.
        run: makes calls for the disk one after another; by default on the caller's thread, so that `commit` returns when the
            disk has what it was given.

    Attributes:
        trouble: why events are not on disk although they should be, in a sentence; None when all is well.
        damage: what became of a damaged file, in a sentence, for as long as this object lives; None where there was none.
        depth: events that the broker has not acknowledged.
        dropped_messages, refused_messages: since this object was made. What damage has cost counts as dropped.
        wake: called when the disk has done its turn, on its thread; whoever uses the outbox should then call `run_maintenance`.

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
        self._memory = MemoryStore()  # what the disk has not got yet
        self._turn: _Outstanding | None = None
        self._hangs = False
        self._is_open = False
        self._rows: list[StoredMessage] = []  # the oldest on disk
        self._on_disk = 0
        self._in_flight: set[str] = set()
        self._unrecorded: set[str] = set()  # settled, but the disk has not been told
        self._settled_in_turn: set[str] = set()  # settled while the disk was about to get them
        self._unrecorded_refusals: dict[str, str] = {}  # refused, but the disk has not been told
        self._ended: set[str] = set()  # events whose end the disk has not been told
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
        """The start messages of events that no end has closed; before anything is published, those that a crash interrupted."""
        on_disk: list[StoredMessage] = []
        return [row.message for row in self._ask(lambda store: store.open_events(), on_disk) + self._memory.open_events()]

    def forget(self, start: Message) -> None:
        """Take the event of this start message for ended, although nobody says so."""
        event = started(start.message_id or "")
        if event is not None and self._disk is not None:
            self._ended.add(event)
            self._advance()

    def dead_letters(self) -> list[tuple[Message, str]]:
        """The newest messages that the broker refused, with its reasons. They are not tried again."""
        on_disk: list[tuple[Message, str]] = []
        return self._ask(lambda store: store.dead_letters(), on_disk) + self._memory.dead_letters()

    def commit(self, added: Sequence[Message], delivered: Collection[str] = (), refused: Mapping[str, str] | None = None) -> None:
        """Keep new events, which can be taken once they are on disk, and take out delivered and refused ones, by message id."""
        self._add([StoredMessage(message.message_id or "", message, self._age_seconds) for message in added])
        self._apply_answers(delivered, refused or {})
        self._advance()
        if self._memory.count() > self._max_memory:
            self._trim_memory()

    def dequeue(self, limit: int = IN_FLIGHT) -> list[Message]:
        """The oldest events that are not on their way, as many as may be; from now on they are on their way."""
        self._advance()
        unanswered = len(self._in_flight) + len(self._unrecorded) + len(self._settled_in_turn)
        # While the disk fails a crash may send more again: as many as MEMORY_MESSAGES.
        room = min(limit, IN_FLIGHT - (len(self._in_flight) if self.trouble is not None else unanswered))
        taken = [row for row, _ in zip(self._free(), range(room), strict=False)]
        self._in_flight.update(row.key for row in taken)
        return [row.message for row in taken]

    def release(self, keys: Collection[str] | None = None) -> None:
        """These events, or all, are not on their way any more: they wait again, in their old places."""
        self._in_flight.difference_update(list(self._in_flight) if keys is None else keys)

    @property
    def is_waiting(self) -> bool:
        """Whether the disk has something to do: `run_maintenance` is then to be called each second."""
        return self._turn is not None

    def run_maintenance(self) -> None:
        """To be called every few seconds: tries the disk, often while it fails and else seldom, and drops what is too old."""
        if self._clock() >= self._next_aging_seconds and (self._disk is None or self.trouble is not None):
            self._next_aging_seconds = self._clock() + AGE_EVERY_SECONDS
            self._trim_memory()
        self._advance()

    def close(self) -> None:
        """Let go of the disk, once it has all that it will take. What is on it is sent by whoever opens it next."""
        self._wait(0.0 if self._hangs else CLOSE_SECONDS)
        self._next_retry_seconds = self._forget_by_seconds = self._clock()
        for _ in range(3):  # to open it, to write, and to hear of it
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
            # The start of such an event may be open on disk, where it would look interrupted for ever.
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
        """What may be taken, in order."""
        # Deliveries that the disk cannot be told of are bounded: a crash would send as many again.
        if len(self._unrecorded) < MEMORY_MESSAGES:
            yield from self._free_on_disk()
        if self._disk is None or self.trouble is not None:
            yield from (row for row in self._memory.oldest(IN_FLIGHT + len(self._in_flight)) if row.key not in self._in_flight)

    def _free_on_disk(self) -> Iterator[StoredMessage]:
        gone = self._in_flight, self._unrecorded, self._settled_in_turn, self._unrecorded_refusals
        return (row for row in self._rows if not any(row.key in keys for keys in gone))

    def _advance(self) -> None:
        """Hear what the disk has done, and give it its next turn."""
        self._collect()
        for _ in range(3):  # a disk without a thread does it at once: is opened, written and read
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
        if not self._is_open:  # its age is to be known before anything is dated by it
            return Turn(None, None, self._limit) if may_try else None
        if may_try if self.trouble is not None else self._has_changes(now):
            self._next_test_write_seconds = now + TEST_WRITE_SECONDS
            return Turn(self._change(), self._trim(now), self._limit)
        if self.trouble is None and now >= self._next_aging_seconds:
            return Turn(None, self._trim(now), self._limit)
        return Turn(None, None, self._limit) if self._wants_rows else None

    def _has_changes(self, now: float) -> bool:
        """Whether the disk is to be written to."""
        if not self._memory.is_empty() or self._unrecorded_refusals or self._ended or now >= self._next_test_write_seconds:
            return True
        backlog = self._on_disk > len(self._rows) or next(self._free_on_disk(), None) is not None
        return bool(self._unrecorded) and (backlog or len(self._unrecorded) >= FORGET_MESSAGES or now >= self._forget_by_seconds)

    @property
    def _wants_rows(self) -> bool:
        """Whether more lie on disk than have been read, and all that have been are on their way or gone."""
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
            # The disk has seen more than this process, whose rows are then young.
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
        """Give the disk so long to do its turn."""
        if self._turn is not None and not self._answer(self._turn.answer, seconds):
            self._report_hang()
        self._advance()

    def _answer(self, pending: Pending[object], seconds: float) -> bool:
        try:
            pending.result(seconds)
        except TimeoutError:
            return False
        return True

    def _ask(self, question: Callable[[MessageStore], Answer], otherwise: Answer) -> Answer:
        disk = self._disk
        self._wait(OPEN_SECONDS)
        if disk is None or self._turn is not None:
            return otherwise
        answer = self._run(lambda: disk.ask(question, otherwise), self.wake)
        return answer.result() if self._answer(answer, OPEN_SECONDS) else otherwise
