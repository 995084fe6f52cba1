"""Kinds of command-line values that several commands share."""

import argparse


def folds(text: str) -> tuple[int, ...]:
    """Comma-separated fold numbers: 1,2,3."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        message = f"{text!r} is not a list of folds such as 1,2,3"
        raise argparse.ArgumentTypeError(message) from None
    return found


def positive_int(text: str) -> int:
    """A whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        message = f"{text!r} is not a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def positive_float(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        message = f"{text!r} is not a number above 0"
        raise argparse.ArgumentTypeError(message)
    return value
