"""What a training was begun with, beside its checkpoint: only the same data and options may go on from there."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from convert.files import read_json, write_json
from edge_detector.errors import UsageError

BEGUN = "begun.json"


def begin_or_go_on(checkpoint: Path, key: Mapping[str, Any]) -> None:
    """Note what a training begins with; where there is a checkpoint, require that it was begun with the same.

    Raises UsageError for a checkpoint that was not: its weights would be taken for what the new data and options made.
    """
    noted = checkpoint.with_name(BEGUN)
    if not checkpoint.exists():
        write_json(noted, key)
        return
    before = read_json(noted) if noted.exists() else {}
    if other := _other(before, key):
        raise UsageError(
            f"{checkpoint.parent} holds a training begun with other {other}; give --no-resume to begin anew, or another folder"
        )


def digest_of_files(paths: Iterable[Path]) -> str:
    """Sha256 of their contents one after the other. Raises UsageError for one that cannot be read."""
    digests = []
    for path in paths:
        try:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; run the command that makes it first") from error
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _other(before: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """What differs, in words; nothing where all is the same."""
    # As it is read back: JSON knows no tuples.
    now = json.loads(json.dumps(key))
    return " and ".join(name.replace("_", " ") for name in now if before.get(name) != now[name])
