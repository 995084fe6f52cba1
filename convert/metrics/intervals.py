"""How far a share that was counted may be from the one that will be met."""

import math

TWO_SIDED_95 = 1.959963984540054
"""Quantile of the normal distribution."""


def wilson_interval(count: float, total: float) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson 1927), which unlike the textbook's is right near 0 and 1; (0, 1) of nothing."""
    if not total:
        return 0.0, 1.0
    z2 = TWO_SIDED_95**2
    share = count / total
    centre = share + z2 / (2.0 * total)
    half = TWO_SIDED_95 * math.sqrt(share * (1.0 - share) / total + z2 / (4.0 * total * total))
    scale = 1.0 + z2 / total
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)
