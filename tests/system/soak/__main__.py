"""`make soak`: sound through the service for hours; nothing may grow and no event be lost.

python -m tests.system.soak --hours 24               as fast as it goes
python -m tests.system.soak --hours 24 --page        the same with a history and its page open in three browsers
python -m tests.system.soak --hours 24 --page --clips megabytes    an event a minute, and its sound stored up to 64 MB
python -m tests.system.soak --hours 24 --page --clips days         the same for a day, by the time of the sound
python -m tests.system.soak --hours 1 --real-time    through a microphone; ten minutes of it are for warming up
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.disks import measured_disk, sync
from tests.system.soak import real_time, replayed
from tests.system.soak.clips import ClipLimits

ROUNDS_AN_HOUR = 66
WARM_UP_ROUNDS = 11


CLIPS = {"megabytes": ClipLimits(days=30, megabytes=64), "days": ClipLimits(days=1, megabytes=2_000, by_sound=True)}
DISK_BYTES = 1 << 30


@contextmanager
def where_to_write(folder: Path | None, clips: ClipLimits | None) -> Iterator[tuple[Path | None, Callable[[], int | None]]]:
    """The folder to write in, and the bytes that its disk has written so far: with clips, and as root, an ext4 of its own."""
    if folder is not None or clips is None or os.geteuid():
        yield folder, lambda: None
        return
    with tempfile.TemporaryDirectory() as name, measured_disk(Path(name) / "disk.img", DISK_BYTES) as (mounted, written_bytes):
        before = written_bytes()

        def written() -> int:
            sync(mounted)
            return written_bytes() - before

        yield mounted, written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--clips", choices=CLIPS, help="the limit that the clips are to reach")
    parser.add_argument("--folder", type=Path, help="where to write, on the disk whose writes are of interest")
    options = parser.parse_args()
    if options.real_time:
        rounds = WARM_UP_ROUNDS + max(1, round(options.hours * ROUNDS_AN_HOUR) - WARM_UP_ROUNDS)
        figures, problems = real_time.soak(rounds, warm_up_rounds=WARM_UP_ROUNDS)
    else:
        history = replayed.HistoryLimits(days=400, megabytes=2) if options.page else None
        clips = CLIPS.get(options.clips)
        with where_to_write(options.folder, clips) as (folder, written_bytes):
            figures, problems = replayed.soak(options.hours, history=history, clips=clips, where=folder)
            figures["device_written_bytes"] = written_bytes()
    sys.stdout.write(json.dumps(figures) + "\n")
    for problem in problems:
        sys.stdout.write(f"PROBLEM: {problem}\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
