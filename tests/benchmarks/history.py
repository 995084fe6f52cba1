"""The history: time of each view with a million events, and what one event a minute writes.

Run `python -m tests.benchmarks.history`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from edge_detector.history.queries import HistoryReader
from edge_detector.history.recorder import Recorder
from edge_detector.history.records import rfc3339
from edge_detector.history.store import FILE_NAME
from edge_detector.types import EventEnd, EventStart
from tests.support.disks import measured_disk, sync
from tests.support.history import MINUTE_MS, NOON_MS, fill, message_of, one_a_minute, open_store
from tests.unit.edge_detector.history.test_queries import VIEWS

EVENTS = 1_000_000
DAY_EVENTS = 1_440
DAYS_BEFORE = 100
DISK_BYTES = 256 << 20
REPETITIONS = 5


def views(path: Path) -> None:
    """Print the median time of each view, the opening of the file included."""
    for name, view in VIEWS.items():
        took = []
        for _ in range(REPETITIONS):
            since = time.perf_counter()
            with HistoryReader(path) as reader:
                view(reader)
            took.append(time.perf_counter() - since)
        sys.stdout.write(f"{name}: {1e3 * statistics.median(took):.1f} ms (slowest {1e3 * max(took):.1f})\n")


def command(path: Path) -> None:
    """Print the time of the whole command."""
    for options in ([], ["--by-hour"]):
        since = time.perf_counter()
        call = [sys.executable, "-m", "edge_detector", "events", "--database", str(path), *options]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        sys.stdout.write(f"edge-detector events {' '.join(options)}: {time.perf_counter() - since:.2f} s\n")


def day(image: Path) -> None:
    """Print what a day writes, as root: each minute an event, in a batch of its start and one of its end, then a write-back."""
    with measured_disk(image, DISK_BYTES) as (folder, written_bytes):
        path = folder / FILE_NAME
        with closing(open_store(path)) as store:
            fill(store, DAYS_BEFORE * DAY_EVENTS)
            sync(folder)
            before, size = written_bytes(), path.stat().st_size
            for number, event in enumerate(one_a_minute(DAY_EVENTS, NOON_MS + DAY_EVENTS * MINUTE_MS)):
                new = replace(event, id=event.id.replace("/0123456789ab/", f"/0123456789ab/1{number:07}"))
                for half in (replace(new, end_ms=None, end_reason=None), new):
                    store.apply([half])
                    store.trim(event.start_ms)
                sync(folder)
            wrote = written_bytes() - before
        grown = path.stat().st_size - size
    sys.stdout.write(f"a day of {DAY_EVENTS} events writes {wrote / 1e6:.1f} MB; the file grows by {grown / 1e3:.0f} kB\n")


def put(folder: Path) -> None:
    """Print the time that a caller waits, and the memory that the recorder takes."""
    before = resident_bytes()
    recorder = Recorder(lambda: open_store(folder / "put.sqlite"))
    messages = [
        message
        for number in range(300)
        for message in (
            message_of(EventStart(0, 16_000 * number, 0.5)),
            message_of(EventEnd(0, 16_000 * number, 16_000 * number + 32_000, 0.5, "ended")),
        )
    ]
    took = []
    for message in messages:
        since = time.perf_counter()
        recorder.put(message)
        took.append(time.perf_counter() - since)
    recorder.close()
    recorder.wait_closed(30.0)
    sys.stdout.write(f"put: median {1e6 * statistics.median(took):.1f} us, slowest {1e6 * max(took):.0f} us\n")
    sys.stdout.write(f"memory: {(resident_bytes() - before) / 1e6:.1f} MB more, with the messages\n")


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put(folder)
        path = folder / FILE_NAME
        since = time.perf_counter()
        with closing(open_store(path)) as store:
            fill(store, EVENTS)
        size = path.stat().st_size / 1e6
        filled = time.perf_counter() - since
        sys.stdout.write(f"{EVENTS} events up to {rfc3339(NOON_MS)}: {size:.0f} MB, written in {filled:.0f} s\n")
        views(path)
        command(path)
        if not os.geteuid():
            day(folder / "disk.img")


if __name__ == "__main__":
    main()
