"""WAV files of 16 bits, written by soundfile."""

import io

import numpy as np
import soundfile

from edge_detector.params import FRONT_END
from edge_detector.types import Float32

FULL_SCALE = 32_768.0


def wav_bytes(samples: Float32) -> bytes:
    """Return a mono WAV file at 16 kHz of samples in [-1, 1]; others are clipped."""
    content = io.BytesIO()
    integers = np.round(samples * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1.0).astype(np.int16)
    soundfile.write(content, integers, FRONT_END.sample_rate_hz, format="WAV", subtype="PCM_16")
    return content.getvalue()
