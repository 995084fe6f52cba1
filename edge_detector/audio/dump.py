"""WAV writer for a source's samples, for bit-exact replay.

It does not use the standard library's `wave`, which lacks float samples and updates the header only at the end.
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
_MAX_BYTES = 2**32 - 128
"""Limit for the samples: sizes in a WAV header have 32 bits and include the header."""
_FULL_SCALE = np.float32(32_768.0)
_COPY_SAMPLES = 1 << 16


class Dump:
    """A WAV file, with a list of gaps beside it if there are any.

    It is 16-bit while every sample is a multiple of 1/32768, as from a microphone or a pipe. The first other sample (24-bit
    and float files, means of channels) converts it to a float file. A replay gets the same float32 either way.

    Until `close` it grows as FILE.part, whose header is updated each second of sound, so that it is playable after a crash.
    FILE itself is only ever a finished dump; without samples there is none.

    Args:
        path: the WAV file; an existing one is replaced. Raises EdgeDetectorError if it cannot be written.
        rate_hz: the source's rate.

    """

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._rate_hz = rate_hz
        self._format = _PCM
        self._samples = 0
        self._header_samples = 0
        self._gaps: list[Gap] = []
        self._gaps_changed = False
        self._closed = False
        if path.is_dir():
            raise EdgeDetectorError(f"{path} is a folder; give the name of a file for the dump")
        with self._write_errors():
            gaps_path(self._part).unlink(missing_ok=True)
            self._file = self._create(self._part)

    def write(self, block: Block) -> None:
        """Append one block. Raises EdgeDetectorError if the disk or the file is full; `close` still works then."""
        with self._write_errors():
            if block.lost_samples:
                self._add_gap(block.lost_samples)
            kind = self._format if self._format == _FLOAT or _is_16_bit(block.samples) else _FLOAT
            if (self._samples + len(block.samples)) * _sample_bytes(kind) > _MAX_BYTES:
                hours = self._samples / self._rate_hz / 3_600.0
                raise EdgeDetectorError(f"{self._path} is full after {hours:.1f} h: a WAV file holds 4 GB; dump in shorter runs")
            if kind != self._format:
                self._convert_to_float()
            self._file.write(_encode(block.samples, kind))
            self._samples += len(block.samples)
            if self._samples - self._header_samples >= self._rate_hz:
                self._update_header()

    def close(self) -> None:
        """Finish the file and rename it to its path; may be called again."""
        if self._closed:
            return
        self._closed = True
        with self._write_errors(), self._file:
            if not self._samples:
                self._part.unlink()
                return
            self._update_header()
            os.fsync(self._file.fileno())
            if self._gaps:
                gaps_path(self._part).replace(gaps_path(self._path))
            else:
                gaps_path(self._path).unlink(missing_ok=True)
            self._part.replace(self._path)

    def _create(self, path: Path) -> BinaryIO:
        file = path.open("w+b")
        file.write(_header(self._format, self._rate_hz, 0))
        return file

    def _add_gap(self, lost_samples: int) -> None:
        if self._gaps and self._gaps[-1].at_sample == self._samples:
            lost_samples += self._gaps.pop().lost_samples
        self._gaps.append(Gap(self._samples, lost_samples))
        self._gaps_changed = True

    def _update_header(self) -> None:
        end = self._file.tell()
        self._file.seek(0)
        self._file.write(_header(self._format, self._rate_hz, self._samples))
        self._file.seek(end)
        self._file.flush()
        self._header_samples = self._samples
        if self._gaps_changed:
            gaps_path(self._part).write_text(format_gaps(self._gaps), encoding="utf-8")
            self._gaps_changed = False

    def _convert_to_float(self) -> None:
        float_path = self._part.with_name(self._part.name + ".float")
        self._file.seek(len(_header(self._format, self._rate_hz, 0)))
        self._format = _FLOAT
        float_file = self._create(float_path)
        while data := self._file.read(_COPY_SAMPLES * _sample_bytes(_PCM)):
            float_file.write(_encode(np.frombuffer(data, "<i2").astype(np.float32) / _FULL_SCALE, _FLOAT))
        self._file.close()
        float_path.replace(self._part)
        self._file = float_file

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
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
    """Build the RIFF header up to the first sample: fmt chunk, the fact chunk that floats require, data chunk header."""
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
