"""Types of command-line values shared by several commands."""

import argparse


def folds(text: str) -> tuple[int, ...]:
    """Parse comma-separated fold numbers: 1,2,3."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        message = f"{text!r} is not a list of folds such as 1,2,3"
        raise argparse.ArgumentTypeError(message) from None
    return numbers


def positive_int(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        message = f"{text!r} is not a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        message = f"{text!r} is not a number above 0"
        raise argparse.ArgumentTypeError(message)
    return value


def seeds(text: str) -> tuple[int, ...]:
    """Parse comma-separated distinct whole numbers: 0,1,2."""
    parts = text.split(",")
    if not all(part.isdigit() for part in parts) or len({int(part) for part in parts}) < len(parts):
        message = f"{text!r} is not a list of different seeds such as 0,1,2"
        raise argparse.ArgumentTypeError(message)
    return tuple(int(part) for part in parts)


def share(text: str) -> float:
    """Parse a number in the open interval (0, 1)."""
    value = positive_float(text)
    if value >= 1.0:
        message = f"{text!r} is not a number between 0 and 1"
        raise argparse.ArgumentTypeError(message)
    return value
