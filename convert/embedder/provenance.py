"""Provenance of records: their embedder, and a digest of the recordings that they were made of."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from convert.embedder.runtime import CodeEmbedder
from edge_detector import __version__
from edge_detector.errors import UsageError

RECORDINGS = "recordings"
"""Name of the digest among the facts."""


def provenance(
    embedder: CodeEmbedder, files: Iterable[tuple[str, Path]], folds: Sequence[int] | None = None
) -> Mapping[str, object]:
    """Return the facts that a set of record files depends on; files of other facts do not belong to the set.

    Args:
        embedder: of the records.
        files: name and path of each recording.
        folds: folds of labelled clips; None for recordings without.

    Raises UsageError for a recording that cannot be read.
    """
    return {**set_facts(embedder, folds), RECORDINGS: recordings_digest(files)}


def set_facts(embedder: CodeEmbedder, folds: Sequence[int] | None) -> Mapping[str, object]:
    """Return the facts that all files of a set have in common."""
    of_clips = {} if folds is None else {"folds": list(folds)}
    return {**embedder.made_of, **of_clips, "program": __version__}


def recordings_digest(files: Iterable[tuple[str, Path]]) -> str:
    """Return a digest of names, sizes and dates. Raises UsageError for a recording that cannot be read."""
    digest = hashlib.sha256()
    for name, path in files:
        # Size and date detect a changed recording; reading 100,000 again would cost more than embedding them.
        try:
            facts = path.stat()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; leave it out, or see where it went") from error
        digest.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
