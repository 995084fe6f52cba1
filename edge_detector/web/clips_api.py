"""Answers of the HTTP interface about clips, reviewed or not: number, the FLAC file of one, its spectrogram, deletion."""

import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

import numpy as np

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.source import Source
from edge_detector.clips.description import parse_comment
from edge_detector.clips.flac_header import FlacHead
from edge_detector.clips.store import MOST_IDS, Clip, ClipStore
from edge_detector.detection.logmel import log_mel
from edge_detector.errors import EdgeDetectorError, SourceError
from edge_detector.params import FRONT_END
from edge_detector.review.sounds import SoundsFolder
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
class Recordings:
    """Where clips are: those that are not reviewed, and the folder of those that are."""

    clips: ClipStore
    sounds: SoundsFolder


@dataclass(frozen=True, slots=True)
class StoredClips:
    """Number and size of all clips that are not reviewed, and of those that are."""

    count: int
    total_bytes: int
    reviewed: int
    reviewed_bytes: int

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON."""
        of_reviewed = {"reviewed": self.reviewed, "reviewed_bytes": self.reviewed_bytes}
        return {"count": self.count, "bytes": self.total_bytes, **of_reviewed}


@dataclass(frozen=True, slots=True)
class OpenClip:
    """File of a clip, open at its beginning, and its size. Its receiver closes it."""

    file: BinaryIO
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ClipSpectrogram:
    """Log-mel spectrogram of a clip: uint8 (frames, bands), as the live view has it, and the clip's length.

    `lead_seconds` is the time from its beginning to its event's start; None where the clip has no such comment.
    """

    values: Codes
    seconds: float
    lead_seconds: float | None

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON; row per frame, low band first."""
        frames, bands = self.values.shape
        data = b64encode(self.values.tobytes()).decode("ascii")
        times = {"seconds": self.seconds, "lead_seconds": self.lead_seconds}
        return {"frames": frames, "bands": bands, **times, "data": data}


def stored_clips(recordings: Recordings) -> StoredClips:
    """Count the clips. Raises EdgeDetectorError."""
    with disk_errors(recordings):
        clips = recordings.clips.newest(MOST_IDS)
        reviewed = [each.clip for each in recordings.sounds.clips()]
    return StoredClips(len(clips), _bytes_of(clips), len(reviewed), _bytes_of(reviewed))


def open_clip(recordings: Recordings, clip_id: str) -> OpenClip:
    """Open the file of a clip. Raises ClipRefusal, EdgeDetectorError."""
    with disk_errors(recordings):
        clip = _find(recordings, clip_id)
        try:
            # A Path cannot be opened without following links; the route closes the file.
            file = open(os.open(clip.path, _NO_FOLLOWING), "rb")  # noqa: PTH123, SIM115 - as above
        except FileNotFoundError as error:  # deleted meanwhile
            raise no_clip() from error
        return OpenClip(file, os.fstat(file.fileno()).st_size)


def spectrogram(recordings: Recordings, clip_id: str) -> ClipSpectrogram:
    """Compute the spectrogram of a clip. Raises ClipRefusal, EdgeDetectorError."""
    from edge_detector.audio.file import AudioFile  # noqa: PLC0415 - libsndfile only where a clip is looked at

    with disk_errors(recordings):
        clip = _find(recordings, clip_id)
        try:
            with closing(AudioFile(clip.path)) as file:
                samples, seconds = _samples(file)
        except SourceError as error:
            raise ClipRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"this clip is damaged ({error}); delete it") from error
        lead_seconds = lead_of(head_of(recordings, clip))
    frames = max(0, 1 + (len(samples) - FRONT_END.frame_samples) // FRONT_END.frame_hop_samples)
    values = np.zeros((frames, FRONT_END.mel_bands), np.uint8)
    # In pieces, so that other threads run in between and memory is small.
    for first in range(0, frames, _CHUNK_FRAMES):
        end = min(first + _CHUNK_FRAMES, frames)
        start_sample, end_sample = (frame * FRONT_END.frame_hop_samples for frame in (first, end))
        piece = samples[start_sample : end_sample + FRONT_END.frame_overlap_samples]
        values[first:end] = pixels(log_mel(piece, log_offset=_LOG_OFFSET))
    return ClipSpectrogram(values, seconds, lead_seconds)


def delete(recordings: Recordings, clip_id: str) -> dict[str, object]:
    """Delete a clip, reviewed or not; returns the values for JSON. Raises ClipRefusal, EdgeDetectorError."""
    with changes(recordings):
        if not recordings.sounds.delete(recordings.clips, clip_id):
            _find(recordings, clip_id)  # raises, unless it has come meanwhile
            recordings.sounds.delete(recordings.clips, clip_id)
    return {"id": clip_id}


def delete_all(recordings: Recordings) -> dict[str, object]:
    """Delete all clips that are not reviewed, and those that are being written.

    Returns the number of the former for JSON. Raises EdgeDetectorError.
    """
    with disk_errors(recordings):
        return {"deleted": recordings.clips.delete_all()}


def head_of(recordings: Recordings, clip: Clip) -> FlacHead:
    """Return length and comments of a clip; an empty head where it is damaged, or was deleted meanwhile. Raises OSError."""
    try:
        return recordings.clips.head(clip)
    except (ValueError, FileNotFoundError):
        return FlacHead(0.0)


def lead_of(head: FlacHead) -> float | None:
    """Return the seconds from a clip's beginning to its event's start; None where its head has no such comment."""
    part = parse_comment(head.comments.get("COMMENT", ""))
    return None if part is None else part.start_seconds


def refuse_missing(recordings: Recordings, clip_id: str) -> None:
    """Raise ClipRefusal for an id without a complete clip, with the reason. Raises OSError."""
    _find(recordings, clip_id)


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


def _find(recordings: Recordings, clip_id: str) -> Clip:
    """Return the clip of an id. Raises ClipRefusal, OSError."""
    found = _complete(recordings, clip_id)
    if found is not None:
        return found
    if recordings.clips.is_being_written(clip_id):
        sentence = "this clip is still being recorded; try again some seconds after its event's end"
        raise ClipRefusal(HTTPStatus.CONFLICT, sentence)
    found = _complete(recordings, clip_id)  # it may have been completed, or reviewed, between the looks
    if found is None:
        raise no_clip()
    return found


def _complete(recordings: Recordings, clip_id: str) -> Clip | None:
    waiting = recordings.clips.find(clip_id)
    if waiting is not None:
        return waiting
    reviewed = recordings.sounds.find(clip_id)
    return None if reviewed is None else reviewed.clip


def _bytes_of(clips: Sequence[Clip]) -> int:
    return sum(clip.size_bytes for clip in clips)


def no_clip() -> ClipRefusal:
    """Return the refusal of an id that no clip has."""
    return ClipRefusal(HTTPStatus.NOT_FOUND, "there is no such clip; it may have been deleted: choose another one")


@contextmanager
def disk_errors(recordings: Recordings) -> Iterator[None]:
    """Convert the OSError of what reads inside into EdgeDetectorError."""
    try:
        yield
    except OSError as error:
        place = error.filename or recordings.clips.folder
        raise EdgeDetectorError(f"{place} cannot be used ({error.strerror or error}); check the disk") from error


@contextmanager
def changes(recordings: Recordings) -> Iterator[None]:
    """Convert the OSError of a review or a deletion inside into EdgeDetectorError."""
    try:
        yield
    except OSError as error:
        raise EdgeDetectorError(recordings.sounds.trouble(recordings.clips, error)) from error
