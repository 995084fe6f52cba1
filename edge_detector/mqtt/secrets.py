"""Where secrets come from: systemd's credentials, a file, or the environment; never the command line.

A secret file is named by its path in the configuration. In a systemd unit the service may not read that path, but is handed the
file's content as a credential; so a credential of the same file name comes before the file itself.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_detector.errors import UsageError

CREDENTIAL_PREFIX = "secrets_"
"""What the unit's LoadCredential=secrets:FOLDER puts before the name of each file."""
PASSWORD_CREDENTIAL = "mqtt-password"  # noqa: S105 - a file name
PASSWORD_VARIABLE = "EDGE_DETECTOR_MQTT_PASSWORD"  # noqa: S105 - a variable's name
MAX_SECRET_BYTES = 65_535
"""The longest password MQTT can send."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and how it was come by.

    Attributes:
        value: not shown when this is printed or logged.
        origin: fit to be shown: "the file /etc/…".
        warning: one sentence if others can read the secret too, or None.

    """

    value: str = field(repr=False)
    origin: str
    warning: str | None = None


def find_password(file: Path | None, environment: Mapping[str, str]) -> Secret | None:
    """The broker's password, or None if there is none.

    First a systemd credential, named as `file` or mqtt-password; then the variable EDGE_DETECTOR_MQTT_PASSWORD; then `file`.
    An empty credential counts as none. Raises UsageError.
    """
    credential = _credential(file.name if file else PASSWORD_CREDENTIAL, environment)
    if credential is not None and credential.stat().st_size:
        return _read(credential, f"the systemd credential {credential.name}")
    if value := environment.get(PASSWORD_VARIABLE):
        return Secret(_checked(value, f"the variable {PASSWORD_VARIABLE}"), f"the variable {PASSWORD_VARIABLE}")
    return read_secret(file, environment) if file is not None else None


def read_secret(file: Path, environment: Mapping[str, str]) -> Secret:
    """The text of a secret file, or of the systemd credential in its place, without the line end. Raises UsageError."""
    credential = _credential(file.name, environment)
    return (
        _read(file, f"the file {file}") if credential is None else _read(credential, f"the systemd credential {credential.name}")
    )


def _read(path: Path, origin: str) -> Secret:
    try:
        # Before it is opened: a pipe that nobody writes into would be waited for for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{origin}, which should hold a secret, is no ordinary file")
        with path.open("rb") as opened:
            content = opened.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{origin}, which holds a secret, cannot be read: {error.strerror}; {_cure(path, error)}") from error
    if len(content) > MAX_SECRET_BYTES:
        raise UsageError(f"{origin} is longer than {MAX_SECRET_BYTES} bytes; it must hold the secret and nothing else")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        # Not chained: the error would show the content.
        raise UsageError(f"{origin} is not UTF-8 text (byte {error.start}); it must hold the secret and nothing else") from None
    return Secret(_checked(text.removesuffix("\n").removesuffix("\r"), origin), origin, exposure(path))


def secret_path(file: Path, environment: Mapping[str, str]) -> Path:
    """Where a secret file can be read here: as a systemd credential if there is one of its name, else where it is."""
    return _credential(file.name, environment) or file


def exposure(path: Path) -> str | None:
    """One sentence if everybody on this machine can read or change `path`, or None."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return None
    can = "read" if mode & stat.S_IROTH else "change"
    return f"everybody on this machine can {can} the secret in {path}; run: chmod 600 {path}"


def _credential(name: str, environment: Mapping[str, str]) -> Path | None:
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    candidates = (Path(folder) / f"{CREDENTIAL_PREFIX}{name}", Path(folder) / name)
    return next((path for path in candidates if path.is_file()), None)


def _checked(value: str, origin: str) -> str:
    if not value:
        raise UsageError(f"{origin} is empty; it must hold the secret")
    if "\0" in value or "\n" in value:
        raise UsageError(f"{origin} must hold one line of text, the secret, and nothing else")
    return value


def _cure(file: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"run as root, or let systemd hand it over: LoadCredential={file.name}:{file}"
    return "write the secret there, with mode 0600"
