"""The writer's thread: it never delays who gives it sound, and a bad disk stops clips alone."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_detector import disk_thread
from edge_detector.clips import store as store_module
from edge_detector.clips import writer as writer_module
from edge_detector.clips.cutter import ClipHead, ClipPiece
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import ClipStore
from edge_detector.clips.writer import MOST_OPEN, MOST_WAITING, MOST_WAITING_BYTES, ClipWriter
from edge_detector.types import Int16
from tests.support.clips import clip_bytes, event_id, head, noise, pieces, stored
from tests.support.disks import fill, remount, small_disk
from tests.support.waiting import wait_until


class HeldStore(ClipStore):
    """A store whose disk answers only while `free` is set."""

    def __init__(self, folder: Path, free: threading.Event) -> None:
        super().__init__(folder)
        self._free = free

    def require_room(self, place: Path | int) -> None:
        assert self._free.wait(60.0)
        super().require_room(place)


@pytest.fixture
def store(tmp_path: Path) -> ClipStore:
    return ClipStore(tmp_path / "clips")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(store_module, "SPARE_BYTES", 0)
    monkeypatch.setattr(writer_module, "RETRY_SECONDS", 0.05)
    with small_disk(tmp_path / "disk"):
        yield tmp_path / "disk"


def writer_of(store: ClipStore, *, days: int = 30, megabytes: int = 500) -> ClipWriter:
    return ClipWriter(store, days=days, megabytes=megabytes)


def now_head(number: int) -> ClipHead:
    return head(number, start_seconds=time.time() + number / 1e3)


def put(writer: ClipWriter, number: int, samples: Int16, count: int = 4) -> None:
    writer.put(now_head(number))
    for piece in pieces(number, samples, count):
        writer.put(piece)


def closed(writer: ClipWriter) -> ClipWriter:
    writer.close()
    assert writer.wait_closed(20.0)
    return writer


def test_clips_of_several_events_at_once_are_stored_each_for_itself(store: ClipStore) -> None:
    writer = writer_of(store)
    sounds = {number: noise(0.5, number) for number in range(5)}
    for number in sounds:
        writer.put(now_head(number))
    for parts in zip(*(pieces(number, samples) for number, samples in sounds.items()), strict=True):
        for piece in parts:
            writer.put(piece)
    assert closed(writer).lost == 0
    for number, samples in sounds.items():
        clip = store.find(clip_id(event_id(number)))
        assert clip is not None
        assert np.array_equal(stored(clip.path)[0], samples)


def test_a_clip_that_ends_early_or_lacks_samples_says_so(store: ClipStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    writer = writer_of(store)
    for number, lost_samples, is_early in ((1, 0, False), (2, 300, False), (3, 0, True)):
        writer.put(now_head(number))
        writer.put(ClipPiece(event_id(number), (noise(0.1),), lost_samples, is_last=False, is_early=False))
        writer.put(ClipPiece(event_id(number), (noise(0.1),), 0, is_last=True, is_early=is_early))
    closed(writer)
    assert [record.getMessage() for record in caplog.records] == [
        f"the clip of {event_id(2)} has silence in place of 300 lost samples",
        f"the clip of {event_id(3)} ends before its event: it has the longest length of [clips]",
    ]


def test_what_is_incomplete_at_the_start_and_at_a_stop_is_removed_and_the_latter_counted(store: ClipStore) -> None:
    store.prepare()
    (store.folder / "left.flac.part").write_bytes(b"fLaC")
    writer = writer_of(store)
    wait_until(lambda: not list(store.folder.iterdir()), "the folder to be cleaned")
    writer.put(now_head(1))
    writer.put(next(pieces(1, noise(0.5))))
    assert closed(writer).lost == 1
    assert list(store.folder.iterdir()) == []


def test_the_limits_hold_while_many_clips_are_stored(store: ClipStore) -> None:
    writer = writer_of(store, megabytes=2)
    stop, most = threading.Event(), 0

    def watch() -> None:
        nonlocal most
        while not stop.is_set():
            most = max(most, clip_bytes(store))

    watching = threading.Thread(target=watch)
    watching.start()
    for number in range(120):
        put(writer, number, noise(1.0, number))
        wait_until(lambda number=number: store.find(clip_id(event_id(number))) is not None, "the clip")  # type: ignore[misc]
    closed(writer)
    stop.set()
    watching.join()
    assert writer.lost == 0
    newest = [clip.name.id for clip in store.newest(200)]
    assert newest == [clip_id(event_id(number)) for number in range(119, 119 - len(newest), -1)], "the oldest go first"
    assert 1 << 20 < most <= 2 << 20


def test_clips_that_are_too_old_are_deleted_at_the_start_and_by_time(store: ClipStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "UPKEEP_SECONDS", 0.05)
    store.prepare()
    old = head(1, start_seconds=time.time() - 40 * 86_400.0).name.file_name
    (store.folder / old).write_bytes(b"fLaC")
    writer = writer_of(store)
    wait_until(lambda: store.newest(9) == (), "the old clip to be deleted at the start")
    (store.folder / old).write_bytes(b"fLaC")
    wait_until(lambda: store.newest(9) == (), "the old clip to be deleted later")
    closed(writer)


def test_a_disk_that_hangs_delays_nobody_is_told_and_loses_clips_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disk_thread, "HANG_SECONDS", 0.2)
    free = threading.Event()
    store = HeldStore(tmp_path / "clips", free)
    writer = writer_of(store)
    sound = noise(MOST_WAITING_BYTES / 8 / 32_000)
    writer.put(now_head(0))
    wait_until(lambda: writer.troubles != (), "the trouble")
    assert writer.troubles == ("clips are not stored: the disk does not answer; check its cable, its power and its health",)
    slowest_seconds = 0.0
    for number in range(1, 20):
        since = time.perf_counter()
        put(writer, number, sound)
        slowest_seconds = max(slowest_seconds, time.perf_counter() - since)
    for piece in pieces(0, noise(1.0)):
        writer.put(piece)
    assert slowest_seconds < 0.5, "a thread that waits for the disk holds no lock"
    assert 10 <= writer.lost <= 13
    free.set()
    assert closed(writer).trouble is None
    listed = store.newest(99)
    assert len(listed) == 20 - writer.lost
    for clip in listed:
        assert len(stored(clip.path)[0]) in (len(sound), 16_000), "no clip lacks a piece"
    assert f"{writer.lost} clips so far are lost" in caplog.text


def test_an_open_clip_of_which_a_piece_could_not_wait_is_lost_and_the_next_one_of_the_event_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    free.set()
    store = HeldStore(tmp_path / "clips", free)
    writer = writer_of(store)
    writer.put(now_head(1))
    first, *others = pieces(1, noise(1.0))
    wait_until(lambda: any(store.folder.glob("*.part")), "the file")
    free.clear()
    writer.put(first)
    monkeypatch.setattr(writer_module, "MOST_WAITING_BYTES", 100)
    for piece in others:
        writer.put(piece)
    monkeypatch.undo()
    free.set()
    wait_until(lambda: writer.lost == 1, "the lost clip")
    put(writer, 1, noise(0.25, 7))
    assert closed(writer).lost == 1
    (clip,) = store.newest(9)
    assert np.array_equal(stored(clip.path)[0], noise(0.25, 7))


def test_numbers_of_waiting_and_of_open_clips_are_bounded(tmp_path: Path) -> None:
    free = threading.Event()
    store = HeldStore(tmp_path / "clips", free)
    writer = writer_of(store)
    for number in range(MOST_WAITING + 100):
        writer.put(now_head(number))
    assert 99 <= writer.lost <= 100
    free.set()
    wait_until(lambda: writer.lost >= MOST_WAITING + 100 - MOST_OPEN, "all but the open ones to be lost")
    assert len(list(store.folder.glob("*.part"))) == MOST_OPEN
    closed(writer)


def test_a_full_disk_stops_clips_until_there_is_room_again(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store = ClipStore(disk / "clips")
    writer = writer_of(store)
    put(writer, 1, noise(1.0, 1))
    wait_until(lambda: len(store.newest(9)) == 1, "the first clip")
    ballast = fill(disk)
    put(writer, 2, noise(1.0, 2))
    sentence = f"clips are not stored: {store.folder} cannot be used (No space left on device); make room"
    wait_until(lambda: writer.troubles == (sentence,), "the trouble")
    assert writer.lost == 1
    put(writer, 3, noise(1.0, 3))
    wait_until(lambda: writer.lost == 2, "the next one to be lost")
    ballast.unlink()
    wait_until(lambda: writer.troubles == (), "the end of the trouble, without an event")
    put(writer, 4, noise(1.0, 4))
    closed(writer)
    assert [clip.name.id for clip in store.newest(9)] == [clip_id(event_id(4)), clip_id(event_id(1))]
    assert caplog.text.count("clips are not stored") == 1
    assert "clips are stored again; 2 are missing" in caplog.text


def test_a_disk_that_is_read_only_from_the_start_is_told_and_clips_begin_when_it_is_not(disk: Path) -> None:
    remount(disk, "ro")
    store = ClipStore(disk / "clips")
    writer = writer_of(store)
    sentence = f"clips are not stored: {store.folder} cannot be used (Read-only file system); make it writable"
    wait_until(lambda: writer.troubles == (sentence,), "the trouble")
    remount(disk, "rw")
    wait_until(lambda: writer.troubles == (), "the end of the trouble")
    put(writer, 1, noise(0.5))
    assert closed(writer).lost == 0
    assert len(store.newest(9)) == 1


def test_a_stop_is_delayed_by_a_disk_that_hangs_no_longer_than_it_may(tmp_path: Path) -> None:
    free = threading.Event()
    writer = writer_of(HeldStore(tmp_path / "clips", free))
    put(writer, 1, noise(0.5))
    writer.close()
    since = time.monotonic()
    assert not writer.wait_closed(0.1)
    assert time.monotonic() - since < 2.0
    free.set()
    closed(writer)


def test_the_writer_says_where_clips_are_stored_and_for_how_long(store: ClipStore) -> None:
    writer = writer_of(store, days=7, megabytes=100)
    assert writer.kept == f"the sound of each event is stored in {store.folder}, for 7 days and in 100 MB at most"
    writer.close()
