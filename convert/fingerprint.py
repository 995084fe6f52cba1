"""Fingerprint of a training run beside its checkpoint; only the same data and options may resume it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from convert.files import read_json, write_json
from convert.plain_data import to_plain
from edge_detector.errors import UsageError

FINGERPRINT = "begun.json"


def check_resume(checkpoint: Path, key: Mapping[str, object]) -> None:
    """Write the fingerprint of a new run, or compare it with the one beside an existing checkpoint.

    Raises UsageError if it differs, because the checkpoint's weights belong to other data or options.
    """
    path = checkpoint.with_name(FINGERPRINT)
    if not checkpoint.exists():
        write_json(path, key)
        return
    before = read_json(path) if path.exists() else {}
    if changed := _differences(before, key):
        raise UsageError(
            f"{checkpoint.parent} holds a training begun with other {changed}; give --no-resume to begin anew, or another folder"
        )


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 over the SHA-256 digests of the files, in order. Raises UsageError for one that cannot be read."""
    return joined_digest(map(_digest_of_file, paths))


def joined_digest(digests: Iterable[str]) -> str:
    """Return the SHA-256 of digests, in order."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _digest_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; run the command that makes it first") from error


def _differences(before: Mapping[str, object], key: Mapping[str, object]) -> str:
    """Name the keys that differ; empty if all are equal."""
    now = to_plain(key)
    return " and ".join(name for name in now if before.get(name) != now[name])
