"""Cuts the power at every step while clips are stored, deleted and trimmed, and looks at what is left of them.

    python -m tests.system.chaos.power_cuts [--clips 40] [--seed 1] [--cuts 0]

The clips lie on an ext4 whose device remembers each write and each flush in order (tests/support/block_log.py). After the work,
the device is put together as it would have been at each moment, in three ways: with everything that was written, with nothing
since the last flush, and with some sectors of that. Each is mounted, so that ext4's journal is replayed, and the store is opened
as after a start. Needs root.
"""

import argparse
import os
import random
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from edge_detector.audio.file.sndfile import SndfileError
from edge_detector.clips import store as store_module
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import FOLDER_NAME, Clip, ClipStore
from edge_detector.clips.writer import ClipWriter
from edge_detector.types import Int16
from tests.support.block_log import FLUSH, WRITE, Cut, logged_disk, missing, read_log
from tests.support.clips import NOON_SECONDS, RATE_HZ, event_id, head, noise, pieces, stored
from tests.support.waiting import wait_until

MEGABYTES = 1
"""Limit of all clips, so that many are trimmed."""
SECONDS = (0.2, 4.0)
SYNC_SHARE, DELETE_SHARE = 0.5, 0.5
MOST_CLIPS = 10_000
NOTES = "notes"
NOWHERE = "no folder"
RANDOM_CUTS = 2


@dataclass(frozen=True, slots=True)
class Action:
    """What was done to a clip.

    Attributes:
        number: of the clip.
        place: where the clip is after it, as `places` says.
        begun_bytes, done_bytes: size of the log before it was called and after it had returned.

    """

    number: int
    place: str
    begun_bytes: int
    done_bytes: int


@dataclass(slots=True)
class Work:
    """What was done, and where each clip was at the end."""

    actions: list[Action] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)

    def is_followed(self, action: Action) -> bool:
        """Whether another action on the same clip came after it."""
        after = self.actions[self.actions.index(action) + 1 :]
        return any(other.number == action.number for other in after)


@dataclass(frozen=True, slots=True)
class Moments:
    """At which requests to the device the power is cut: a share of those between two sizes of the log."""

    begun_bytes: int
    ended_bytes: int
    share: float
    seed: int


@dataclass(slots=True)
class Figures:
    """Of all cuts together."""

    writes: int = 0
    flushes: int = 0
    cuts: int = 0
    clips: int = 0
    removed_parts: int = 0
    promises: int = 0
    problems: Counter[str] = field(default_factory=Counter)


def batched(numbers: range, count: int) -> Iterator[tuple[int, ...]]:
    """Tuples of so many."""
    each = iter(numbers)
    while found := tuple(islice(each, count)):
        yield found


def samples_of(number: int) -> Int16:
    """The sound of a clip, which its number says."""
    shortest, longest = SECONDS
    return noise(random.Random(number).uniform(shortest, longest), number)


def sync_notes(folder: Path, text: str) -> None:
    """Write a line that is synced, as the outbox does: with it ext4 commits all that was renamed and removed before."""
    with (folder / NOTES).open("a") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fdatasync(file.fileno())


def work(folder: Path, log: Path, clips: int, seed: int) -> Work:
    """Store clips, two at once, beside another file that is synced; delete some."""
    chance = random.Random(seed)
    done = Work()
    store = ClipStore(folder / FOLDER_NAME)
    writer = ClipWriter(store, days=30, megabytes=MEGABYTES, now_utc_seconds=lambda: NOON_SECONDS)
    for numbers in batched(range(clips), 2):
        parts = [[head(number), *pieces(number, samples_of(number), 3)] for number in numbers]
        for part in chain.from_iterable(zip(*parts, strict=True)):
            writer.put(part)
            if chance.random() < SYNC_SHARE:
                sync_notes(folder, part.event_id)
        wanted = {id_of(number) for number in numbers}
        wait_until(lambda wanted=wanted: wanted <= {clip.name.id for clip in store.newest(clips)}, "the clips")  # type: ignore[misc]
        if chance.random() < SYNC_SHARE:
            sync_notes(folder, "stored")
        if chance.random() < DELETE_SHARE:
            number = chance.choice(sorted(places(folder)))
            begun_bytes = log.stat().st_size
            store.delete(id_of(number))
            done.actions.append(Action(number, NOWHERE, begun_bytes, log.stat().st_size))
    writer.close()
    assert writer.wait_closed(30.0)
    assert writer.lost == 0, writer.troubles
    done.places = places(folder)
    return done


def id_of(number: int) -> str:
    """Id of a clip, by its number."""
    return clip_id(event_id(number))


def number_of(clip: Clip) -> int:
    """Number of a clip, which its time says."""
    return round(clip.name.start_ms / 1e3 - NOON_SECONDS)


def places(folder: Path) -> dict[int, str]:
    """Where each clip is."""
    return {number_of(clip): FOLDER_NAME for clip in ClipStore(folder / FOLDER_NAME).newest(MOST_CLIPS)}


def look(folder: Path, done: Work, cut_bytes: int, figures: Figures) -> dict[int, str]:
    """Count what is wrong in a disk that was cut at this size of the log; where each clip is."""
    store = ClipStore(folder / FOLDER_NAME)
    clips = store.newest(MOST_CLIPS)
    for clip in clips:
        figures.clips += 1
        if (reason := damage(store, clip)) is not None:
            figures.problems[f"a clip that is listed {reason}"] += 1
    before = len(list(store.folder.iterdir())) if store.folder.exists() else 0
    store.prepare()
    left = list(store.folder.iterdir())
    figures.removed_parts += before - len(left)
    figures.problems["a file is left that is no clip"] += sum(path.suffix != ".flac" for path in left)
    figures.problems["a clip is there twice"] += len(clips) - len({clip.name.id for clip in clips})
    found = places(folder)
    for action in done.actions:
        if action.done_bytes <= cut_bytes and not done.is_followed(action):
            figures.promises += 1
            if (place := found.get(action.number, NOWHERE)) != action.place:
                figures.problems[f"a clip is in {place}, though it was answered that it is in {action.place}"] += 1
    return found


def damage(store: ClipStore, clip: Clip) -> str | None:
    """What is wrong with a clip, or None."""
    if not clip.size_bytes:
        return "is empty"
    try:
        samples, _ = stored(clip.path)
        seconds = store.head(clip).seconds
    except (SndfileError, ValueError):
        return "is damaged"
    wanted = samples_of(number_of(clip))
    if not np.array_equal(samples, wanted):
        return "has other samples"
    return None if seconds == len(wanted) / RATE_HZ else "says another length"


@contextmanager
def mounted(content: bytes | bytearray, folder: Path) -> Iterator[Path]:
    """A disk with this content; ext4 replays its journal."""
    image, mount = folder / "cut.img", folder / "cut"
    mount.mkdir(exist_ok=True)
    image.write_bytes(content)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)


def cut_everywhere(folder: Path, cut: Cut, done: Work, moments: Moments) -> Figures:
    """Cut at the moments, in each way."""
    figures = Figures()
    chance = random.Random(moments.seed)
    was: dict[int, str] = {}
    while (record := cut.advance()) is not None:
        figures.writes += record.kind == WRITE
        figures.flushes += record.kind == FLUSH
        if record.end <= moments.begun_bytes or record.end > moments.ended_bytes or chance.random() >= moments.share:
            continue
        flushed = cut.flushed()
        for content in dict.fromkeys(map(bytes, (flushed, cut.all(), *(cut.some(chance) for _ in range(RANDOM_CUTS))))):
            figures.cuts += 1
            with mounted(content, folder) as disk:
                found = look(disk, done, record.end, figures)
            # What is there at the end was neither deleted nor trimmed, so that it may not be gone in between.
            figures.problems["a clip that was durable is gone"] += len((was.keys() & done.places.keys()) - found.keys())
            if content == flushed:
                was = found
    figures.problems = +figures.problems
    return figures


@contextmanager
def small_disk_without_sync(kind: Callable[[int], bool]) -> Iterator[None]:
    """Let clips use the whole disk, and let `os.fsync` do nothing for such a file, to see that the cuts find it."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if not kind(os.fstat(descriptor).st_mode):
            real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(store_module, "SPARE_BYTES", 0)
        yield


def run(clips: int, seed: int, share: float = 1.0, *, without: str | None = None) -> Figures:
    """Do the work, and cut the power at this share of all moments; `without` "files" or "folders" being synced."""
    memory = Path("/dev/shm")  # noqa: S108 - images by the hundred, which no card need hold
    with tempfile.TemporaryDirectory(prefix="cuts-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        with logged_disk(folder) as (disk, image, log), small_disk_without_sync(UNSYNCED[without]):
            begun_bytes = log.stat().st_size
            done = work(disk, log, clips, seed)
            moments = Moments(begun_bytes, log.stat().st_size, share, seed)
        return cut_everywhere(folder, Cut(image.read_bytes(), read_log(log)), done, moments)


UNSYNCED: dict[str | None, Callable[[int], bool]] = {None: lambda _: False, "files": stat.S_ISREG, "folders": stat.S_ISDIR}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--share", type=float, default=1.0, help="of the moments at which the power is cut")
    parser.add_argument("--without", choices=[kind for kind in UNSYNCED if kind], help="what is not synced; then it must fail")
    options = parser.parse_args()
    if (reason := missing()) is not None:
        sys.exit(reason)
    figures = run(options.clips, options.seed, options.share, without=options.without)
    sys.stdout.write(f"seed {options.seed}: {figures}\n")
    return bool(figures.problems)


if __name__ == "__main__":
    sys.exit(main())
