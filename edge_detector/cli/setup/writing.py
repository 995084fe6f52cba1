"""Where a configuration and its password are written, and writing each in one step."""

import os
from contextlib import suppress
from itertools import count
from pathlib import Path

from edge_detector.errors import EdgeDetectorError
from edge_detector.files import sync_folder

CONFIG_MODE, SECRET_MODE, SECRETS_MODE = 0o644, 0o600, 0o700
HERE = Path("edge.toml")


def default_path(given: Path | None, installed: Path) -> Path:
    """Return the file to write: the one given, else the service's if this user may write it, else one in this folder."""
    if given is not None:
        return given
    return installed if not problem_of(installed) else HERE


def problem_of(path: Path) -> str | None:
    """Return why `path` cannot be written by this user, or None."""
    folder = path.resolve().parent
    if path.is_dir():
        return f"{path} is a folder; give the name of a file in it"
    if not folder.is_dir():
        return f"the folder {folder} is not there; make it, or give another"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not write into {folder}; begin again as root (sudo edge-detector setup), or give another file"
    return None


def secret_file(path: Path, name: str) -> Path:
    """Return the file of a password that belongs to a configuration; the service is given those of this folder."""
    return path.resolve().parent / "secrets" / name


def backup_of(path: Path) -> Path:
    """Return an unused name beside `path` for its old content, such as edge.toml.bak or edge.toml.bak-2."""
    names = (path.with_name(f"{path.name}.bak{'' if number == 1 else f'-{number}'}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def write_secret(path: Path, secret: str) -> None:
    """Write a secret that only its owner can read. Raises EdgeDetectorError."""
    try:
        path.parent.mkdir(SECRETS_MODE, exist_ok=True)
        _replace(path, f"{secret}\n", SECRET_MODE)
    except OSError as error:
        raise EdgeDetectorError(f"the password cannot be written to {path}: {error.strerror}; {_ROOM}") from error


def write_config(path: Path, text: str, backup: Path | None) -> None:
    """Write a configuration, the old one being kept as `backup`. Raises EdgeDetectorError; the old one is whole then."""
    path = path.resolve()
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else CONFIG_MODE
        if backup is not None:
            _replace(backup, path.read_bytes().decode(), mode)
        _replace(path, text, mode)
    except OSError as error:
        raise EdgeDetectorError(f"{path} cannot be written: {error.strerror}; {_ROOM}") from error


_ROOM = "see whether the disk is full or read-only (df), and begin again"


def _replace(path: Path, text: str, mode: int) -> None:
    """Write a file by a rename, so that it is the old or the new one after a power cut. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    owner = path.stat() if path.exists() else None
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - of a descriptor
            if owner is not None:
                with suppress(PermissionError):
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
