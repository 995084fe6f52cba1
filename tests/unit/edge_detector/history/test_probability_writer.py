"""Probabilities on the history's thread: they wait for the disk, are lost and counted beyond a limit, and cost no event."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_detector.history import probability_writer
from edge_detector.history.probabilities import Block
from edge_detector.history.probability_files import ProbabilityFolder, read_blocks
from edge_detector.history.probability_writer import MOST_WAITING_BYTES, ProbabilityWriter
from edge_detector.history.recorder import Recorder
from edge_detector.history.store import FILE_NAME
from tests.support.history import NOON_MS, open_store
from tests.support.probabilities import blocks_of
from tests.support.waiting import wait_until
from tests.unit.edge_detector.history.test_recorder import closed, count, end

DAY_MS = 86_400_000


def blocks(number: int, windows: int = 50) -> list[Block]:
    now_ms = round(time.time() * 1e3)
    return [
        block
        for place in range(number)
        for block in blocks_of(np.zeros((windows, 2), np.float32), ("rain", "siren"), now_ms + 60_000 * place)
    ]


def stored(folder: Path) -> int:
    return len(list(read_blocks(folder, "cot", 0, NOON_MS + 10_000 * DAY_MS)))


class HeldFolder(ProbabilityFolder):
    """A folder that writes only while `free` is set, as a disk that hangs now and then."""

    def __init__(self, folder: Path, free: threading.Event) -> None:
        super().__init__(folder, days=8, megabytes=100)
        self._free = free

    def append(self, block: Block) -> None:
        self._free.wait(60.0)
        super().append(block)


def recorder_of(tmp_path: Path, folder: ProbabilityFolder | None = None) -> Recorder:
    folder = folder or ProbabilityFolder(tmp_path / "probabilities", days=8, megabytes=100)
    return Recorder(lambda: open_store(tmp_path / FILE_NAME), ProbabilityWriter(folder), batch_seconds=0.01)


def test_blocks_are_written_beside_events_and_at_a_stop(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path)
    recorder.put_block(blocks(1)[0])
    recorder.put(end(1))
    wait_until(lambda: stored(tmp_path / "probabilities") == 1, "the block")
    wait_until(lambda: count(tmp_path / FILE_NAME) == 1, "the event")
    for block in blocks(30):
        recorder.put_block(block)
    assert closed(recorder).troubles == ()
    assert stored(tmp_path / "probabilities") == 31
    assert recorder.lost_blocks == 0


def test_a_folder_that_cannot_be_written_is_a_trouble_until_it_can_and_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probability_writer, "RETRY_SECONDS", 0.05)
    caplog.set_level("INFO")
    (tmp_path / "probabilities").touch()
    recorder = recorder_of(tmp_path)
    for block in blocks(2):
        recorder.put_block(block)
    wait_until(lambda: recorder.troubles != (), "the trouble")
    assert recorder.troubles[0].startswith(f"probabilities are not stored: {tmp_path / 'probabilities'} cannot be used (")
    recorder.put(end(1))
    wait_until(lambda: count(tmp_path / FILE_NAME) == 1, "the event")
    (tmp_path / "probabilities").unlink()
    wait_until(lambda: stored(tmp_path / "probabilities") == 2, "both blocks")
    assert closed(recorder).troubles == ()
    assert caplog.text.count("probabilities are not stored") == 1
    assert "probabilities are stored again; 0 blocks of them are missing" in caplog.text


def test_an_events_file_that_cannot_be_written_costs_no_block(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    recorder = recorder_of(tmp_path)
    recorder.put_block(blocks(1)[0])
    recorder.put(end(1))
    wait_until(lambda: stored(tmp_path / "probabilities") == 1, "the block")
    wait_until(lambda: len(recorder.troubles) == 1, "the trouble of the events")
    recorder.put_block(blocks(1)[0])
    wait_until(lambda: stored(tmp_path / "probabilities") == 2, "the next block")
    closed(recorder)


def test_a_disk_that_hangs_delays_nobody_and_what_cannot_wait_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    free = threading.Event()
    recorder = recorder_of(tmp_path, HeldFolder(tmp_path / "probabilities", free))
    # Of the largest blocks.
    values = np.zeros((299, 218), np.float32)
    (large,) = blocks_of(values, [f"class_{number}" for number in range(218)], NOON_MS)
    each_bytes = large.values.nbytes + large.steps.nbytes
    fit = MOST_WAITING_BYTES // each_bytes
    slowest_seconds = 0.0
    for _ in range(fit + 5):
        since = time.perf_counter()
        recorder.put_block(large)
        slowest_seconds = max(slowest_seconds, time.perf_counter() - since)
    assert slowest_seconds < 0.2, "a thread that waits for the disk holds no lock"
    assert recorder.lost_blocks == 5
    free.set()
    # The clock of these blocks is not this machine's, so that some may be removed at once.
    assert closed(recorder).troubles == ()
    assert "5 blocks of probabilities so far are missing" in caplog.text


def test_old_files_are_removed_without_a_new_block(tmp_path: Path) -> None:
    folder = tmp_path / "probabilities"
    folder.mkdir()
    (folder / "2001-01-01.bin").touch()
    recorder = recorder_of(tmp_path)
    wait_until(lambda: not list(folder.iterdir()), "the old file to go")
    closed(recorder)


def test_a_recorder_without_a_folder_for_them_takes_blocks_and_stores_none(tmp_path: Path) -> None:
    recorder = Recorder(lambda: open_store(tmp_path / FILE_NAME), batch_seconds=0.01)
    recorder.put_block(blocks(1)[0])
    closed(recorder)
    assert recorder.lost_blocks == 0
    assert not (tmp_path / "probabilities").exists()
