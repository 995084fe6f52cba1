"""Files of stored probabilities: one a day in UTC, in parts where it is large. Nothing is synced, which spares the flash card.

A block is appended by one write, so that two processes do not mix theirs. What a crash or a power cut tears is passed over.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from edge_detector.bounded_files import read_regular
from edge_detector.errors import EdgeDetectorError
from edge_detector.files import not_a_file
from edge_detector.history.probabilities import Block, StoredBlock, decode, encode
from edge_detector.history.store import DAY_MS, HistoryError

FOLDER_NAME = "probabilities"
MOST_DAYS = 8
"""A week, the longest time that is asked for, and the day that is under way."""
PART_BYTES = 16 << 20
"""Size of a file at most, since it is read as a whole."""
_PARTS = 8
"""Number of files at least that the size of all is divided among; the oldest is removed as a whole."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)(?:-(\d{1,5}))?\.bin", re.ASCII)


@dataclass(frozen=True, order=True, slots=True)
class _DayFile:
    """A file by its day and part, in the order of time."""

    day: date
    part: int

    @property
    def name(self) -> str:
        return f"{self.day}.bin" if self.part == 1 else f"{self.day}-{self.part}.bin"


class ProbabilityFolder:
    """Writes the blocks of all sources into a folder, and removes old ones. Every method may raise HistoryError.

    Args:
        folder: made if it is missing, readable by its owner alone.
        days: a file whose day began earlier than this is removed; beyond `MOST_DAYS` those.
        megabytes: size of all files, beyond which the oldest are removed.

    """

    def __init__(self, folder: Path, *, days: int, megabytes: int) -> None:
        self._folder = folder
        self._days = min(days, MOST_DAYS)
        self._most_bytes = megabytes << 20

    def append(self, block: Block) -> None:
        """Write one block."""
        content, day = encode(block), _day(block.place.start_ms)
        with self._errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = max((file.part for file in _files(self._folder) if file.day == day), default=1)
            path = self._folder / _DayFile(day, part).name
            if kind := not_a_file(path):
                raise HistoryError(f"{path} is {kind}, and the probabilities need a file; move it away")
            with suppress(FileNotFoundError):
                if path.stat().st_size + len(content) > min(PART_BYTES, self._most_bytes // _PARTS):
                    path = self._folder / _DayFile(day, part + 1).name
            _append(path, content)

    def trim(self, now_ms: int) -> None:
        """Remove the files beyond the limits."""
        first = _day(now_ms - self._days * DAY_MS)
        with self._errors(), suppress(FileNotFoundError):
            sizes = {file: (self._folder / file.name).stat().st_size for file in sorted(_files(self._folder))}
            size = sum(sizes.values())
            for file, of_file in sizes.items():
                if file.day <= first or size > self._most_bytes:
                    (self._folder / file.name).unlink(missing_ok=True)
                    size -= of_file

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = "make room" if error.errno in _FULL else "make it writable"
            raise HistoryError(f"{self._folder} cannot be used ({error}); {advice}") from error


def read_blocks(folder: Path, source: str, since_ms: int, until_ms: int) -> Iterator[StoredBlock]:
    """Yield the blocks of a source that may lie in this time, in the order of writing. Raises EdgeDetectorError."""
    # A block that began before midnight may reach into the time.
    first, last = _day(since_ms - DAY_MS), _day(until_ms)
    try:
        for file in sorted(_files(folder)):
            if first <= file.day <= last:
                # One that is removed meanwhile is too old anyway.
                with suppress(FileNotFoundError):
                    yield from decode(read_regular(folder / file.name, 2 * PART_BYTES, follow_links=False), source)
    except FileNotFoundError:
        return
    except OSError as error:
        raise EdgeDetectorError(f"the stored probabilities cannot be read ({error}); look at {folder}") from error


def _day(unix_ms: int) -> date:
    return datetime.fromtimestamp(unix_ms / 1e3, UTC).date()


def _files(folder: Path) -> Iterator[_DayFile]:
    """Yield the files of a folder that are this program's, in any order. Raises OSError."""
    for name in os.listdir(folder):  # noqa: PTH208 - names are all that is needed
        if found := _NAME.fullmatch(name):
            with suppress(ValueError):  # the 31st of February
                yield _DayFile(date.fromisoformat(found[1]), int(found[2] or 1))


def _append(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags, 0o600)
    try:
        before_bytes = os.fstat(descriptor).st_size
        if os.write(descriptor, content) < len(content):
            # What room is left is for events.
            os.ftruncate(descriptor, before_bytes)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)
