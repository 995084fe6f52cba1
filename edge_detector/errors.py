"""Errors shown to the user: one sentence each, the fact and the remedy."""

import traceback
from pathlib import Path


class EdgeDetectorError(Exception):
    """Base of all errors that the user can act on. Exit code 1."""

    exit_code = 1


class UsageError(EdgeDetectorError):
    """Invalid command line or configuration. Exit code 2."""

    exit_code = 2


class SourceError(EdgeDetectorError):
    """A source is unavailable: missing file, not audio, no microphone, or a lost microphone."""


class UnknownDeviceError(SourceError, UsageError):
    """The named microphone or channel does not exist on this machine. Exit code 2."""

    exit_code = 2


class BundleError(EdgeDetectorError):
    """A bundle is incomplete, damaged or incompatible with this program."""


class BrokerError(EdgeDetectorError):
    """The MQTT broker cannot be used as configured."""


def unforeseen(error: Exception) -> str:
    """Format an unexpected exception as one line with its type, text and place."""
    innermost = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in innermost)
    text = " ".join(str(error).split())
    return f"an error in this program, please report it: {type(error).__name__}: {text}{place}"
