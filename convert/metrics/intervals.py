"""Confidence limits of rates."""

from scipy.special import gammaincinv

from edge_detector.teaching.intervals import CONFIDENCE


def poisson_upper(count: int) -> float:
    """Return the one-sided 95 % upper limit of a Poisson mean from a count (F. Garwood, Biometrika 1936)."""
    return float(gammaincinv(count + 1, CONFIDENCE))
