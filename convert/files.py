"""Atomic file writes (temporary file, then rename) and bounded reads."""

import glob
import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.plain_data import to_plain
from edge_detector.bounded_files import parse_json, read_npz, read_regular, require_regular
from edge_detector.errors import EdgeDetectorError, UsageError

MAX_JSON_BYTES = 256_000_000
MAX_ARRAYS_BYTES = 4_000_000_000
"""VGGish in float32 has 0.3 GB."""

ABANDONED_AFTER_SECONDS = 3600.0
"""Age at which another machine's temporary file counts as left behind."""

_UNIQUE = r"(?:\.json|\.damaged\.tsv)?\.(?P<host>[0-9a-f]{8})-\d+-[0-9a-f]{8}\.part"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; rename it to `path` on success, delete it on failure."""
    # Several machines may write the same file of a shared folder, and a process id is one machine's.
    own = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name}.{own}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise EdgeDetectorError(message) from error
    finally:
        # A parent that is a regular file was reported above.
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)


def abandoned(path: Path) -> list[Path]:
    """Return the temporary files that killed runs left of `path` and of the files that describe it.

    The caller holds the lock of `path`. Not every file system shows it to other machines: their files must be old.
    """
    unique = re.compile(re.escape(f".{path.name}") + _UNIQUE)
    now, found = time.time(), []
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if match := unique.fullmatch(part.name):
            with suppress(FileNotFoundError):
                if match["host"] == _host() or now - part.stat().st_mtime > ABANDONED_AFTER_SECONDS:
                    found.append(part)
    return sorted(found)


def _host() -> str:
    """Return a name of this machine for names of files: short, and without a dot."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def sha256_of(path: Path) -> str:
    """Return the hexadecimal digest of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}; give a file that can"
        raise EdgeDetectorError(message) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: object) -> None:
    """Write a dataclass or a mapping as an indented JSON object without NaN."""
    write_bytes(path, (json.dumps(to_plain(content), indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises UsageError for a missing file, EdgeDetectorError for any other content."""
    try:
        content = parse_json(read_regular(path, MAX_JSON_BYTES))
    except FileNotFoundError as error:
        in_repository = "give its path in a clone of the repository: the wheel has not all files of the recipes"
        made = "run the command that makes it first"
        raise UsageError(f"{path} does not exist; {in_repository if path.parent.name == 'recipes' else made}") from error
    except (OSError, ValueError) as error:
        message = f"{path} is not a readable JSON file: {getattr(error, 'strerror', None) or error}"
        raise EdgeDetectorError(message) from error
    if not isinstance(content, dict):
        message = f"{path} holds no JSON object"
        raise EdgeDetectorError(message)
    return content


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz file."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz file, by name. Raises UsageError for a missing file, EdgeDetectorError for a damaged one."""
    try:
        require_regular(path)
        with path.open("rb") as file:
            return read_npz(file, MAX_ARRAYS_BYTES)
    except FileNotFoundError as error:
        message = f"{path} does not exist; run the command that makes it first"
        raise UsageError(message) from error
    except (OSError, ValueError) as error:
        message = f"{path} is not an npz file of numbers, or is cut or damaged: {getattr(error, 'strerror', None) or error}"
        raise EdgeDetectorError(message) from error
