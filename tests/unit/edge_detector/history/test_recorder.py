"""The recorder's thread: it never delays who gives it an event, and outlives every disk."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge_detector import disk_thread
from edge_detector.errors import EdgeDetectorError
from edge_detector.history import recorder as recorder_module
from edge_detector.history.queries import HistoryReader, Selection
from edge_detector.history.recorder import BATCH_EVENTS, MOST_WAITING, Recorder
from edge_detector.history.records import RecordedEvent
from edge_detector.history.store import FILE_NAME, HistoryStore
from edge_detector.types import EventEnd, EventStart, Message
from tests.support.disks import fill, small_disk
from tests.support.history import message_of, open_store, recorded
from tests.support.waiting import wait_until

LONG_SECONDS = 3_600.0


class HeldStore(HistoryStore):
    """A store that writes only while `free` is set, as a disk that hangs now and then."""

    def __init__(self, path: Path, free: threading.Event) -> None:
        super().__init__(path, days=36_500, megabytes=100)
        self._free = free
        self.batches: list[int] = []

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        self._free.wait(60.0)
        self.batches.append(len(events))
        super().apply(events)


def start(number: int) -> Message:
    return message_of(EventStart(0, 16_000 * number, 0.5))


def end(number: int) -> Message:
    return message_of(EventEnd(0, 16_000 * number, 16_000 * number + 32_000, 0.75, "ended"))


def count(path: Path) -> int:
    try:
        with HistoryReader(path) as reader:
            return len(reader.newest(Selection(), 1_000_000))
    except EdgeDetectorError:  # not made yet
        return 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk"):
        yield tmp_path / "disk"


def closed(recorder: Recorder) -> Recorder:
    recorder.close()
    assert recorder.wait_closed(20.0)
    return recorder


def test_an_event_is_in_the_file_after_the_time_of_a_batch_and_at_a_stop(path: Path) -> None:
    recorder = Recorder(lambda: open_store(path), batch_seconds=0.05)
    recorder.put(start(1))
    wait_until(lambda: count(path) == 1, "the event in the file")
    closed(recorder)
    waiting = Recorder(lambda: open_store(path), batch_seconds=LONG_SECONDS)
    waiting.put(end(2))
    assert closed(waiting).troubles == ()
    assert count(path) == 2


def test_a_hundred_events_are_written_together_and_at_once(path: Path) -> None:
    free = threading.Event()
    free.set()
    stores: list[HeldStore] = []

    def open_held() -> HeldStore:
        stores.append(HeldStore(path, free))
        return stores[-1]

    recorder = Recorder(open_held, batch_seconds=LONG_SECONDS)
    for number in range(BATCH_EVENTS):
        recorder.put(end(number))
    wait_until(lambda: count(path) == BATCH_EVENTS, "all events in the file")
    closed(recorder)
    assert stores[0].batches == [BATCH_EVENTS]


def test_events_that_an_earlier_process_left_open_are_interrupted_and_later_ones_are_not(path: Path) -> None:
    store = open_store(path)
    store.apply([recorded(1, ended=False)])
    store.close()
    recorder = Recorder(lambda: open_store(path), batch_seconds=0.05)
    recorder.put(start(2))
    wait_until(lambda: count(path) == 2, "both")
    with HistoryReader(path) as reader:
        reasons = {event.id: event.end_reason for event in reader.events(reader.newest(Selection(), 10))}
    assert sorted(reasons.values(), key=str) == [None, "interrupted"]
    closed(recorder)


def test_a_disk_that_hangs_delays_nobody_is_told_and_loses_what_is_too_much(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disk_thread, "HANG_SECONDS", 0.2)
    free = threading.Event()
    recorder = Recorder(lambda: HeldStore(path, free), batch_seconds=0.01)
    recorder.put(end(0))
    wait_until(lambda: recorder.troubles != (), "the trouble")
    assert recorder.troubles == (
        "the history is not written: the disk does not answer; check its cable, its power and its health",
    )
    slowest_seconds = 0.0
    for number in range(1, MOST_WAITING + 50):
        since = time.perf_counter()
        recorder.put(end(number))
        slowest_seconds = max(slowest_seconds, time.perf_counter() - since)
    assert slowest_seconds < 0.2, "a thread that waits for the disk holds no lock"
    assert recorder.lost == 50
    free.set()
    wait_until(lambda: count(path) == MOST_WAITING, "what could wait in the file")
    assert closed(recorder).troubles == ()
    assert "50 events so far are missing from the history" in caplog.text


def test_a_disk_that_hangs_delays_a_stop_no_longer_than_it_may(path: Path) -> None:
    free = threading.Event()
    recorder = Recorder(lambda: HeldStore(path, free), batch_seconds=0.01)
    recorder.put(end(0))
    recorder.close()
    since = time.monotonic()
    assert not recorder.wait_closed(0.1)
    assert time.monotonic() - since < 2.0
    free.set()
    closed(recorder)


def test_a_full_disk_is_a_trouble_until_there_is_room_and_nothing_that_could_wait_is_lost(
    disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.05)
    path = disk / FILE_NAME
    recorder = Recorder(lambda: open_store(path), batch_seconds=0.01)
    recorder.put(end(0))
    wait_until(lambda: count(path) == 1, "the first event")
    ballast = fill(disk)
    given = 1
    while not recorder.troubles:
        assert given < 1_000
        recorder.put(end(given))
        given += 1
        time.sleep(0.01)
    assert recorder.troubles == (f"the history is not written: {path} cannot be used (database or disk is full); make room",)
    recorder.put(end(given))
    ballast.unlink()
    wait_until(lambda: recorder.troubles == (), "the end of the trouble")
    closed(recorder)
    assert count(path) == given + 1
    assert caplog.text.count("the history is not written") == 1
    assert "the history is written again; 0 events are missing from it" in caplog.text


def test_a_damaged_file_is_told_and_the_event_is_in_the_new_one(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"no database, but long enough to be none" * 100)
    recorder = Recorder(lambda: open_store(path), batch_seconds=0.01)
    recorder.put(end(1))
    wait_until(lambda: count(path) == 1, "the event in the new file")
    (trouble,) = closed(recorder).troubles
    assert trouble.startswith(f"the history {path} is damaged (file is not a database); it is now {FILE_NAME}.damaged")
    assert caplog.text.count("is damaged") == 1


def test_a_message_that_describes_no_event_is_left_out_and_counted(path: Path) -> None:
    recorder = Recorder(lambda: open_store(path), batch_seconds=LONG_SECONDS)
    recorder.put(Message("node/event", b"{}", 1, retained=False, message_id="a/end"))
    recorder.put(end(1))
    assert closed(recorder).lost == 1
    assert count(path) == 1
