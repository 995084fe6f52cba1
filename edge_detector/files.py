"""Files and folders: checks, names, listing, removal and syncing."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

BACKGROUND_FOLDER = "background"
"""Folder among those of a person's sounds that holds the room: `record --background` writes it, and it names no class."""
SOUNDS_FOLDER = "sounds"
"""Folder in the state directory with a person's sounds, as `record` and `teach` use it."""
NEGATIVES_FOLDER = "not"
"""Folder among those of a person's sounds that holds, in NEGATIVES_FOLDER/SLUG, what was detected as that class and is not."""
MOST_ASIDE = 9
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def not_a_file(path: Path) -> str | None:
    """Name the kind of a path that is not a file, such as "a FIFO"; None for a file or a missing path. Raises OSError."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")


def name_aside(path: Path) -> Path:
    """Return an unused name beside `path` for a damaged file. The last of MOST_ASIDE names is overwritten."""
    names = [
        path.with_name(f"{path.name}.damaged"),
        *(path.with_name(f"{path.name}.damaged-{n}") for n in range(2, MOST_ASIDE + 1)),
    ]
    return next((name for name in names if not os.path.lexists(name)), names[-1])


def entries_of(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder, in any order; nothing if it is missing. Raises OSError."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        yield from entries


def remove_file(path: Path) -> bool:
    """Remove a file; whether it was there. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Sync `folder`, so that renames in it survive a power loss. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
