"""Answers of the HTTP interface about clips: how many there are, the FLAC file of one, its spectrogram, and their deletion."""

import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

import numpy as np

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.source import Source
from edge_detector.clips.store import MOST_IDS, Clip, ClipStore
from edge_detector.detection.logmel import log_mel
from edge_detector.errors import EdgeDetectorError, SourceError
from edge_detector.params import FRONT_END
from edge_detector.types import Codes, Float32
from edge_detector.web.broadcast import pixels

MOST_SECONDS = 60.0
"""Longest clip with a spectrogram: 384 KB, and a second of a Pi's time."""
_SLACK_SECONDS = 0.5
_LOG_OFFSET = 0.001
"""Of the default bundle; its logarithm is the byte 0."""
_CHUNK_FRAMES = 100
_NO_FOLLOWING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class ClipRefusal(Exception):  # noqa: N818 - named as HTTP does
    """A clip that cannot be given; the message is a sentence for the sender."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class StoredClips:
    """Number and size of all clips."""

    count: int
    total_bytes: int

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON."""
        return {"count": self.count, "bytes": self.total_bytes}


@dataclass(frozen=True, slots=True)
class OpenClip:
    """File of a clip, open at its beginning, and its size. Whoever takes it closes it."""

    file: BinaryIO
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ClipSpectrogram:
    """Log-mel spectrogram of a clip: uint8 (frames, bands), as the live view has it, and the clip's length."""

    values: Codes
    seconds: float

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON; row per frame, low band first."""
        frames, bands = self.values.shape
        data = b64encode(self.values.tobytes()).decode("ascii")
        return {"frames": frames, "bands": bands, "seconds": self.seconds, "data": data}


def stored_clips(store: ClipStore) -> StoredClips:
    """Count the clips. Raises EdgeDetectorError."""
    with _disk_errors(store):
        clips = store.newest(MOST_IDS)
    return StoredClips(len(clips), sum(clip.size_bytes for clip in clips))


def open_clip(store: ClipStore, clip_id: str) -> OpenClip:
    """Open the file of a clip. Raises ClipRefusal, EdgeDetectorError."""
    with _disk_errors(store):
        clip = _find(store, clip_id)
        try:
            # A Path cannot be opened without following links; the route closes the file.
            file = open(os.open(clip.path, _NO_FOLLOWING), "rb")  # noqa: PTH123, SIM115 - as above
        except FileNotFoundError as error:  # deleted meanwhile
            raise _no_clip() from error
        return OpenClip(file, os.fstat(file.fileno()).st_size)


def spectrogram(store: ClipStore, clip_id: str) -> ClipSpectrogram:
    """Compute the spectrogram of a clip. Raises ClipRefusal, EdgeDetectorError."""
    from edge_detector.audio.file import AudioFile  # noqa: PLC0415 - libsndfile only where a clip is looked at

    with _disk_errors(store):
        clip = _find(store, clip_id)
        try:
            with closing(AudioFile(clip.path)) as file:
                samples, seconds = _samples(file)
        except SourceError as error:
            raise ClipRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"this clip is damaged ({error}); delete it") from error
    frames = max(0, 1 + (len(samples) - FRONT_END.frame_samples) // FRONT_END.frame_hop_samples)
    values = np.zeros((frames, FRONT_END.mel_bands), np.uint8)
    # In pieces, so that other threads run in between and memory is small.
    for first in range(0, frames, _CHUNK_FRAMES):
        end = min(first + _CHUNK_FRAMES, frames)
        start_sample, end_sample = (frame * FRONT_END.frame_hop_samples for frame in (first, end))
        piece = samples[start_sample : end_sample + FRONT_END.frame_overlap_samples]
        values[first:end] = pixels(log_mel(piece, log_offset=_LOG_OFFSET))
    return ClipSpectrogram(values, seconds)


def delete(store: ClipStore, clip_id: str) -> dict[str, object]:
    """Delete a clip; returns the values for JSON. Raises ClipRefusal, EdgeDetectorError."""
    with _disk_errors(store):
        if not store.delete(clip_id):
            _find(store, clip_id)  # says why it is not there
            store.delete(clip_id)
    return {"id": clip_id}


def delete_all(store: ClipStore) -> dict[str, object]:
    """Delete all clips, and those that are being written; returns the number of the former for JSON. Raises EdgeDetectorError."""
    with _disk_errors(store):
        return {"deleted": store.delete_all()}


def _samples(file: Source) -> tuple[Float32, float]:
    """Return a clip's samples at 16 kHz and its length in seconds."""
    resampler, pieces, read_samples = StreamResampler(file.rate_hz), list[Float32](), 0
    while (block := file.read(0.0)) is not None:
        read_samples += len(block.samples)
        if read_samples > (MOST_SECONDS + _SLACK_SECONDS) * file.rate_hz:
            sentence = f"a clip longer than {MOST_SECONDS:g} s has no spectrogram; listen to it without one"
            raise ClipRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)
        converted = resampler.push(block)
        if converted is not None:
            pieces.append(converted.samples)
    rest = resampler.finish()
    if rest is not None:
        pieces.append(rest.samples)
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32), read_samples / file.rate_hz


def _find(store: ClipStore, clip_id: str) -> Clip:
    """Return the clip of an id. Raises ClipRefusal, OSError."""
    found = store.find(clip_id)
    if found is not None:
        return found
    if store.is_being_written(clip_id):
        sentence = "this clip is still being recorded; try again some seconds after its event's end"
        raise ClipRefusal(HTTPStatus.CONFLICT, sentence)
    found = store.find(clip_id)  # it may have been completed between the two looks
    if found is None:
        raise _no_clip()
    return found


def _no_clip() -> ClipRefusal:
    return ClipRefusal(HTTPStatus.NOT_FOUND, "there is no such clip; it may have been deleted: choose another one")


@contextmanager
def _disk_errors(store: ClipStore) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EdgeDetectorError(f"{store.folder} cannot be used ({error.strerror or error}); check the disk") from error
