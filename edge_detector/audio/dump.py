"""Writes what a source delivered, sample by sample, to a WAV file that replays exactly.

The header is written here: the standard library's `wave` knows no float samples and rewrites the header only at the end.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edge_detector.audio.gaps import Gap, format_gaps, gaps_path
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Block, Float32

_PCM, _FLOAT = 1, 3
_MOST_BYTES = 2**32 - 128
"""Of samples: the sizes in a WAV header have 32 bits, and the header itself counts."""
_FULL_SCALE = np.float32(32_768.0)
_COPY_SAMPLES = 1 << 16


class Dump:
    """A WAV file, and beside it the gaps if there were any.

    It is 16-bit as long as every sample is a whole multiple of 1/32768, as from a microphone or a pipe; at the first that is
    not (24-bit and float files, means of channels) it becomes a float file. Either way a replay gets the same float32.

    Until `close` it grows as FILE.part, whose header is brought up to date each second of sound: after a crash that file can
    be listened to as it is. Under its own name there is only ever a finished dump; without any samples, none.

    Args:
        path: the WAV file; one that is there is replaced. Raises EdgeDetectorError if it cannot be written.
        rate_hz: the source's rate.

    """

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._rate_hz = rate_hz
        self._format = _PCM
        self._samples = 0
        self._checked_at = 0
        self._gaps: list[Gap] = []
        self._gaps_changed = False
        self._closed = False
        if path.is_dir():
            raise EdgeDetectorError(f"{path} is a folder; give the name of a file for the dump")
        with self._explained():
            gaps_path(self._part).unlink(missing_ok=True)
            self._file = self._begin(self._part)

    def write(self, block: Block) -> None:
        """Keep one block. Raises EdgeDetectorError when the disk or the file is full; what is there can still be closed."""
        with self._explained():
            if block.lost_samples:
                self._note_gap(block.lost_samples)
            kind = self._format if self._format == _FLOAT or _is_16_bit(block.samples) else _FLOAT
            if (self._samples + len(block.samples)) * _sample_bytes(kind) > _MOST_BYTES:
                hours = self._samples / self._rate_hz / 3_600.0
                raise EdgeDetectorError(f"{self._path} is full after {hours:.1f} h: a WAV file holds 4 GB; dump in shorter runs")
            if kind != self._format:
                self._become_float()
            self._file.write(_encode(block.samples, kind))
            self._samples += len(block.samples)
            if self._samples - self._checked_at >= self._rate_hz:
                self._check_point()

    def close(self) -> None:
        """Finish the file and give it its name; may be called again."""
        if self._closed:
            return
        self._closed = True
        with self._explained(), self._file:
            if not self._samples:
                self._part.unlink()
                return
            self._check_point()
            os.fsync(self._file.fileno())
            if self._gaps:
                gaps_path(self._part).replace(gaps_path(self._path))
            else:
                gaps_path(self._path).unlink(missing_ok=True)
            self._part.replace(self._path)

    def _begin(self, path: Path) -> BinaryIO:
        file = path.open("w+b")
        file.write(_header(self._format, self._rate_hz, 0))
        return file

    def _note_gap(self, lost_samples: int) -> None:
        if self._gaps and self._gaps[-1].at_sample == self._samples:
            lost_samples += self._gaps.pop().lost_samples
        self._gaps.append(Gap(self._samples, lost_samples))
        self._gaps_changed = True

    def _check_point(self) -> None:
        end = self._file.tell()
        self._file.seek(0)
        self._file.write(_header(self._format, self._rate_hz, self._samples))
        self._file.seek(end)
        self._file.flush()
        self._checked_at = self._samples
        if self._gaps_changed:
            gaps_path(self._part).write_text(format_gaps(self._gaps), encoding="utf-8")
            self._gaps_changed = False

    def _become_float(self) -> None:
        wider_path = self._part.with_name(self._part.name + ".float")
        self._file.seek(len(_header(self._format, self._rate_hz, 0)))
        self._format = _FLOAT
        wider = self._begin(wider_path)
        while data := self._file.read(_COPY_SAMPLES * _sample_bytes(_PCM)):
            wider.write(_encode(np.frombuffer(data, "<i2").astype(np.float32) / _FULL_SCALE, _FLOAT))
        self._file.close()
        wider_path.replace(self._part)
        self._file = wider

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EdgeDetectorError(f"the dump {self._path} cannot be written: {error.strerror or error}") from error


def _is_16_bit(samples: Float32) -> bool:
    scaled = samples * _FULL_SCALE
    return bool((np.rint(scaled) == scaled).all() and (scaled >= -_FULL_SCALE).all() and (scaled < _FULL_SCALE).all())


def _encode(samples: Float32, kind: int) -> bytes:
    return samples.astype("<f4").tobytes() if kind == _FLOAT else (samples * _FULL_SCALE).astype("<i2").tobytes()


def _sample_bytes(kind: int) -> int:
    return 4 if kind == _FLOAT else 2


def _header(kind: int, rate_hz: int, samples: int) -> bytes:
    """RIFF header up to the first sample: fmt chunk, for floats the fact chunk they must have, start of the data chunk."""
    width = _sample_bytes(kind)
    size = samples * width
    layout = struct.pack("<HHIIHH", kind, 1, rate_hz, rate_hz * width, width, 8 * width)
    if kind == _FLOAT:
        layout += struct.pack("<H", 0)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    if kind == _FLOAT:
        chunks += b"fact" + struct.pack("<II", 4, samples)
    chunks += b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + size) + b"WAVE" + chunks
