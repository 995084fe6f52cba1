"""Active parts of a recording: clips are padded with digital silence, so labels follow the energy."""

import numpy as np
from numpy.typing import NDArray

from edge_detector.types import Float32


def window_energy(samples: Float32, window_samples: int, starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean square of the window at each start; samples outside the recording are silence."""
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    first = np.clip(starts, 0, len(samples))
    last = np.clip(starts + window_samples, 0, len(samples))
    return np.asarray((total[last] - total[first]) / window_samples, np.float64)


def active_starts(
    samples: Float32, window_samples: int, *, step_samples: int, range_db: float, overhang_samples: int = 0
) -> NDArray[np.int64]:
    """Return the starts of the windows within `range_db` of the loudest; windows may extend beyond both ends."""
    last = max(len(samples) - window_samples, 0) + overhang_samples
    starts = np.arange(-overhang_samples, last + 1, step_samples, dtype=np.int64)
    energy = window_energy(samples, window_samples, starts)
    loud = (energy > 0.0) & (energy >= energy.max() * 10.0 ** (-range_db / 10.0))
    return np.asarray(starts[loud], np.int64)


def cut(samples: Float32, start: int, length_samples: int) -> Float32:
    """Return `length_samples` from `start`, with silence outside the recording."""
    out = np.zeros(length_samples, np.float32)
    first, last = max(start, 0), min(start + length_samples, len(samples))
    if last > first:
        out[first - start : last - start] = samples[first:last]
    return out
