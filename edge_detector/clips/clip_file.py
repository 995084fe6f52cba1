"""A clip that is being written, as NAME.part until it is complete. FLAC is encoded as the sound arrives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

from edge_detector.audio.file.sndfile import FlacWriter, SndfileError
from edge_detector.clips.cutter import ClipHead, ClipPiece
from edge_detector.clips.description import EventPart, comment_of
from edge_detector.clips.flac_header import HEAD_BYTES
from edge_detector.clips.store import PART_SUFFIX, ClipError, ClipStore
from edge_detector.plain_text import without_controls

_MOST_SECONDS = 9_999.999
"""Sound after an event, at most; until it is known, the comment has this, the longest number."""


class ClipFile:
    """The file of one clip. Every method but `abandon` may raise ClipError; then only `abandon` may follow.

    Attributes:
        lost_samples: samples written so far that are silence in place of lost ones.

    """

    def __init__(self, store: ClipStore, head: ClipHead) -> None:
        self._store = store
        self._path = store.folder / head.name.file_name
        self._part = self._path.with_name(self._path.name + PART_SUFFIX)
        self._id = head.name.id
        self._head = head
        self._after_seconds = 0.0
        self.lost_samples = 0
        tags = {"title": without_controls(head.label), "artist": head.name.source, "comment": _comment(head, _MOST_SECONDS)}
        with self._errors():
            store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a person may have deleted it, with all clips
            store.require_room(store.folder)
            self._part.unlink(missing_ok=True)
            descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._file = open(descriptor, "r+b", buffering=0)  # noqa: PTH123, SIM115 - made here, and closed with the clip
            try:
                self._flac = FlacWriter(self._file, head.rate_hz, tags)
            except BaseException:
                self._file.close()
                self._part.unlink(missing_ok=True)
                raise

    def write(self, piece: ClipPiece) -> None:
        """Encode the next samples."""
        with self._errors():
            self._store.require_room(self._file.fileno())
            if piece.samples:
                # At once: each call would take the interpreter's lock from the detecting thread.
                self._flac.write(np.concatenate(piece.samples))
        self.lost_samples += piece.lost_samples
        self._after_seconds = piece.after_seconds

    def finish(self, now_ms: int, *, days: int, most_bytes: int) -> bool:
        """Complete the clip, and make room for it; False if it is larger than all clips may be."""
        with self._errors():
            self._flac.close()
            self._complete_comment()
            os.fsync(self._file.fileno())
            size_bytes = os.fstat(self._file.fileno()).st_size
            self._file.close()
            if size_bytes > most_bytes:
                self._part.unlink(missing_ok=True)
                return False
            self._store.trim(now_ms, days=days, most_bytes=most_bytes)
            earlier = self._store.find(self._id)
            try:
                self._part.rename(self._path)
            except FileNotFoundError:  # all clips were deleted meanwhile
                return True
            if earlier is not None and earlier.path != self._path:  # a recording that is processed again has the same events
                earlier.path.unlink(missing_ok=True)
        return True

    def abandon(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self._flac.close()
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _complete_comment(self) -> None:
        """Write where the event ends over the comment, which FLAC has before the sound."""
        written, true = (_comment(self._head, seconds).encode() for seconds in (_MOST_SECONDS, self._after_seconds))
        descriptor = self._file.fileno()
        at = os.pread(descriptor, HEAD_BYTES, 0).find(written)
        os.pwrite(descriptor, true.ljust(len(written)), at)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with self._store.errors():
                yield
        except SndfileError as error:
            raise ClipError(f"libsndfile cannot write {self._part} ({error}); install libsndfile1 again") from error


def _comment(head: ClipHead, after_seconds: float) -> str:
    return comment_of(head.event_id, EventPart(head.lead_seconds, min(after_seconds, _MOST_SECONDS)))
