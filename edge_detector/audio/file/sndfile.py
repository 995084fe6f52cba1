"""libsndfile: decoder of audio files, writer of FLAC files. The only file that imports soundfile."""

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from edge_detector.audio.file.containers import Layout, is_size_of_stream
from edge_detector.errors import SourceError
from edge_detector.streams import discarded_native_messages
from edge_detector.types import Float32, Int16

DECODE_SAMPLES = 16_384
"""Fixed read size: the last bit of libsndfile's MP3 samples depends on the size of the read."""

_UNKNOWN_FRAMES = 2**63 - 1
_MP3_FRAMES_TOLERANCE = 5_760
"""An MP3 header may count a few frames of 1152 samples too many."""

_SIZE_NOTE = re.compile(
    r"^ *(data|SSND|BODY|Data Size|Data length|riff|Riff size)\b *:? *(\d+) (?:\()?should be (\d+)", re.MULTILINE
)
"""Entry in libsndfile's log for a wrong size in a header: the size, and the size that fits the file."""

SndfileError = soundfile.SoundFileError
"""Error of libsndfile; the constructor of a decoder raises it for a file that libsndfile does not support."""


class _SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """Sequential reader. The base class seeks after each read, which fails in FLAC and corrupts MP3."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """libsndfile decoder of a whole file, or of the concatenated recordings in it, in order.

    Raises:
        SndfileError: libsndfile does not support the file.

    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path, self._layout = path, layout
        self._parts = iter(layout.parts)
        self._bytes: _FileRange | None = None
        self._file = self._open_next(next(self._parts))
        self._frames = self._part_frames()
        self._read_frames = 0
        self._missing = 0
        self.counted = 0
        self.rate_hz, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.is_float = self._file.subtype in ("FLOAT", "DOUBLE")
        self.cut = _is_cut(self._file)

    def read(self) -> Float32:
        """Decode the next frames, float32 (n, channels); none at the end."""
        while True:
            frames = self._decode()
            if len(frames):
                self._read_frames += len(frames)
                self.counted += len(frames)
                return frames
            self._count_missing()
            if (part := next(self._parts, None)) is None:
                self._reject_loss()
                return frames
            self._continue_with(part)

    def close(self) -> None:
        """Close the file; may be called again."""
        self._file.close()
        if self._bytes is not None:
            self._bytes.close()

    def _decode(self) -> Float32:
        wanted = DECODE_SAMPLES if self._frames is None else min(DECODE_SAMPLES, self._frames - self._read_frames)
        if wanted <= 0:
            return np.zeros((0, self.channels), np.float32)
        with discarded_native_messages():
            try:
                frames: Float32 = self._file.read(wanted, dtype="float32", always_2d=True)
            except SndfileError as error:
                raise SourceError(f"{self._path} is damaged after sample {self.counted}: {reason_of(error)}") from error
        return frames

    def _open_next(self, part: tuple[int, int]) -> _SequentialSoundFile:
        with discarded_native_messages():
            if len(self._layout.parts) == 1:
                return _SequentialSoundFile(os.fsencode(self._path))
            self._bytes = _FileRange(self._path, *part)
            return _SequentialSoundFile(self._bytes)

    def _part_frames(self) -> int | None:
        return None if self._file.frames == _UNKNOWN_FRAMES or self._is_estimate() else int(self._file.frames)

    def _is_estimate(self) -> bool:
        return self._file.format == "MP3" and not self._layout.counts_frames

    def _count_missing(self) -> None:
        missing = 0 if self._frames is None else self._frames - self._read_frames
        if self._file.format == "MP3" and missing <= _MP3_FRAMES_TOLERANCE:
            missing = 0
        self._missing += missing

    def _continue_with(self, part: tuple[int, int]) -> None:
        self.close()
        try:
            self._file = self._open_next(part)
        except SndfileError as error:
            raise SourceError(f"{self._path} is damaged after sample {self.counted}: {reason_of(error)}") from error
        if (rate_hz := int(self._file.samplerate)) != self.rate_hz:
            raise SourceError(
                f"{self._path} continues at {rate_hz} Hz after sample {self.counted}, not at {self.rate_hz} Hz; cut it there"
            )
        self.channels = int(self._file.channels)
        self._frames, self._read_frames = self._part_frames(), 0

    def _reject_loss(self) -> None:
        # A missing end is reported as truncation, not as damage.
        if self._layout.damaged or (self._missing > 0 and not self._layout.cut):
            lost = f"{self._missing / self.rate_hz:.2f} s of it" if self._missing > 0 else "a part of it"
            raise SourceError(f"{self._path} is damaged: {lost} cannot be decoded; get it again, or leave it out")


class FlacWriter:
    """Writer of a FLAC file, 16 bits, mono, into an unbuffered file, which the caller closes.

    `write` and `close` raise the OSError of the file as it is; SndfileError where libsndfile refuses the rate.

    Args:
        file: an empty file, open for reading and writing.
        rate_hz: sample rate.
        tags: Vorbis comments by soundfile's names: title, artist, comment, date, …

    """

    def __init__(self, file: io.FileIO, rate_hz: int, tags: Mapping[str, str]) -> None:
        self._bytes = _ErrorKeeper(file)
        self._file = soundfile.SoundFile(self._bytes, "w", rate_hz, 1, "PCM_16", format="FLAC")
        for name, value in tags.items():
            setattr(self._file, name, value)

    def write(self, samples: Int16) -> None:
        """Encode and write int16 samples (n,)."""
        self._file.write(samples)
        self._bytes.raise_error()

    def close(self) -> None:
        """Write the rest and complete the header; may be called again."""
        self._file.close()
        self._bytes.raise_error()


class _ErrorKeeper:
    """A file for libsndfile, whose callbacks cannot raise: it keeps the first error, and then discards what is written."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        with self._kept():
            while self._error is None and rest:
                rest = rest[self._file.write(rest) :]
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._kept():
            return self._file.seek(offset, whence)
        return 0

    def tell(self) -> int:
        with self._kept():
            return self._file.tell()
        return 0

    def read(self, size: int) -> bytes:
        with self._kept():
            return self._file.read(size) or b""
        return b""

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = self._error or error

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


class _FileRange(io.RawIOBase):
    """A byte range of a file as a file object."""

    def __init__(self, path: Path, first: int, end: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._first, self._size = first, end - first
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - Buffer has a name from Python 3.12 on
        view = memoryview(buffer).cast("B")
        # The calling library prints exceptions and drops them.
        with suppress(OSError):
            self._file.seek(self._first + self._position)
            read = self._file.readinto(view[: max(0, self._size - self._position)])
            self._position += read
            return read
        return 0

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_cut(file: soundfile.SoundFile) -> bool:
    """Return whether a header declares more bytes than there are, according to libsndfile's log."""
    _, _, log = file.extra_info.partition("\nLength")
    # Either size may be wrong: WAV and AIFF log that of the samples, formats with larger sizes only that of the file.
    return any(int(found[3]) < int(found[2]) and not is_size_of_stream(int(found[2])) for found in _SIZE_NOTE.finditer(log))


def reason_of(error: Exception) -> str:
    """Return what libsndfile says about an error."""
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
