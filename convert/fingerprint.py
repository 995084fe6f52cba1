"""Fingerprint of a training run beside its checkpoint; only the same data and options may resume it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from convert.files import read_json, write_json
from edge_detector.errors import UsageError

FINGERPRINT = "begun.json"


def check_resume(checkpoint: Path, key: Mapping[str, Any]) -> None:
    """Write the fingerprint of a new run, or require that it matches the one beside an existing checkpoint.

    Raises UsageError if it differs: the checkpoint's weights would pass for those of the new data and options.
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
    digests = []
    for path in paths:
        try:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; run the command that makes it first") from error
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _differences(before: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """Name the keys that differ; empty if none."""
    # Round trip through JSON, which turns tuples into lists.
    now = json.loads(json.dumps(key))
    return " and ".join(name.replace("_", " ") for name in now if before.get(name) != now[name])
