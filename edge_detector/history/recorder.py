"""Recorder: writes events and probabilities on a thread of its own; a slow or failed disk delays nothing else."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from edge_detector.disk_thread import DiskThread
from edge_detector.history.probabilities import Block
from edge_detector.history.probability_writer import ProbabilityWriter
from edge_detector.history.records import recorded_event
from edge_detector.history.store import HistoryError, HistoryStore
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

BATCH_SECONDS = 5.0
"""Longest time that an event waits for others, to be written with them."""
BATCH_EVENTS = 100
MOST_WAITING = 1_000
RETRY_SECONDS = 10.0
UPKEEP_SECONDS = 3_600.0


class Recorder(DiskThread):
    """Writes event messages into a store, in batches. Events beyond `MOST_WAITING` are lost to the history and counted.

    Args:
        open_store: opens the store, raising HistoryError; called on the recorder's thread, and again after an error.
        probabilities: writes blocks of probabilities after the events; None where none are stored.
        batch_seconds: an event is written after so long, or with the 100th that waits.

    Attributes:
        trouble: why events are not written now, as a sentence, or None.
        damage: report on a damaged or deleted file, as a sentence, kept as long as this object exists, or None.
        lost: events that are missing from the history.

    """

    def __init__(
        self,
        open_store: Callable[[], HistoryStore],
        probabilities: ProbabilityWriter | None = None,
        *,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        super().__init__()
        self._open_store = open_store
        self._probabilities = probabilities
        self._batch_seconds = batch_seconds
        self._store: HistoryStore | None = None
        self._interrupted_ended = False
        self._waiting: deque[Message] = deque()
        self._oldest_at_seconds = self._next_upkeep_seconds = self._next_try_seconds = 0.0
        self._told_lost = 0
        self.trouble: str | None = None
        self.damage: str | None = None
        self.lost = 0
        self._begin("history")

    @property
    def troubles(self) -> tuple[str, ...]:
        """Everything wrong with the history, one sentence each."""
        if (hang := self._hang) is not None:
            return (f"the history is not written: {hang}",)
        probabilities = self._probabilities.trouble if self._probabilities is not None else None
        return tuple(filter(None, (self.damage, self.trouble, probabilities)))

    @property
    def lost_blocks(self) -> int:
        """Blocks of probabilities, of five minutes each, that could not be stored."""
        return self._probabilities.lost if self._probabilities is not None else 0

    def put_block(self, block: Block) -> None:
        """Take a block of probabilities, and return at once; without a writer for them nothing happens."""
        if self._probabilities is not None:
            self._probabilities.put(block)
            with self._wake:
                self._wake.notify()

    def put(self, message: Message) -> None:
        """Take the message of an event's start or end, and return at once."""
        with self._wake:
            if len(self._waiting) >= MOST_WAITING:
                self.lost += 1
                return
            self._waiting.append(message)
            if len(self._waiting) == 1:
                self._oldest_at_seconds = time.monotonic()
            if len(self._waiting) in (1, BATCH_EVENTS):
                self._wake.notify()

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            with self._timed_turn():
                is_written = batch is None or self._turn(batch)
                if self._probabilities is not None and self._blocks_due_in_seconds() <= 0.0:
                    self._probabilities.turn()
            if self._closing and (not self._waiting or not is_written):
                break
        self._close_store()

    def _next_batch(self) -> list[Message] | None:
        """Wait until something is to be done; returns the messages to be written, which still wait, or None for blocks alone."""
        with self._wake:
            while (seconds := min(self._due_in_seconds(), self._blocks_due_in_seconds())) > 0.0:
                self._wake.wait(seconds)
            return list(islice(self._waiting, BATCH_EVENTS)) if self._due_in_seconds() <= 0.0 else None

    def _blocks_due_in_seconds(self) -> float:
        if self._probabilities is None:
            return math.inf
        return 0.0 if self._closing else self._probabilities.due_seconds - time.monotonic()

    def _due_in_seconds(self) -> float:
        if self._closing:
            return 0.0
        due_seconds = self._next_upkeep_seconds
        if len(self._waiting) >= BATCH_EVENTS:
            due_seconds = 0.0
        elif self._waiting:
            due_seconds = min(due_seconds, self._oldest_at_seconds + self._batch_seconds)
        return max(due_seconds, self._next_try_seconds) - time.monotonic()

    def _turn(self, batch: list[Message]) -> bool:
        """Write a batch, and remove what is too old; whether that succeeded. A batch that is not written waits again."""
        try:
            store = self._opened()
            if batch:
                self._apply(store, batch)
            more = store.trim(round(1e3 * time.time()))
        except HistoryError as error:
            self._fail(error)
            return False
        self._next_upkeep_seconds = 0.0 if more else time.monotonic() + UPKEEP_SECONDS
        if self.trouble is not None:
            LOG.info("the history is written again; %d events are missing from it", self.lost)
        elif self.lost > self._told_lost:
            LOG.warning("%d events so far are missing from the history, which could not take them", self.lost)
        self.trouble, self._told_lost = None, self.lost
        return True

    def _apply(self, store: HistoryStore, batch: list[Message]) -> None:
        events, unreadable = [], 0
        for message in batch:
            try:
                events.append(recorded_event(message))
            except ValueError as error:  # the start of an interrupted event, damaged on the disk
                LOG.debug("%s", error)
                unreadable += 1
        store.apply(events)
        with self._wake:
            for _ in batch:
                self._waiting.popleft()
            self._oldest_at_seconds = time.monotonic()
            self.lost += unreadable

    def _opened(self) -> HistoryStore:
        if self._store is None:
            self._store = self._open_store()
        if not self._interrupted_ended:  # once, since later the open events are this process's own
            self._store.close_open_events()
            self._interrupted_ended = True
        return self._store

    def _fail(self, error: HistoryError) -> None:
        if error.reopen:
            self._close_store()
        if error.renewed:
            self.damage = str(error)
            LOG.error("%s", self.damage)
            return
        self._next_try_seconds = time.monotonic() + RETRY_SECONDS
        if self.trouble is None:
            self.trouble = f"the history is not written: {error}"
            LOG.error("%s", self.trouble)

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
