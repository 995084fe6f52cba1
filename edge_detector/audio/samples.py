"""Recordings as 16 kHz mono samples, by the detector's own reader and resampler."""

from collections.abc import Generator
from pathlib import Path

import numpy as np

from edge_detector.audio.file import AudioFile, read_mono, require_complete, require_not_cancelled
from edge_detector.audio.resampler import StreamResampler
from edge_detector.types import Block, Float32


def read_16khz(path: Path) -> Float32:
    """Read all samples of a recording: float32 (n,), mono, 16 kHz. The list of gaps beside it is ignored."""
    samples, rate_hz = read_mono(path)
    resampler = StreamResampler(rate_hz)
    parts = (resampler.push(Block(samples, first_sample=0)), resampler.finish())
    pieces = [part.samples for part in parts if part is not None]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def blocks_16khz(path: Path) -> Generator[Block, None, None]:
    """Yield the same samples block by block, for recordings larger than memory."""
    source = AudioFile(path)
    try:
        require_complete(source)
        resampler = StreamResampler(source.rate_hz)
        read_samples = 0
        while (block := source.read(0.0)) is not None:
            given = resampler.push(Block(block.samples, read_samples))
            read_samples += len(block.samples)
            if given is not None:
                yield given
        require_not_cancelled(source)
        last = resampler.finish()
        if last is not None:
            yield last
    finally:
        source.close()
