"""Released files, kept only if their checksum is right: downloaded, or copied from a disk."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from convert.download.resume import Download, ReleasedFile, RetryPolicy, delete, say, unwritable
from convert.files import atomic_path
from edge_detector.errors import EdgeDetectorError


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}; give a file that can"
        raise EdgeDetectorError(message) from error


def download(file: ReleasedFile, url: str, folder: Path, patience: RetryPolicy) -> str:
    """Have `file` in `folder`, and say how: "already there", "downloaded" or "resumed".

    What came of an unfinished download stays as a hidden .part file, and the next call goes on from it. Whatever has the wrong
    checksum is deleted.
    """
    with _only_one(folder):
        target = folder / file.name
        part = folder / f".{file.name}.{file.sha256[:8]}.part"
        if target.is_file() and sha256_of(target) == file.sha256:
            delete(part)
            return "already there"
        for again in (False, True):
            resumed = Download(file, url, part, patience).complete()
            found = sha256_of(part)
            if found == file.sha256:
                _move(part, target)
                return "resumed" if resumed else "downloaded"
            delete(part)
            if not resumed or again:
                break
            # Its beginning may have been another file's; a download in one piece has no such excuse.
            say(f"{file.name}: the resumed file has the wrong checksum; once more from the beginning")
    message = f"{url} is not the released {file.name}: its sha256 is {found}, not {file.sha256}; nothing was kept"
    raise EdgeDetectorError(message)


def copy_checked(source: Path, file: ReleasedFile, folder: Path) -> str:
    """Have `file` in `folder` from a copy on disk, and say how: "already there" or "copied"."""
    target = folder / file.name
    with _only_one(folder):
        if target.is_file() and sha256_of(target) == file.sha256:
            return "already there"
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
            if (found := sha256_of(temporary)) != file.sha256:
                message = f"{source} is not the released {file.name}: its sha256 is {found}, not {file.sha256}; nothing was kept"
                raise EdgeDetectorError(message)
    return "copied"


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep a second program from writing to the same part file; the lock is on the folder and leaves nothing behind."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another fetch is writing to {folder}; wait for it, or give another --output"
            raise EdgeDetectorError(message) from error
        yield
    finally:
        os.close(handle)
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _move(part: Path, target: Path) -> None:
    try:
        part.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
