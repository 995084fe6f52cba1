"""Every error a user can meet: one sentence with the fact that is wrong and what to do."""

import traceback
from pathlib import Path


class EdgeDetectorError(Exception):
    """Something failed for a reason the user can act on. Exit code 1."""

    exit_code = 1


class UsageError(EdgeDetectorError):
    """The command line or the configuration is wrong. Exit code 2."""

    exit_code = 2


class SourceError(EdgeDetectorError):
    """Sound cannot be had: no such file, not audio, no microphone, a microphone gone silent."""


class UnknownDeviceError(SourceError, UsageError):
    """A microphone was named that this machine does not have. Exit code 2."""

    exit_code = 2


class BundleError(EdgeDetectorError):
    """A bundle is incomplete, damaged, or does not fit this program."""


class BrokerError(EdgeDetectorError):
    """The MQTT broker cannot be used as configured."""


def unforeseen(error: Exception) -> str:
    """One line about an error that is this program's fault: what it was, and where."""
    innermost = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in innermost)
    said = " ".join(str(error).split())
    return f"an error in this program, please report it: {type(error).__name__}: {said}{place}"
