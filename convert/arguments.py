"""Types of command-line values shared by several commands."""

import argparse


def folds(text: str) -> tuple[int, ...]:
    """Parse comma-separated fold numbers: 1,2,3."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of folds such as 1,2,3") from None
    return numbers


def positive_int(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def seeds(text: str) -> tuple[int, ...]:
    """Parse comma-separated distinct whole numbers: 0,1,2."""
    parts = text.split(",")
    if not all(part.isdigit() for part in parts) or len({int(part) for part in parts}) < len(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different seeds such as 0,1,2")
    return tuple(int(part) for part in parts)
