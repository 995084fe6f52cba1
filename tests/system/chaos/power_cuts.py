"""Cuts the power at every step while clips are stored, reviewed, deleted and trimmed, and looks at what is left of them.

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
from edge_detector.class_names import slug_of
from edge_detector.clips import store as store_module
from edge_detector.clips.names import clip_id, parse_clip_name
from edge_detector.clips.store import FOLDER_NAME as CLIPS_FOLDER
from edge_detector.clips.store import Clip, ClipStore
from edge_detector.clips.writer import ClipWriter
from edge_detector.files import SOUNDS_FOLDER
from edge_detector.review.sounds import SoundsFolder
from edge_detector.types import Int16
from tests.support.block_log import FLUSH, WRITE, Cut, logged_disk, missing, read_log
from tests.support.clips import NOON_SECONDS, RATE_HZ, event_id, head, noise, pieces, stored
from tests.support.waiting import wait_until

MEGABYTES = 1
"""Limit of all clips, so that many are trimmed."""
SECONDS = (0.2, 4.0)
SYNC_SHARE, AGAIN_SHARE = 0.5, 0.2
MOST_ACTIONS = 3
LABELS = ("Kettle", "door bell")
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
    """What was done.

    Attributes:
        actions: in order.
        again: clips that were stored again after their review, so that they may be there twice until the next one.
        places: where each clip was at the end.

    """

    actions: list[Action] = field(default_factory=list)
    again: set[int] = field(default_factory=set)
    places: dict[int, str] = field(default_factory=dict)

    def allowed(self, action: Action, cut_bytes: int) -> set[str] | None:
        """Where the clip of an action may be in this cut; None where the action had not returned, or another one had since."""
        after = self.actions[self.actions.index(action) + 1 :]
        following = next((other for other in after if other.number == action.number), None)
        if action.done_bytes > cut_bytes or (following is not None and following.done_bytes <= cut_bytes):
            return None
        found = {action.place}
        if following is not None and following.begun_bytes < cut_bytes:
            found.add(following.place)
        if action.place == CLIPS_FOLDER and action.number not in self.places:
            found.add(NOWHERE)  # it was trimmed, or deleted
        return found


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
    """Store clips, two at once, beside another file that is synced; review and delete some."""
    chance = random.Random(seed)
    done = Work()
    store = ClipStore(folder / CLIPS_FOLDER)
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
        for _ in range(chance.randrange(MOST_ACTIONS + 1)):
            there = places(folder)
            number = chance.choice(sorted(there))
            if there[number] != CLIPS_FOLDER and chance.random() < AGAIN_SHARE:
                done.again.add(number)
                put(writer, number)
                wait_until(lambda number=number: store.find(id_of(number)) is not None, "it again")  # type: ignore[misc]
            begun_bytes = log.stat().st_size
            act(folder, number, chance)
            ended_bytes = log.stat().st_size
            now = places(folder)
            for each in there:  # a label is deleted with all of its clips
                if each == number or now.get(each) != there[each]:
                    done.actions.append(Action(each, now.get(each, NOWHERE), begun_bytes, ended_bytes))
    writer.close()
    assert writer.wait_closed(30.0)
    assert writer.lost == 0, writer.troubles
    done.places = places(folder)
    return done


def put(writer: ClipWriter, number: int) -> None:
    """Let a clip be stored."""
    writer.put(head(number))
    for piece in pieces(number, samples_of(number), 3):
        writer.put(piece)


def act(folder: Path, number: int, chance: random.Random) -> None:
    """Review a clip, take its review back, or delete it or a label."""
    store, sounds = ClipStore(folder / CLIPS_FOLDER), SoundsFolder(folder / SOUNDS_FOLDER)
    match chance.choice(("right", "wrong", "other", "other", "none", "delete", "delete label")):
        case "delete label":
            sounds.delete_label(slug_of(chance.choice(LABELS)))
        case "delete":
            assert sounds.delete(store, id_of(number))
        case "right" | "wrong" | "none" as verdict:
            assert sounds.review(store, id_of(number), verdict) is not None
        case _:
            assert sounds.review(store, id_of(number), "other", chance.choice(LABELS)) is not None


def id_of(number: int) -> str:
    """Id of a clip, by its number."""
    return clip_id(event_id(number))


def number_of(clip: Clip) -> int:
    """Number of a clip, which its time says."""
    return clip_number(clip.name.file_name)


def clip_number(file_name: str) -> int:
    """The same of a file's name."""
    name = parse_clip_name(file_name)
    assert name is not None, file_name
    return round(name.start_ms / 1e3 - NOON_SECONDS)


def places(folder: Path) -> dict[int, str]:
    """Where each clip is; if it was reviewed and stored again, where its review is."""
    waiting, reviewed = listed(folder)
    return {number_of(clip): str(clip.path.parent.relative_to(folder)) for clip in (*waiting, *reviewed)}


def listed(folder: Path) -> tuple[list[Clip], list[Clip]]:
    """Clips that are not reviewed, and those that are."""
    waiting = ClipStore(folder / CLIPS_FOLDER).newest(MOST_CLIPS)
    return list(waiting), [each.clip for each in SoundsFolder(folder / SOUNDS_FOLDER).clips()]


def look(folder: Path, done: Work, cut_bytes: int, figures: Figures) -> dict[int, str]:
    """Count what is wrong in a disk that was cut at this size of the log; where each clip is."""
    store = ClipStore(folder / CLIPS_FOLDER)
    waiting, reviewed = listed(folder)
    for clip in (*waiting, *reviewed):
        figures.clips += 1
        if (reason := damage(store, clip)) is not None:
            figures.problems[f"a clip that is listed {reason}"] += 1
    before = len(list(store.folder.iterdir())) if store.folder.exists() else 0
    store.prepare()
    left = list(store.folder.iterdir())
    figures.removed_parts += before - len(left)
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]
    figures.problems["a file is left that is no clip"] += sum(path.suffix != ".flac" for path in files)
    twice = Counter(path.name for path in files)
    figures.problems["a clip is there twice"] += sum(
        count > 1 and clip_number(name) not in done.again for name, count in twice.items()
    )
    found = places(folder)
    for action in done.actions:
        if (allowed := done.allowed(action, cut_bytes)) is not None:
            figures.promises += 1
            if (place := found.get(action.number, NOWHERE)) not in allowed:
                wanted = " or ".join(sorted(allowed))
                figures.problems[f"a clip is in {place}, though it was answered that it is in {wanted}"] += 1
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
    """Cut at the moments, and as each action returns, in each way."""
    figures = Figures()
    chance = random.Random(moments.seed)
    was: dict[int, str] = {}
    answers = {action.done_bytes for action in done.actions}
    while (record := cut.advance()) is not None:
        figures.writes += record.kind == WRITE
        figures.flushes += record.kind == FLUSH
        is_answer = record.end in answers
        if not moments.begun_bytes < record.end <= moments.ended_bytes or not (is_answer or chance.random() < moments.share):
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
