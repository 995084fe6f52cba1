"""The outbox: which events wait for the broker, which are on their way, and what happens when there is no room for them."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from edge_detector.core.shelf import Change, MemoryShelf, Row, Shelf, ShelfError, ended, started
from edge_detector.types import Message

Answer = TypeVar("Answer")

IN_FLIGHT = 20
"""Events the broker may owe us an answer for at one time: after a crash no more than these are sent again."""
MEMORY_MESSAGES = 1_000
"""Bound of what waits in memory while the disk fails, and of deliveries that the disk has not been told of."""
MEND_EVERY_SECONDS = 10.0
AGE_EVERY_SECONDS = 60.0
PROVE_EVERY_SECONDS = 600.0
"""How often the disk is written to although nothing happens: seldom enough for a flash card, and no year passes unnoticed."""


class Outbox:
    """Events in the order they were decided. An event is decided when `commit` returns and leaves on a good acknowledgement.

    While the disk fails, new events wait in memory and are carried over when it works again; they would not survive the
    process, so `trouble` says it. What reached the disk before stays there.

    One thread at a time may use it; the attributes may be read by any.

    Args:
        open_shelf: opens the shelf on disk, raising ShelfError; None for an outbox that is in memory by choice.
        clock: monotonic time in seconds.
        max_messages: beyond it the oldest that is not on its way is dropped and counted.
        max_age_seconds: what is older is dropped and counted. Only time in which the outbox was in use counts, by the monotonic
            clock: a Pi's wall clock may jump by years at the very moment the network, and the broker with it, comes back.

    Attributes:
        trouble: why events are not on disk although they should be, in a sentence; None when all is well.
        depth: events that the broker has not acknowledged.
        dropped_messages, refused_messages: since this object was made.

    """

    def __init__(
        self,
        open_shelf: Callable[[], Shelf] | None,
        clock: Callable[[], float],
        *,
        max_messages: int = 10_000,
        max_age_seconds: float = 7 * 86_400.0,
    ) -> None:
        self._open_shelf = open_shelf
        self._clock = clock
        self._max_messages = max_messages
        self._max_memory = max_messages if open_shelf is None else min(max_messages, MEMORY_MESSAGES)
        self._max_age_seconds = max_age_seconds
        self._disk: Shelf | None = None
        self._memory = MemoryShelf()
        self._in_flight: dict[str, bool] = {}  # whether it lies on disk
        self._owed: set[str] = set()  # settled, but the disk has not been told
        self._ended: set[str] = set()  # events whose end the disk has not been told
        self._age_offset_seconds = -clock()
        self._next_mend_seconds = 0.0
        self._next_aging_seconds = clock() + AGE_EVERY_SECONDS
        self._next_proof_seconds = clock() + PROVE_EVERY_SECONDS
        self.trouble: str | None = None
        self.depth = 0
        self.dropped_messages = 0
        self.refused_messages = 0
        if open_shelf is not None:
            self._mend(open_shelf)
        self._count()

    def open_events(self) -> list[Message]:
        """The start messages of events that no end has closed; before anything is published, those that a crash interrupted."""
        on_disk: list[Row] = []
        return [row.message for row in self._on_disk(lambda disk: disk.open_events(), on_disk) + self._memory.open_events()]

    def forget(self, start: Message) -> None:
        """Take the event of this start message for ended, although nobody says so."""
        event = started(start.message_id or "")
        if event is not None:
            self._on_disk(lambda disk: _applied(disk, Change(close=[event], age_seconds=self._age_seconds)), otherwise=False)

    def dead_letters(self) -> list[tuple[Message, str]]:
        """The newest messages that the broker refused, with its reasons. They are not tried again."""
        on_disk: list[tuple[Message, str]] = []
        return self._on_disk(lambda disk: disk.dead_letters(), on_disk) + self._memory.dead_letters()

    def commit(self, added: Sequence[Message], delivered: Collection[str] = (), refused: Mapping[str, str] | None = None) -> None:
        """Keep new events, and take out delivered and refused ones, by message id: one transaction, on disk when it returns."""
        rows = [Row(message.message_id or "", message, self._age_seconds) for message in added]
        change = Change(add=rows, remove=delivered, bury=refused or {}, age_seconds=self._age_seconds)
        if self.trouble is not None or not self._on_disk(lambda disk: _applied(disk, change), otherwise=False):
            self._keep_in_memory(change)
        for key in (*change.remove, *change.bury):
            self._in_flight.pop(key, None)
        self.refused_messages += len(change.bury)
        self._count()
        if rows and (self.depth > self._max_messages or self._memory.count() > self._max_memory):
            self._trim()

    def take(self, limit: int = IN_FLIGHT) -> list[Message]:
        """The oldest events that are not on their way, as many as may be; from now on they are on their way."""
        room = min(limit, IN_FLIGHT - len(self._in_flight))
        if room <= 0 or self.depth <= len(self._in_flight):
            return []
        taken: list[Message] = []
        # Deliveries that the disk cannot be told of are bounded: a crash would send as many again.
        if len(self._owed) < MEMORY_MESSAGES:
            unavailable = len(self._in_flight) + len(self._owed)
            taken += self._send_off(self._on_disk(lambda disk: disk.oldest(room + unavailable), []), room, from_disk=True)
        rows = self._memory.oldest(IN_FLIGHT + room)
        return taken + self._send_off(rows, room - len(taken), from_disk=False)

    def release(self, keys: Collection[str] | None = None) -> None:
        """These events, or all, are not on their way any more: they wait again, in their old places."""
        for key in list(self._in_flight) if keys is None else keys:
            self._in_flight.pop(key, None)

    def tend(self) -> None:
        """To be called every few seconds: tries the disk, often while it fails and else seldom, and drops what is too old."""
        now = self._clock()
        if self.trouble is not None and self._open_shelf is not None and now >= self._next_mend_seconds:
            self._mend(self._open_shelf)
            self._count()
        if now >= self._next_proof_seconds:
            self._next_proof_seconds = now + PROVE_EVERY_SECONDS
            if self.trouble is None:
                self._on_disk(lambda disk: _applied(disk, Change(age_seconds=self._age_seconds)), otherwise=False)
        if now >= self._next_aging_seconds:
            self._next_aging_seconds = now + AGE_EVERY_SECONDS
            self._trim()

    def close(self) -> None:
        """Let go of the disk, once it has all that it will take. What is on it is sent by whoever opens it next."""
        if self.trouble is not None and self._open_shelf is not None:
            self._mend(self._open_shelf)
        self._let_go()

    def _let_go(self) -> None:
        if self._disk is not None:
            self._disk.close()
            self._disk = None

    @property
    def _age_seconds(self) -> float:
        return self._clock() + self._age_offset_seconds

    def _send_off(self, rows: list[Row], room: int, *, from_disk: bool) -> list[Message]:
        rows = [row for row in rows if row.key not in self._in_flight and row.key not in self._owed][:room]
        self._in_flight.update({row.key: from_disk for row in rows})
        return [row.message for row in rows]

    def _keep_in_memory(self, change: Change) -> None:
        if self._open_shelf is not None:
            self._owed.update(key for key in (*change.remove, *change.bury) if self._in_flight.get(key))
            # The start of such an event may be open on disk, where it would look interrupted for ever.
            events = (ended(row.key) for row in change.add)
            self._ended.update(event for event in events if event and not self._memory.is_open(event))
        self._memory.apply(change)

    def _mend(self, open_shelf: Callable[[], Shelf]) -> None:
        self._next_mend_seconds = self._clock() + MEND_EVERY_SECONDS
        if self._disk is None:
            try:
                self._disk = open_shelf()
            except ShelfError as error:
                self._fail(error)
                return
            # The disk has seen more than this process, whose rows are then young.
            self._age_offset_seconds = max(self._age_offset_seconds, self._disk.age_seconds - self._clock())
        handed_over = dataclasses.replace(
            self._memory.hand_over(self._age_seconds), close=self._ended, remove=self._owed, age_seconds=self._age_seconds
        )
        if self._on_disk(lambda disk: _applied(disk, handed_over), otherwise=False):
            self.trouble = None
            self._memory.clear()
            self._owed.clear()
            self._ended.clear()
            self._in_flight = dict.fromkeys(self._in_flight, True)

    def _fail(self, error: ShelfError) -> None:
        self.trouble = f"events wait in memory and would not survive a restart: {error}"
        self._next_mend_seconds = self._clock() + MEND_EVERY_SECONDS
        if error.reopen:
            self._let_go()

    def _trim(self) -> None:
        oldest_seconds = self._age_seconds - self._max_age_seconds
        dropped = self._memory.trim(self._max_memory, oldest_seconds, self._in_flight)
        if self.trouble is None:
            dropped += self._on_disk(lambda disk: disk.trim(self._max_messages, oldest_seconds, self._in_flight), 0)
        self.dropped_messages += dropped
        if dropped:
            self._count()

    def _count(self) -> None:
        on_disk = self._on_disk(lambda disk: disk.count(), 0)
        self.depth = max(0, on_disk - len(self._owed)) + self._memory.count()

    def _on_disk(self, do: Callable[[Shelf], Answer], otherwise: Answer) -> Answer:
        if self._disk is None:
            return otherwise
        try:
            return do(self._disk)
        except ShelfError as error:
            self._fail(error)
            return otherwise


def _applied(shelf: Shelf, change: Change) -> bool:
    shelf.apply(change)
    return True
