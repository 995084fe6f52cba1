"""Types of command-line arguments."""

import argparse

from edge_detector.config import MAX_PORT


def above_0(text: str) -> float:
    """Parse a finite number above 0."""
    number = float(text)
    if not 0.0 < number < float("inf"):
        message = f"{text} is not a number above 0"
        raise argparse.ArgumentTypeError(message)
    return number


def count(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        message = f"{text} is not a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def port(text: str) -> int:
    """Parse the number of a TCP port; 0 lets the system choose one."""
    if not text.isdecimal() or int(text) > MAX_PORT:
        message = f"{text} is not a port, a number from 0 to {MAX_PORT}"
        raise argparse.ArgumentTypeError(message)
    return int(text)
