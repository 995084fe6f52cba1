"""Atomic writer of 16-bit WAV clips that never overwrites a file."""

import io
import os
import wave
from pathlib import Path

import numpy as np

from edge_detector.errors import EdgeDetectorError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

_FULL_SCALE = 32_768.0


def write_clip(path: Path, samples: Float32) -> None:
    """Write samples float32 (n,), 16 kHz mono, rounded to 16 bits. Raises EdgeDetectorError, also if the file exists."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(FRONT_END.sample_rate_hz)
        rounded = np.clip(np.rint(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1.0)
        file.writeframes(rounded.astype("<i2").tobytes())
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise EdgeDetectorError(f"{path} exists already; move it away or choose another folder")
        try:
            with part.open("wb") as written:
                written.write(content.getbuffer())
                written.flush()
                os.fsync(written.fileno())
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise EdgeDetectorError(f"the clip {path} cannot be written: {error.strerror or error}") from error
