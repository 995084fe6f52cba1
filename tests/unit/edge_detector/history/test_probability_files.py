"""Files of probabilities: one a day, whatever happens to the folder, within the limits."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_detector.errors import EdgeDetectorError
from edge_detector.history import probability_files
from edge_detector.history.probabilities import Block
from edge_detector.history.probability_files import ProbabilityFolder, read_blocks
from edge_detector.history.store import HistoryError
from tests.support.disks import fill, small_disk
from tests.support.history import NOON_MS
from tests.support.probabilities import blocks_of

DAY_MS, MINUTE_MS = 86_400_000, 60_000
SLUGS = ("rain", "siren")


def block(start_ms: int = NOON_MS, source: str = "cot", windows: int = 312) -> Block:
    values = np.random.default_rng(0).random((windows, len(SLUGS)), np.float32)
    (made,) = blocks_of(values, SLUGS, start_ms, source=source)
    return made


def folder_of(path: Path, *, days: int = 8, megabytes: int = 100) -> ProbabilityFolder:
    return ProbabilityFolder(path, days=days, megabytes=megabytes)


def starts(path: Path, since_ms: int = 0, until_ms: int = NOON_MS + 30 * DAY_MS, source: str = "cot") -> list[int]:
    return [found.place.start_ms for found in read_blocks(path, source, since_ms, until_ms)]


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def test_each_day_has_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "probabilities"
    folder = folder_of(path)
    for start_ms in (NOON_MS, NOON_MS + MINUTE_MS, NOON_MS + DAY_MS):
        folder.append(block(start_ms))
    assert names(path) == ["2026-11-29.bin", "2026-11-30.bin"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}
    assert starts(path) == [NOON_MS, NOON_MS + MINUTE_MS, NOON_MS + DAY_MS]


def test_reading_leaves_out_other_days_and_other_sources(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for day in range(5):
        for source in ("cot", "yard"):
            folder.append(block(NOON_MS + day * DAY_MS, source))
    assert starts(tmp_path, NOON_MS + 2 * DAY_MS, NOON_MS + 3 * DAY_MS) == [NOON_MS + day * DAY_MS for day in (1, 2, 3)]
    assert len(starts(tmp_path, source="yard")) == 5
    assert starts(tmp_path, source="attic") == []


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    assert starts(tmp_path / "none") == []
    folder_of(tmp_path / "none").trim(NOON_MS)
    assert not (tmp_path / "none").exists()


def test_a_folder_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "probabilities"
    folder = folder_of(path)
    folder.append(block())
    (path / "2026-11-29.bin").unlink()
    path.rmdir()
    folder.append(block(NOON_MS + MINUTE_MS))
    folder.trim(NOON_MS)
    assert starts(path) == [NOON_MS + MINUTE_MS]


@pytest.mark.parametrize("days", [1, 3, 8, 400])
def test_a_file_leaves_before_its_first_block_is_older_than_the_days_and_a_week_is_always_there(
    tmp_path: Path, days: int
) -> None:
    folder = folder_of(tmp_path, days=days)
    for day in range(20):
        folder.append(block(NOON_MS - day * DAY_MS))
    folder.append(block(NOON_MS + DAY_MS))
    folder.trim(NOON_MS)
    kept = starts(tmp_path)
    assert kept == [NOON_MS - day * DAY_MS for day in reversed(range(-1, min(days, 8)))]
    assert days < 8 or kept[0] <= NOON_MS - 7 * DAY_MS


def test_the_oldest_go_first_where_there_is_too_much_of_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, megabytes=2)
    big = block(windows=312)
    wide = replace(
        big,
        slugs=tuple(f"class_{n}" for n in range(400)),
        values=np.random.default_rng(1).integers(0, 256, (312, 400)).astype(np.uint8),
    )
    for number in range(40):
        start_ms = NOON_MS + number * 4 * 3_600_000
        folder.append(replace(wide, place=replace(wide.place, start_ms=start_ms)))
        folder.trim(NOON_MS)
        sizes = [file.stat().st_size for file in tmp_path.iterdir()]
        assert sum(sizes) <= 2 << 20
        assert max(sizes) <= (2 << 20) // 8
    kept = starts(tmp_path)
    assert kept == [NOON_MS + number * 4 * 3_600_000 for number in range(40 - len(kept), 40)]
    assert len(kept) > 10


def test_the_parts_of_a_day_are_read_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probability_files, "PART_BYTES", 1_200)
    folder = folder_of(tmp_path)
    every = [NOON_MS + number * MINUTE_MS for number in range(24)]
    for start_ms in every:
        folder.append(block(start_ms))
    assert len(names(tmp_path)) > 10
    assert starts(tmp_path) == every


def test_what_is_not_this_programs_stays(tmp_path: Path) -> None:
    others = ["2026-02-31.bin", "2020-01-01.txt", "notes", "2020-01-01.bin.old", "2020-01-01-x.bin"]
    for name in others:
        (tmp_path / name).write_text("mine")
    folder = folder_of(tmp_path, days=1, megabytes=2)
    folder.append(block())
    folder.trim(NOON_MS)
    assert names(tmp_path) == sorted([*others, "2026-11-29.bin"])
    assert starts(tmp_path) == [NOON_MS]


@pytest.mark.parametrize("kind", ["folder", "FIFO"])
def test_something_else_in_the_place_of_a_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "2026-11-29.bin"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(HistoryError, match=f"is a {kind}, and the probabilities need a file; move it away"):
        folder_of(tmp_path).append(block())
    with pytest.raises(EdgeDetectorError, match="the stored probabilities cannot be read"):
        starts(tmp_path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path, target = tmp_path / "probabilities", tmp_path / "other"
    path.mkdir()
    target.touch()
    (path / "2026-11-29.bin").symlink_to(target)
    with pytest.raises(HistoryError, match="cannot be used"):
        folder_of(path).append(block())
    assert target.stat().st_size == 0


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "probabilities").touch()
    with pytest.raises(HistoryError, match=r"probabilities cannot be used .*; make it writable"):
        folder_of(tmp_path / "probabilities").append(block())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk"):
        yield tmp_path / "disk"


def test_a_full_disk_keeps_no_half_block_and_goes_on_with_room(disk: Path) -> None:
    folder = folder_of(disk / "probabilities")
    folder.append(block())
    before = (disk / "probabilities" / "2026-11-29.bin").stat().st_size
    ballast = fill(disk)
    wide = replace(
        block(),
        slugs=tuple(f"class_{n}" for n in range(200)),
        values=np.random.default_rng(1).integers(0, 256, (312, 200)).astype(np.uint8),
    )
    with pytest.raises(HistoryError, match=r"cannot be used .*; make room") as raised:
        folder.append(wide)
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.ENOSPC
    assert (disk / "probabilities" / "2026-11-29.bin").stat().st_size == before
    ballast.unlink()
    folder.append(wide)
    assert len(starts(disk / "probabilities")) == 2


def test_two_writers_at_once_mix_no_blocks(tmp_path: Path) -> None:
    def write(source: str) -> None:
        folder = folder_of(tmp_path)
        for number in range(100):
            folder.append(block(NOON_MS + number * MINUTE_MS, source))

    threads = [threading.Thread(target=write, args=[source]) for source in ("cot", "yard")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for source in ("cot", "yard"):
        assert starts(tmp_path, source=source) == [NOON_MS + number * MINUTE_MS for number in range(100)]
