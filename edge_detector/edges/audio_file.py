"""Audio files by libsndfile: WAV, FLAC, Ogg, MP3, AIFF and more, any rate, width and number of channels."""

import hashlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from edge_detector.core.bounded import read_regular
from edge_detector.core.gaps import gaps_path, parse_gaps
from edge_detector.errors import SourceError
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

LOWEST_RATE_HZ = 4_000
HIGHEST_RATE_HZ = 384_000

_DECODE_SAMPLES = 16_384
"""Always decoded in this size and cut afterwards: libsndfile's MP3 samples differ in the last bit with the size asked for."""

_STREAM_ID_CHARACTERS = 12
MAX_GAPS_BYTES = 16_000_000
"""A gap a second for two days."""
_MAY_HOLD_NAN = ("FLOAT", "DOUBLE")


class AudioFile:
    """A recording as a source: mono by the mean of all channels, 16-bit samples exactly int16 / 32768.

    Gaps noted beside the file (see `core.gaps`) are given out as the live source gave them.

    Args:
        path: the file. Everything that can be wrong with it is found here, before the first block. Raises SourceError.
        block_samples: size of every block but the last, and those that end at a gap.
        real_time: give each block no earlier than a microphone would, by `clock`, waiting with `wait`; both in seconds.

    """

    live = False
    waiting_seconds = 0.0
    overflows = 0

    def __init__(
        self,
        path: Path,
        *,
        block_samples: int = _DECODE_SAMPLES,
        real_time: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._block_samples = block_samples
        self._real_time, self._clock, self._wait = real_time, clock, wait
        self._started_at: float | None = None
        self.stream_id = _content_id(path)
        self._gaps = deque(parse_gaps(_read_text(beside), str(beside)) if (beside := gaps_path(path)).exists() else ())
        self._file = _open(path)
        self._delivered_samples = 0
        self._first_sample = 0
        self._ended = False
        try:
            self._refuse_bad_rate()
            if self._file.subtype in _MAY_HOLD_NAN:
                self._refuse_bad_samples()
            self._pending = self._decode_first()
        except BaseException:
            self._file.close()
            raise

    @property
    def rate_hz(self) -> int:
        """Sample rate of the file."""
        return int(self._file.samplerate)

    @property
    def channels(self) -> int:
        """Channels of the file, of which the mean is given out."""
        return int(self._file.channels)

    @property
    def ended(self) -> bool:
        """True once the last block has been given out."""
        return self._ended

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know about this recording."""
        if self.rate_hz >= FRONT_END.sample_rate_hz:
            return ()
        warning = (
            f"{self._path} is sampled at {self.rate_hz} Hz: above {self.rate_hz // 2} Hz there is nothing to hear, so expect "
            f"sounds with high frequencies to be missed; {FRONT_END.sample_rate_hz} Hz or more is best"
        )
        return (warning,)

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block; None at the end and, in real time, if it is not due within the timeout."""
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
        samples = self._take(wanted)
        self._ended = len(samples) < wanted
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
        self._file.close()

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

    def _take(self, wanted: int) -> Float32:
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
        if not len(samples):
            raise SourceError(f"{self._path} holds no samples")
        return samples

    def _decode(self) -> Float32:
        try:
            frames = self._file.read(_DECODE_SAMPLES, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise SourceError(f"{self._path} is damaged after sample {self._file.tell()}: {_reason(error)}") from error
        if self.channels == 1:
            mono: Float32 = frames[:, 0]
            return mono
        # In double the sum of any channels of up to 24 bits is exact. Column by column: mean() takes twice as long.
        total = frames[:, 0].astype(np.float64)
        for channel in range(1, self.channels):
            total += frames[:, channel]
        mean: Float32 = (total / self.channels).astype(np.float32)
        return mean

    def _refuse_bad_rate(self) -> None:
        if not LOWEST_RATE_HZ <= self.rate_hz <= HIGHEST_RATE_HZ:
            raise SourceError(
                f"{self._path} is sampled at {self.rate_hz} Hz; from {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz can be used"
            )

    def _refuse_bad_samples(self) -> None:
        position = 0
        while len(samples := self._decode()):
            bad = np.flatnonzero(~np.isfinite(samples))
            if len(bad):
                raise SourceError(
                    f"{self._path}: sample {position + int(bad[0])} is {samples[bad[0]]}, not a number between -1 and 1; "
                    f"export the recording again"
                )
            position += len(samples)
        self._file.seek(0)


def read_mono(path: Path) -> tuple[Float32, int]:
    """A whole recording at once: float32 (n,) mono, and its rate in Hz. Gaps noted beside it are not considered."""
    source = AudioFile(path)
    try:
        pieces = []
        while (block := source.read(0.0)) is not None:
            pieces.append(block.samples)
        return np.concatenate(pieces), source.rate_hz
    finally:
        source.close()


def _content_id(path: Path) -> str:
    if path.is_dir():
        raise SourceError(f"{path} is a folder; give an audio file")
    if path.exists() and not path.is_file():
        raise SourceError(f"{path} is not a regular file; a pipe is listened to with - in place of a path")
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise SourceError(f"{path} is empty")
            return hashlib.file_digest(file, "sha256").hexdigest()[:_STREAM_ID_CHARACTERS]
    except FileNotFoundError as error:
        raise SourceError(f"{path}: there is no such file") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _read_text(path: Path) -> str:
    try:
        return read_regular(path, MAX_GAPS_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _open(path: Path) -> soundfile.SoundFile:
    if path.suffix.lower() == ".raw":
        raise SourceError(f"{path} is raw sound without a header; if it is s16le mono at 16 kHz, pipe it in: … listen - < {path}")
    try:
        return soundfile.SoundFile(str(path))
    except soundfile.SoundFileError as error:
        raise SourceError(f"{path} is not audio that can be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
