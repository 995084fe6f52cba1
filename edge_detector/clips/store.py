"""The folder of clips: one FLAC file for each, readable by the service and root alone. Other processes may use it meanwhile."""

import errno
import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge_detector.bounded_files import require_regular
from edge_detector.clips.flac_header import HEAD_BYTES, FlacHead, read_head
from edge_detector.clips.names import ClipName, clip_id_of, is_clip_id, parse_clip_name
from edge_detector.files import entries_of, remove_file, sync_folder

FOLDER_NAME = "clips"
PART_SUFFIX = ".part"
DAY_MS = 86_400_000
SPARE_BYTES = 50_000_000
"""Room on the disk that clips leave to the outbox and the history."""
MOST_IDS = 100_000
_TRY_BYTES = 100_000
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_FOLLOWING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class ClipError(Exception):
    """A clip cannot be written. The writer handles it and reports its sentence."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A stored clip: the facts in its name, its size, and its file."""

    name: ClipName
    size_bytes: int
    path: Path


class ClipStore:
    """The clips in `folder`, which may be missing. Every method may raise OSError, and waits for the disk.

    A clip is a regular file with the name of one; links, folders and incomplete clips are none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self, limit: int) -> tuple[Clip, ...]:
        """Return at most `limit` clips, the newest first."""
        return tuple(heapq.nlargest(limit, self._clips(), key=_age))

    def find(self, clip_id: str) -> Clip | None:
        """Return the clip of this id; None if there is none, or the id is none."""
        if not is_clip_id(clip_id):
            return None
        return max(self._clips(clip_id), key=_age, default=None)

    def ids(self) -> frozenset[str]:
        """Return the ids of all clips, and of those that are being written. Only names are looked at."""
        files = (entry.name for entry in entries_of(self.folder) if entry.is_file(follow_symlinks=False))
        found = (clip_id_of(name.removesuffix(PART_SUFFIX)) for name in files)
        return frozenset(islice(filter(None, found), MOST_IDS))

    def is_being_written(self, clip_id: str) -> bool:
        """Whether the clip of this id is not complete yet."""
        return is_clip_id(clip_id) and any(clip_id in path.name for path in self._parts())

    def delete(self, clip_id: str) -> bool:
        """Delete the clip of this id, for good even if the power is cut next; whether there was one."""
        if not is_clip_id(clip_id):
            return False
        removed = sum(remove_file(clip.path) for clip in list(self._clips(clip_id)))
        if removed:
            self._sync()
        return removed > 0

    def delete_all(self) -> int:
        """Delete all clips, and those that are being written, for good as `delete`; returns how many of the former there were."""
        self._remove_parts()
        removed = sum(remove_file(clip.path) for clip in list(self._clips()))
        self._sync()
        return removed

    def head(self, clip: Clip) -> FlacHead:
        """Return length and comments of a clip. Raises ValueError too, if it is damaged."""
        require_regular(clip.path)
        with open(os.open(clip.path, _NO_FOLLOWING), "rb") as file:  # noqa: PTH123 - a Path cannot be opened without following links
            return read_head(file.read(HEAD_BYTES))

    def prepare(self) -> None:
        """Make the folder, and remove what an earlier process has left incomplete. Only for the one that writes."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_parts()

    def try_disk(self) -> None:
        """Write a file and remove it, to find out whether the disk takes clips again."""
        path = self.folder / f"try{PART_SUFFIX}"
        try:
            path.write_bytes(bytes(_TRY_BYTES))
        finally:
            path.unlink(missing_ok=True)

    def require_room(self, place: Path | int) -> None:
        """Raise ClipError where the disk of a path or descriptor has no room to spare."""
        status = os.statvfs(place)
        free_bytes = status.f_bavail * status.f_frsize
        if free_bytes < SPARE_BYTES:
            raise ClipError(
                f"the disk of {self.folder} has {free_bytes // 1_000_000} MB left, which are for events; make room, or lower "
                f"megabytes in [clips]"
            )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Convert the OSError of what fails inside into ClipError."""
        try:
            yield
        except OSError as error:
            remedy = "make room" if error.errno in _FULL else "make it writable"
            raise ClipError(f"{self.folder} cannot be used ({error.strerror or error}); {remedy}") from error

    def trim(self, now_ms: int, *, days: int, most_bytes: int) -> int:
        """Delete clips of events older than `days`, and the oldest beyond `most_bytes`; returns how many.

        Clips that are being written count into the bytes.
        """
        clips = sorted(self._clips(), key=_age)
        total_bytes = sum(clip.size_bytes for clip in clips) + sum(_size(path) for path in self._parts())
        removed = 0
        for clip in clips:
            if clip.name.start_ms >= now_ms - days * DAY_MS and total_bytes <= most_bytes:
                break
            removed += remove_file(clip.path)
            total_bytes -= clip.size_bytes
        return removed

    def _clips(self, clip_id: str = "") -> Iterator[Clip]:
        """Yield the clips, or those of an id."""
        for entry in entries_of(self.folder):
            name = parse_clip_name(entry.name) if clip_id in entry.name else None
            if clip_id and name is not None and name.id != clip_id:
                continue
            if name is not None and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    yield Clip(name, entry.stat(follow_symlinks=False).st_size, Path(entry.path))

    def _parts(self) -> Iterator[Path]:
        for entry in entries_of(self.folder):
            if entry.name.endswith(PART_SUFFIX) and entry.is_file(follow_symlinks=False):
                yield Path(entry.path)

    def _remove_parts(self) -> None:
        for path in list(self._parts()):
            remove_file(path)

    def _sync(self) -> None:
        with suppress(FileNotFoundError):
            sync_folder(self.folder)


def _age(clip: Clip) -> tuple[int, str]:
    return clip.name.start_ms, clip.name.id


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
