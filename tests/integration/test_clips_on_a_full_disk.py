"""A disk that fills up at any step of a clip or of its review: what is listed stays whole, and it goes on once there is room."""

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from edge_detector.clips import store as store_module
from edge_detector.clips import writer as writer_module
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import ClipStore
from edge_detector.clips.writer import ClipWriter
from edge_detector.review.sounds import SoundsFolder, Verdict
from tests.support.clips import NOON_SECONDS, event_id, head, noise, pieces, stored, write
from tests.support.disks import card, fill
from tests.support.waiting import wait_until

OURS = ("clips", "review", "sndfile", "soundfile", "files.py")
"""Whose calls count as steps: with these words in their file names."""
SECONDS = 0.3


@contextmanager
def filled_at(step: int, disk: Path) -> Iterator[Callable[[], bool]]:
    """Fill the disk before this call of the code, on whatever new thread; gives whether that has happened."""
    steps = 0
    lock = threading.Lock()

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal steps
        if event == "c_call" and any(word in frame.f_code.co_filename for word in OURS):
            with lock:
                steps += 1
                is_now = steps == step
            if is_now:
                fill(disk)

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        yield lambda: steps >= step
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(store_module, "SPARE_BYTES", 0)
    monkeypatch.setattr(writer_module, "RETRY_SECONDS", 0.02)
    with card(tmp_path / "disk"):
        yield tmp_path / "disk"


def put(writer: ClipWriter, number: int) -> None:
    writer.put(head(number))
    for piece in pieces(number, noise(SECONDS, number), 2):
        writer.put(piece)


def whole(store: ClipStore) -> set[int]:
    """Numbers of the clips, each of which holds what was written."""
    found = set()
    for clip in store.newest(99):
        number = round(clip.name.start_ms / 1e3 - NOON_SECONDS)
        assert np.array_equal(stored(clip.path)[0], noise(SECONDS, number))
        found.add(number)
    return found


def test_a_disk_that_fills_up_at_any_step_of_a_clip_costs_that_clip_at_most_and_clips_go_on_by_themselves(disk: Path) -> None:
    step = lost = 0
    while True:
        step += 1
        store = ClipStore(disk / "clips")
        write(store, 1, noise(SECONDS, 1))
        with filled_at(step, disk) as is_filled:
            writer = ClipWriter(store, days=30, megabytes=500, now_utc_seconds=lambda: NOON_SECONDS)
            put(writer, 2)
            wait_until(lambda writer=writer, store=store: bool(writer.lost or store.find(clip_id(event_id(2)))), "an outcome")  # type: ignore[misc]
        if not is_filled():
            writer.close()
            break
        if writer.lost:
            wait_until(lambda writer=writer: writer.troubles != (), "the trouble")  # type: ignore[misc]
            (trouble,) = writer.troubles
            assert trouble == f"clips are not stored: {store.folder} cannot be used (No space left on device); make room", step
        lost += writer.lost
        assert whole(store) == ({1} if writer.lost else {1, 2}), step
        (disk / "ballast").unlink()
        wait_until(lambda writer=writer: writer.troubles == (), "the end of the trouble")  # type: ignore[misc]
        put(writer, 3)
        writer.close()
        assert writer.wait_closed(20.0)
        assert whole(store) == ({1, 3} if writer.lost else {1, 2, 3}), step
        assert {path.suffix for path in store.folder.iterdir()} == {".flac"}
        shutil.rmtree(store.folder)
    assert step > 30, "there are many steps"
    assert 10 < lost < step, "it was full before and after the clip was complete"


@pytest.mark.parametrize("verdict", ["wrong", "none"])
def test_a_disk_that_fills_up_at_any_step_of_a_review_refuses_it_at_most_and_takes_it_once_there_is_room(
    disk: Path, verdict: Verdict
) -> None:
    wanted = {"wrong": "sounds/not/rain", "none": "clips"}[verdict]
    identity, step, refused = clip_id(event_id(1)), 0, 0
    while True:
        step += 1
        store, sounds = ClipStore(disk / "clips"), SoundsFolder(disk / "sounds")
        write(store, 1, noise(SECONDS, 1))
        if verdict == "none":
            sounds.review(store, identity, "right")
            store.folder.rmdir()
        trouble = None
        with filled_at(step, disk) as is_filled:
            try:
                sounds.review(store, identity, verdict)
            except OSError as error:
                trouble = sounds.trouble(store, error)
        (path,) = disk.rglob("*.flac")
        assert np.array_equal(stored(path)[0], noise(SECONDS, 1)), step
        if not is_filled():
            break
        if trouble is None:
            assert str(path.parent.relative_to(disk)) == wanted
        else:
            refused += 1
            assert trouble == f"{sounds.folder} cannot be used (No space left on device); make room"
        (disk / "ballast").unlink()
        assert sounds.review(store, identity, verdict) is not None
        (path,) = disk.rglob("*.flac")
        assert str(path.parent.relative_to(disk)) == wanted
        fill(disk)
        assert sounds.delete(store, identity), "a full disk refuses no deletion"
        (disk / "ballast").unlink()
        shutil.rmtree(sounds.folder, ignore_errors=True)
        shutil.rmtree(store.folder, ignore_errors=True)
    assert 0 < refused < step
