"""Decoders of audio files: libsndfile, and ffmpeg for containers that libsndfile does not support."""

import os
import re
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from edge_detector.audio.file.containers import layout_of
from edge_detector.audio.file.sndfile import DECODE_SAMPLES, SndfileDecoder, SndfileError, reason_of
from edge_detector.errors import SourceError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

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
    except SndfileError as error:
        if not (_FOREIGN.match(head) or path.suffix.lower() in FOREIGN_SUFFIXES):
            raise SourceError(f"{path} is not audio that can be read: {reason_of(error)}") from error
        if shutil.which("ffmpeg") is None:
            raise SourceError(
                f"{path} is not audio that can be read without ffmpeg: {reason_of(error)}; apt-get install ffmpeg, "
                f"or convert it on another machine: ffmpeg -i {path.name} {path.stem}.wav"
            ) from error
        return FfmpegDecoder(path), False
    return decoder, layout.cut or decoder.cut


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_FOREIGN_HEAD_BYTES)


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
