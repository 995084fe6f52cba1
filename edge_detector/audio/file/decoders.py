"""Decoders of audio files: libsndfile, and ffmpeg for containers that libsndfile does not support."""

import io
import os
import re
import select
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile

from edge_detector.audio.file.containers import Layout, is_size_of_stream, layout_of
from edge_detector.errors import SourceError
from edge_detector.params import FRONT_END
from edge_detector.streams import discarded_native_messages
from edge_detector.types import Float32

DECODE_SAMPLES = 16_384
"""Fixed read size: the last bit of libsndfile's MP3 samples depends on the size of the read."""

_UNKNOWN_FRAMES = 2**63 - 1
_MP3_FRAMES_TOLERANCE = 5_760
"""An MP3 header may count a few frames of 1152 samples too many."""

_SIZE_NOTE = re.compile(
    r"^ *(data|SSND|BODY|Data Size|Data length|riff|Riff size)\b *:? *(\d+) (?:\()?should be (\d+)", re.MULTILINE
)
"""Entry in libsndfile's log for a wrong size in a header: the size, and the size that fits the file."""

FOREIGN_SUFFIXES = frozenset({".m4a", ".aac", ".mp4", ".m4b", ".mov", ".3gp", ".amr", ".wma", ".webm", ".mka", ".mkv", ".caf"})
"""Formats of phones and browsers that libsndfile does not support."""
_FOREIGN_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,amr,amrnb,amrwb,caf,ac3,eac3,dts,ape,wv,tta,tak,mpc,mpc8,avi,flv,mpegts,mpeg,rm,"
    "wav,ogg,flac,mp3,aiff,au,w64,dsf"
)
"""Formats that ffmpeg may open: a playlist could refer to other files of this machine."""
_FOREIGN = re.compile(
    rb"\A(?:....ftyp|....moov|....mdat|\x1a\x45\xdf\xa3|\x30\x26\xb2\x75|\xff[\xf1\xf9]|#!AMR|caff|\x0b\x77|wvpk|MAC |TTA1|"
    rb"FLV\x01|\x47.{187}\x47|\x00\x00\x01\xba|\.RMF|DSD |MPCK|MP\+|tBaK|RIFF....WAVE|RIFF....AVI |OggS|FORM....AIFC)",
    re.DOTALL,
)
_FOREIGN_HEAD_BYTES = 189
_FFMPEG_SECONDS = 30.0
_MAX_STDERR_BYTES = 65_536
_LAST_LINES = 2
_ADDRESS = re.compile(r"\[[^\]]* @ 0x[0-9a-f]+\]")


class Decoder(Protocol):
    """Decodes one recording from its beginning to its end.

    Attributes:
        rate_hz, channels: of the decoded samples.
        is_float: the file holds floating-point samples, of any value.
        counted: frames decoded so far.

    """

    rate_hz: int
    channels: int
    is_float: bool
    counted: int

    def read(self) -> Float32:
        """Decode the next frames, float32 (n, channels); none at the end. Raises SourceError if the recording is damaged."""

    def close(self) -> None:
        """Close the file; may be called again."""


def open_recording(path: Path) -> tuple[Decoder, bool]:
    """Open a decoder at the first sample; also return whether the end is missing. Raises SourceError, OSError."""
    with path.open("rb") as file:
        layout = layout_of(file, os.fstat(file.fileno()).st_size)
        head = _head(file)
    try:
        decoder = SndfileDecoder(path, layout)
    except soundfile.SoundFileError as error:
        if not (_FOREIGN.match(head) or path.suffix.lower() in FOREIGN_SUFFIXES):
            raise SourceError(f"{path} is not audio that can be read: {_reason(error)}") from error
        if shutil.which("ffmpeg") is None:
            raise SourceError(
                f"{path} is not audio that can be read without ffmpeg: {_reason(error)}; apt-get install ffmpeg, "
                f"or convert it on another machine: ffmpeg -i {path.name} {path.stem}.wav"
            ) from error
        return FfmpegDecoder(path), False
    return decoder, layout.cut or decoder.cut


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_FOREIGN_HEAD_BYTES)


class _SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """Sequential reader. The base class seeks after each read, which fails in FLAC and corrupts MP3."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """libsndfile decoder of a whole file, or of the concatenated recordings in it, in order.

    Raises:
        soundfile.SoundFileError: libsndfile does not support the file.

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
            except soundfile.SoundFileError as error:
                raise SourceError(f"{self._path} is damaged after sample {self.counted}: {_reason(error)}") from error
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
        except soundfile.SoundFileError as error:
            raise SourceError(f"{self._path} is damaged after sample {self.counted}: {_reason(error)}") from error
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


class FfmpegDecoder:
    """Decoder by an ffmpeg process: 16 kHz, mono. Raises SourceError if ffmpeg cannot decode the file either."""

    rate_hz = FRONT_END.sample_rate_hz
    channels = 1
    is_float = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.counted = 0
        self._carry = b""
        self._ended = False
        command: list[str | bytes] = [
            "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror", "-protocol_whitelist", "file",
            "-format_whitelist", _FOREIGN_CONTAINERS, "-i", os.fsencode(f"file:{path.absolute()}"),
            "-map", "0:a:0", "-ac", "1", "-ar", str(self.rate_hz), "-f", "s16le", "pipe:1",
        ]  # fmt: skip
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the decoder
        try:
            # No environment variables for a program that decodes untrusted data.
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program; the path is one argument and begins with file:
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._stderr, bufsize=0,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._stderr.close()
            raise SourceError(f"{path} cannot be read: ffmpeg cannot be run: {error.strerror}") from error
        if self._process.stdout is None:
            raise AssertionError
        self._sound = self._process.stdout

    def read(self) -> Float32:
        """Decode the next frames, float32 (n, 1); none at the end."""
        while not self._ended:
            if not select.select([self._sound], [], [], _FFMPEG_SECONDS)[0]:
                raise SourceError(f"{self._path} cannot be read: ffmpeg delivered nothing for {_FFMPEG_SECONDS:g} s")
            data = os.read(self._sound.fileno(), 2 * DECODE_SAMPLES)
            if not data:
                self._end()
            data = self._carry + data
            complete = len(data) - len(data) % 2
            self._carry = data[complete:]
            if complete:
                self.counted += complete // 2
                return (np.frombuffer(data[:complete], "<i2").astype(np.float32) / np.float32(32_768.0)).reshape(-1, 1)
        return np.zeros((0, 1), np.float32)

    def close(self) -> None:
        """Kill ffmpeg and close its files; may be called again."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._sound.close()
        self._stderr.close()

    def _end(self) -> None:
        self._ended = True
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read(_MAX_STDERR_BYTES).decode(errors="replace").splitlines()
        if code or lines:
            problem = f"is damaged after sample {self.counted}" if self.counted else "is not audio that can be read"
            reason = "; ".join(_ADDRESS.sub("", line).strip() for line in lines[-_LAST_LINES:]) or f"ffmpeg ended with {code}"
            raise SourceError(f"{self._path} {problem}: {reason.replace(f'file:{self._path.absolute()}: ', '')}")


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


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
