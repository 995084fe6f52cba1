"""Levels in dB relative to full scale."""

import numpy as np

LEVEL_FLOOR_DBFS = -120.0


def level_dbfs(mean_square: float) -> float:
    """Return the RMS level of a mean square in dB relative to full scale, at least -120."""
    floor = 10.0 ** (LEVEL_FLOOR_DBFS / 10.0)
    return float(10.0 * np.log10(max(mean_square, floor)))
