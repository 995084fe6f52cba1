"""The outbox's rules, on a disk that fails when told to and a clock that stands still."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from edge_detector.executor import Run, at_once
from edge_detector.mqtt.message_store import Change, MemoryStore, StoreError
from edge_detector.mqtt.outbox import (
    FORGET_SECONDS,
    HANG_SECONDS,
    IN_FLIGHT,
    MEMORY_MESSAGES,
    RETRY_DISK_SECONDS,
    TEST_WRITE_SECONDS,
    Outbox,
)
from edge_detector.types import Message

T = TypeVar("T")


class Disk(MemoryStore):
    """Keeps its rows while it is closed and opened; can be full, and can be pulled out."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.gone = False

    def open(self) -> "Disk":
        if self.gone:
            raise StoreError("the disk is gone", reopen=True)
        self.apply(Change(age_seconds=self.age_seconds))
        return self

    def apply(self, change: Change) -> None:
        if self.full or self.gone:
            raise StoreError("the disk is full" if self.full else "the disk is gone", reopen=self.gone)
        super().apply(change)

    def count(self) -> int:
        if self.gone:
            raise StoreError("the disk is gone", reopen=True)
        return super().count()


class Slow:
    """Makes calls when told to, as a thread does whose disk answers late."""

    def __init__(self) -> None:
        self.is_late = False
        self._calls: deque[Callable[[], None]] = deque()

    def __call__(self, call: Callable[[], T], then: Callable[[], None]) -> Future[T]:
        future: Future[T] = Future()

        def make() -> None:
            future.set_result(call())
            then()

        self._calls.append(make)
        if not self.is_late:
            self.answer()
        return future

    def answer(self) -> None:
        """The disk does all that it was given."""
        self.is_late = False
        while self._calls:
            self._calls.popleft()()


@dataclass
class Bench:
    """An outbox with what it stands on."""

    disk: Disk = field(default_factory=Disk)
    now_seconds: float = 100.0

    def outbox(self, max_messages: int = 100, max_age_seconds: float = 1e9, run: Run = at_once) -> Outbox:
        clock = lambda: self.now_seconds  # noqa: E731 - one line is enough
        return Outbox(self.disk.open, clock, max_messages=max_messages, max_age_seconds=max_age_seconds, run=run)

    def wait(self, outbox: Outbox, seconds: float) -> None:
        self.now_seconds += seconds
        outbox.run_maintenance()

    def on_disk(self) -> list[str]:
        return keys([row.message for row in self.disk.oldest(99)])

    def mend(self, outbox: Outbox) -> None:
        self.now_seconds += RETRY_DISK_SECONDS
        outbox.run_maintenance()


def event(key: str) -> Message:
    return Message("node/event", key.encode(), 1, retained=False, message_id=key)


def events(count: int, first: int = 0) -> list[Message]:
    return [event(f"{number}/start") for number in range(first, first + count)]


def keys(messages: list[Message]) -> list[str]:
    return [message.message_id or "" for message in messages]


def test_events_are_dequeued_in_order_up_to_the_window() -> None:
    outbox = Bench().outbox()
    outbox.commit(events(30))
    assert outbox.dequeue() == events(IN_FLIGHT)
    assert outbox.dequeue() == [], "the broker owes answers for a whole window"
    outbox.commit([], delivered=keys(events(3, first=5)))
    assert outbox.dequeue() == events(3, first=IN_FLIGHT)
    assert outbox.depth == 27


def test_after_a_lost_connection_events_in_flight_are_sent_again_in_order() -> None:
    outbox = Bench().outbox()
    outbox.commit(events(5))
    outbox.dequeue()
    outbox.commit([], delivered=["1/start"])
    outbox.release()
    assert keys(outbox.dequeue()) == ["0/start", "2/start", "3/start", "4/start"]


def test_a_message_id_is_stored_once() -> None:
    outbox = Bench().outbox()
    outbox.commit([event("0/start"), event("0/start")])
    outbox.commit([event("0/start")])
    assert outbox.depth == 1


def test_a_refused_message_is_a_dead_letter_and_not_sent_again() -> None:
    outbox = Bench().outbox()
    outbox.commit(events(2))
    outbox.dequeue()
    outbox.commit([], refused={"0/start": "Not authorized"})
    outbox.release()
    assert outbox.dequeue() == events(1, first=1)
    assert outbox.dead_letters() == [(event("0/start"), "Not authorized")]
    assert outbox.refused_messages == 1


def test_an_event_is_open_from_its_start_to_its_end_whether_or_not_they_were_delivered() -> None:
    outbox = Bench().outbox()
    outbox.commit([event("a/start"), event("b/start")])
    outbox.commit([], delivered=keys(outbox.dequeue()))
    assert outbox.open_events() == [event("a/start"), event("b/start")]
    outbox.commit([event("a/end")])
    assert outbox.open_events() == [event("b/start")]


def test_beyond_the_limit_the_oldest_event_not_in_flight_is_dropped_and_counted() -> None:
    outbox = Bench().outbox(max_messages=25)
    outbox.commit(events(25))
    outbox.dequeue()
    outbox.commit(events(2, first=25))
    assert outbox.dropped_messages == 2
    outbox.commit([], delivered=keys(events(IN_FLIGHT)))
    assert outbox.dequeue() == events(5, first=22), "20 and 21 had to go"


def test_events_too_old_are_dropped_and_only_time_in_use_counts() -> None:
    bench = Bench()
    outbox = bench.outbox(max_age_seconds=1_000.0)
    outbox.commit(events(1))
    bench.now_seconds += 900.0
    outbox.commit(events(1, first=1))
    outbox.close()
    bench.now_seconds += 1e6  # the machine was off; and its monotonic clock starts anywhere
    outbox = bench.outbox(max_age_seconds=1_000.0)
    outbox.run_maintenance()
    assert (outbox.depth, outbox.dropped_messages) == (2, 0)
    bench.now_seconds += 101.0
    outbox.run_maintenance()
    assert (outbox.dequeue(), outbox.dropped_messages) == (events(1, first=1), 1)


def test_while_the_disk_is_full_events_are_sent_and_the_trouble_is_reported() -> None:
    bench = Bench()
    outbox = bench.outbox()
    outbox.commit(events(3))
    assert outbox.trouble is None
    bench.disk.full = True
    outbox.commit(events(3, first=3))
    assert outbox.trouble == "events wait in memory and would not survive a restart: the disk is full"
    assert outbox.dequeue() == events(6)
    outbox.commit([], delivered=keys(events(2) + events(1, first=3)))
    outbox.release()
    assert outbox.dequeue() == [*events(1, first=2), *events(2, first=4)], "what was delivered is not sent again"
    assert outbox.depth == 3
    bench.mend(outbox)
    assert outbox.trouble is not None
    bench.disk.full = False
    bench.mend(outbox)
    assert outbox.trouble is None
    assert keys([row.message for row in bench.disk.oldest(99)]) == ["2/start", "4/start", "5/start"]
    assert outbox.dequeue() == [], "they are still on their way"
    outbox.commit([], delivered=["2/start", "4/start", "5/start"])
    outbox.close()
    assert (outbox.depth, bench.disk.count()) == (0, 0)


def test_an_event_that_ended_while_the_disk_was_full_does_not_look_interrupted_afterwards() -> None:
    bench = Bench()
    outbox = bench.outbox()
    outbox.commit([event("a/start"), event("b/start")])
    outbox.dequeue()
    bench.disk.full = True
    outbox.commit([event("a/end"), event("c/start"), event("d/start"), event("d/end")], delivered=["a/start", "b/start"])
    outbox.commit([], delivered=keys(outbox.dequeue()))
    bench.disk.full = False
    bench.mend(outbox)
    assert outbox.depth == 0
    assert keys([row.message for row in bench.disk.open_events()]) == ["b/start", "c/start"]


def test_a_disk_that_appears_late_receives_the_events_in_memory() -> None:
    bench = Bench()
    bench.disk.gone = True
    outbox = bench.outbox()
    assert outbox.trouble is not None
    outbox.commit(events(2))
    assert outbox.dequeue() == events(2)
    bench.disk.gone = False
    bench.mend(outbox)
    assert outbox.trouble is None
    assert bench.disk.count() == 2


def test_a_disk_that_returns_is_opened_again_and_its_events_are_sent() -> None:
    bench = Bench()
    outbox = bench.outbox()
    outbox.commit(events(2))
    bench.disk.gone = True
    outbox.commit(events(1, first=2))
    assert outbox.dequeue() == events(1, first=2)
    bench.disk.gone = False
    bench.mend(outbox)
    assert outbox.dequeue() == events(2)


def test_memory_is_bounded_while_the_disk_fails() -> None:
    bench = Bench()
    outbox = bench.outbox(max_messages=10 * MEMORY_MESSAGES)
    bench.disk.full = True
    outbox.commit(events(MEMORY_MESSAGES + 7))
    assert (outbox.depth, outbox.dropped_messages) == (MEMORY_MESSAGES, 7)


def test_a_disk_that_fails_without_events_is_detected() -> None:
    bench = Bench()
    outbox = bench.outbox()
    bench.disk.full = True
    outbox.run_maintenance()
    assert outbox.trouble is None, "a flash card is not written to every few seconds"
    bench.now_seconds += TEST_WRITE_SECONDS
    outbox.run_maintenance()
    assert outbox.trouble is not None
    bench.disk.full = False
    bench.mend(outbox)
    assert outbox.trouble is None


def test_events_in_memory_are_written_at_close_if_the_disk_works_again() -> None:
    bench = Bench()
    outbox = bench.outbox()
    bench.disk.full = True
    outbox.commit(events(2))
    bench.disk.full = False
    outbox.close()
    assert bench.outbox().dequeue() == events(2)


def test_an_event_is_sent_once_it_is_on_disk_without_blocking_the_caller() -> None:
    bench, slow = Bench(), Slow()
    outbox = bench.outbox(run=slow)
    slow.is_late = True
    outbox.commit(events(2))
    assert (outbox.dequeue(), outbox.depth) == ([], 2)
    outbox.commit(events(1, first=2))
    slow.answer()
    assert outbox.dequeue() == events(3)
    assert (outbox.trouble, bench.on_disk()) == (None, ["0/start", "1/start", "2/start"])


def test_while_a_disk_hangs_events_are_sent_from_memory_and_none_is_lost_or_repeated_afterwards() -> None:
    bench, slow = Bench(), Slow()
    outbox = bench.outbox(run=slow)
    outbox.commit(events(1))
    assert outbox.dequeue() == events(1)
    slow.is_late = True
    outbox.commit([*events(2, first=1), event("2/end")], delivered=["0/start"])
    bench.wait(outbox, 0.9 * HANG_SECONDS)
    assert (outbox.trouble, outbox.dequeue()) == (None, [])
    bench.wait(outbox, 0.2 * HANG_SECONDS)
    assert outbox.trouble is not None
    assert "does not answer" in outbox.trouble
    assert keys(outbox.dequeue()) == ["1/start", "2/start", "2/end"]
    outbox.commit([event("1/end"), event("3/start")], delivered=["1/start", "2/start"])
    assert keys(outbox.dequeue()) == ["1/end", "3/start"]
    outbox.commit([], delivered=["1/end"])
    assert outbox.depth == 2
    slow.answer()
    outbox.run_maintenance()
    assert not outbox.trouble
    assert (outbox.depth, outbox.dropped_messages) == (2, 0)
    bench.wait(outbox, FORGET_SECONDS)
    assert bench.on_disk() == ["2/end", "3/start"], "what was delivered meanwhile is gone from the disk too"
    assert keys(outbox.open_events()) == ["0/start", "3/start"], "what ended meanwhile does not look interrupted"
    outbox.release()
    assert keys(outbox.dequeue()) == ["2/end", "3/start"]


def test_a_disk_that_hangs_and_then_fails_loses_no_event() -> None:
    bench, slow = Bench(), Slow()
    outbox = bench.outbox(run=slow)
    slow.is_late = True
    outbox.commit(events(3))
    bench.wait(outbox, HANG_SECONDS)
    outbox.commit([], delivered=keys(outbox.dequeue(limit=1)))
    bench.disk.full = True
    slow.answer()
    bench.wait(outbox, RETRY_DISK_SECONDS)
    assert outbox.trouble is not None
    assert "full" in outbox.trouble
    bench.disk.full = False
    bench.wait(outbox, RETRY_DISK_SECONDS)
    assert not outbox.trouble
    assert bench.on_disk() == ["1/start", "2/start"]


def test_a_disk_that_hangs_delays_start_and_close_only_briefly() -> None:
    slow = Slow()
    outbox = Bench().outbox(run=slow)
    slow.is_late = True
    outbox.commit(events(1))
    outbox.close()
    assert outbox.trouble is not None
    assert "does not answer" in outbox.trouble
    assert outbox.depth == 1


def test_deliveries_are_written_with_the_next_event_or_after_two_minutes() -> None:
    bench = Bench()
    outbox = bench.outbox()
    outbox.commit(events(1))
    outbox.commit([], delivered=keys(outbox.dequeue()))
    assert (outbox.depth, bench.on_disk()) == (0, ["0/start"])
    outbox.commit(events(IN_FLIGHT, first=1))
    assert bench.on_disk() == keys(events(IN_FLIGHT, first=1))
    outbox.commit([], delivered=keys(outbox.dequeue()[:-1]))
    outbox.commit([], delivered=[f"{IN_FLIGHT}/start"])
    bench.wait(outbox, FORGET_SECONDS)
    assert bench.on_disk() == []
