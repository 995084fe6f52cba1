"""Every error a user can meet: one sentence with the fact that is wrong and what to do."""


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
