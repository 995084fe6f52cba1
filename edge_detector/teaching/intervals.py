"""Confidence intervals of shares."""

import math
from statistics import NormalDist

CONFIDENCE = 0.95


def wilson_interval(count: float, total: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (E. B. Wilson, JASA 1927); (0, 1) for a total of 0.

    Own code: counts may be fractions, the mean of several bundles on the same recordings, and SciPy takes whole numbers only.
    """
    if not total:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0)
    share = count / total
    centre = share + z**2 / (2.0 * total)
    half = z * math.sqrt(share * (1.0 - share) / total + z**2 / (4.0 * total * total))
    scale = 1.0 + z**2 / total
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)
