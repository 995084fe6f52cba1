"""Locks of files that several processes write."""

import errno
import fcntl
import threading
from pathlib import Path

import pytest

from convert.locks import Lock, file_lock, lock_of
from edge_detector.errors import EdgeDetectorError


def test_one_at_a_time_holds_a_lock_and_none_is_left(tmp_path: Path) -> None:
    """Each takes the lock while others remove it and make it anew."""
    path = tmp_path / "file"
    inside: list[int] = []
    most: list[int] = []

    def count(number: int) -> None:
        for _ in range(200):
            with file_lock(path, wait=True) as lock:
                assert lock is Lock.HELD
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=count, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (800, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_held_is_busy_for_who_does_not_wait(tmp_path: Path) -> None:
    with file_lock(tmp_path / "file", wait=False) as first, file_lock(tmp_path / "file", wait=False) as second:
        assert (first, second) == (Lock.HELD, Lock.BUSY)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_machine_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flock = tmp_path / "file", fcntl.flock

    def stale_at_first(*_: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        lock_of(path).unlink()
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(fcntl, "flock", stale_at_first)
    with file_lock(path, wait=True) as lock:
        assert lock is Lock.HELD
        assert lock_of(path).exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(EdgeDetectorError, match=r"\.b\.lock cannot be written: .*; give a folder that can"),
        file_lock(tmp_path / "file" / "b", wait=True),
    ):
        pass
