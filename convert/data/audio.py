"""Whole recordings as 16 kHz mono samples, by the detector's own reader and resampler."""

from pathlib import Path

import numpy as np

from edge_detector.edges.audio_file import AudioFile
from edge_detector.edges.resampler import StreamResampler
from edge_detector.types import Float32


def read_16khz(path: Path) -> Float32:
    """All samples of a recording: float32 (n,), mono, 16 kHz. Gaps noted beside it are not considered."""
    source = AudioFile(path)
    try:
        resampler = StreamResampler(source.rate_hz)
        parts = []
        while (block := source.read(0.0)) is not None:
            parts.append(resampler.push(block))
        parts.append(resampler.finish())
    finally:
        source.close()
    pieces = [part.samples for part in parts if part is not None]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
