"""Audio file source: WAV, FLAC, Ogg, MP3, AIFF and more, any rate, width and channel count; M4A and others by ffmpeg."""

import errno
import hashlib
import time
from collections import deque
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from edge_detector.audio.file.decoders import open_recording
from edge_detector.audio.file.sndfile import DECODE_SAMPLES
from edge_detector.audio.gaps import Gap, gaps_path, parse_gaps
from edge_detector.audio.signal_quality import first_invalid_sample, within_full_scale
from edge_detector.bounded_files import read_regular
from edge_detector.errors import SourceError
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

LOWEST_RATE_HZ = 4_000
HIGHEST_RATE_HZ = 384_000

_STREAM_ID_CHARACTERS = 12
_CANCELLED_SHARE = 1e-4
"""Share of the channels' energy below which their mean counts as cancelled: one channel is the other inverted."""

MAX_GAPS_BYTES = 16_000_000
"""One gap per second for two days."""


class AudioFile:
    """An audio file as a source: mono by the mean of all channels, 16-bit samples exactly int16 / 32768.

    Gaps listed beside the file (see `audio.gaps`) are reproduced as in the live source.

    Args:
        path: the file; it is checked here, before the first block. Raises SourceError.
        block_samples: size of every block but the last and those that end at a gap.
        real_time: return each block no earlier than a microphone would, by `clock`, waiting with `wait`; both in seconds.

    """

    live = False
    waiting_seconds = 0.0
    overflows = 0

    def __init__(
        self,
        path: Path,
        *,
        block_samples: int = DECODE_SAMPLES,
        real_time: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._block_samples = block_samples
        self._real_time, self._clock, self._wait = real_time, clock, wait
        self._started_at: float | None = None
        _require_sound_file(path)
        self._gaps = deque(_read_gaps(path))
        self._fault: SourceError | None = None
        self._delivered_samples = 0
        self._first_sample = 0
        self._ended = False
        self._channel_energy = self._mean_energy = 0.0
        self._beyond_samples = 0
        self.clipped_samples = 0
        try:
            self._decoder, cut = open_recording(path)
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
        self.cut = f"{path} is truncated: its end is missing; get it again, or re-encode the rest with ffmpeg" if cut else None
        try:
            self._reject_bad_rate()
            if self._decoder.is_float:
                self._check_all_samples()
            self._pending = self._decode_first()
        except BaseException:
            self._decoder.close()
            raise

    @cached_property
    def stream_id(self) -> str:
        """Digest of the file's content, which is read whole for it, the first time. Raises SourceError."""
        try:
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:_STREAM_ID_CHARACTERS]
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read: {error.strerror}") from error

    @property
    def rate_hz(self) -> int:
        """Sample rate of the file."""
        return self._decoder.rate_hz

    @property
    def channels(self) -> int:
        """Channel count of the file."""
        return self._decoder.channels

    @property
    def ended(self) -> bool:
        """True once the last block has been read."""
        return self._ended

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user; complete once the file has ended."""
        found = [self.cut] if self.cut is not None else []
        if self.rate_hz < FRONT_END.sample_rate_hz:
            found.append(
                f"{self._path} is sampled at {self.rate_hz} Hz: it has nothing above {self.rate_hz // 2} Hz, so expect "
                f"sounds with high frequencies to be missed; {FRONT_END.sample_rate_hz} Hz or more is best"
            )
        if self._beyond_samples:
            found.append(
                f"{self._path} is clipped: {self._beyond_samples} of its samples exceed full scale; export it at a lower level"
            )
        if self._ended and self.cancelled is not None:
            found.append(self.cancelled)
        return tuple(found)

    @property
    def cancelled(self) -> str | None:
        """Error text if the channels cancel each other out; else None."""
        if self._mean_energy >= _CANCELLED_SHARE * self._channel_energy:
            return None
        return (
            f"the channels of {self._path} cancel each other out, so nothing can be detected; "
            f"extract one of them: ffmpeg -i IN.wav -af 'pan=mono|c0=c0' OUT.wav"
        )

    def read(self, timeout_seconds: float) -> Block | None:
        """Read the next block; None at the end and, in real time, if it is not due within the timeout."""
        if self._ended:
            return None
        lost_samples = 0
        if self._gaps and self._gaps[0].at_sample == self._delivered_samples:
            lost_samples = self._gaps[0].lost_samples
        wanted = self._block_samples
        for gap in self._gaps:
            if gap.at_sample > self._delivered_samples:
                wanted = min(wanted, gap.at_sample - self._delivered_samples)
                break
        first_sample = self._first_sample + lost_samples
        if not self._is_due(first_sample + wanted, timeout_seconds):
            return None
        samples = self._dequeue(wanted)
        if not len(samples) and self._fault is not None:
            raise self._fault
        self._ended = len(samples) < wanted and self._fault is None
        if not len(samples):
            return None
        if lost_samples:
            self._gaps.popleft()
        self._delivered_samples += len(samples)
        self._first_sample = first_sample + len(samples)
        return Block(samples, first_sample, lost_samples)

    def close(self) -> None:
        """Close the file; may be called again."""
        self._ended = True
        self._decoder.close()

    def _is_due(self, end_sample: int, timeout_seconds: float) -> bool:
        if not self._real_time:
            return True
        now = self._clock()
        if self._started_at is None:
            self._started_at = now
        early_seconds = self._started_at + end_sample / self.rate_hz - now
        if early_seconds > 0.0:
            self._wait(min(early_seconds, timeout_seconds))
        return early_seconds <= timeout_seconds

    def _dequeue(self, wanted: int) -> Float32:
        pieces: list[Float32] = []
        while wanted and len(self._pending):
            pieces.append(self._pending[:wanted])
            wanted -= len(pieces[-1])
            self._pending = self._pending[len(pieces[-1]) :]
            if not len(self._pending):
                self._pending = self._decode()
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def _decode_first(self) -> Float32:
        samples = self._decode()
        if self._fault is not None:
            raise self._fault
        if not len(samples):
            raise SourceError(f"{self._path} holds no samples")
        return samples

    def _decode(self) -> Float32:
        """Decode mono samples; none at the end. Damage is kept in `_fault`, which `read` raises after the samples before it."""
        try:
            frames = self._decoder.read()
            self._reject_invalid(frames, self._decoder.counted - len(frames))
        except SourceError as error:
            self._fault = error
            return np.zeros(0, np.float32)
        if self._decoder.is_float:
            frames, clipped = within_full_scale(frames)
            self.clipped_samples += clipped
        channels = frames.shape[1]
        if channels == 1:
            mono: Float32 = frames[:, 0]
            return mono
        # In double, sums of samples of up to 24 bits are exact. Column by column: mean() takes twice as long.
        total = frames[:, 0].astype(np.float64)
        for channel in range(1, channels):
            total += frames[:, channel]
        mean: Float32 = (total / channels).astype(np.float32)
        self._channel_energy += float(np.vdot(frames, frames)) / channels
        self._mean_energy += float(np.vdot(mean, mean))
        return mean

    def _reject_invalid(self, frames: Float32, first_frame: int) -> None:
        if (bad := first_invalid_sample(frames)) is not None:
            frame, channel = divmod(bad, frames.shape[1])
            raise SourceError(
                f"{self._path}: sample {first_frame + frame} is {frames[frame, channel]:g}, not a number between -1 and 1; "
                f"export the recording again"
            )

    def _reject_bad_rate(self) -> None:
        if not LOWEST_RATE_HZ <= self.rate_hz <= HIGHEST_RATE_HZ:
            raise SourceError(
                f"{self._path} is sampled at {self.rate_hz} Hz; from {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz can be used"
            )

    def _check_all_samples(self) -> None:
        """Check all samples of a floating-point file before the first block."""
        decoder, _ = open_recording(self._path)
        try:
            while len(frames := decoder.read()):
                self._reject_invalid(frames, decoder.counted - len(frames))
                self._beyond_samples += within_full_scale(frames)[1]
        finally:
            decoder.close()


def read_mono(path: Path) -> tuple[Float32, int]:
    """Read a whole recording: float32 (n,) mono, and its rate in Hz. Gaps listed beside it are ignored."""
    source = AudioFile(path)
    try:
        require_complete(source)
        pieces = []
        while (block := source.read(0.0)) is not None:
            pieces.append(block.samples)
        require_not_cancelled(source)
        return np.concatenate(pieces), source.rate_hz
    finally:
        source.close()


def require_complete(source: AudioFile) -> None:
    """Raise SourceError for a truncated recording, which is unfit for training and evaluation."""
    if source.cut is not None:
        raise SourceError(source.cut)


def require_not_cancelled(source: AudioFile) -> None:
    """Raise SourceError for a recording, read to its end, whose channels cancel each other out."""
    if source.cancelled is not None:
        raise SourceError(source.cancelled)


def _require_sound_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder; give an audio file")
        if path.exists() and not path.is_file():
            raise SourceError(f"{path} is not a regular file; for a pipe, give - in place of the path")
        if path.suffix.lower() == ".raw":
            raise SourceError(
                f"{path} is raw sound without a header; if it is s16le mono at 16 kHz, pipe it in: … listen - < {path}"
            )
        with path.open("rb"):
            if path.stat().st_size == 0:
                raise SourceError(f"{path} is empty")
    except FileNotFoundError as error:
        raise SourceError(f"{path}: there is no such file") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _read_gaps(path: Path) -> tuple[Gap, ...]:
    list_path = gaps_path(path)
    try:
        if not list_path.exists():
            return ()
        return parse_gaps(read_regular(list_path, MAX_GAPS_BYTES).decode("utf-8-sig"), str(list_path))
    except OSError as error:
        # The path with the list's suffix is too long, so there is no list.
        if error.errno == errno.ENAMETOOLONG:
            return ()
        raise SourceError(f"{list_path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{list_path} cannot be read: {error}") from error
