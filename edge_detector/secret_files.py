"""Secrets from systemd credentials, files or the environment; never from the command line.

The configuration names a secret file by its path. In a systemd unit the service cannot read that path, but receives the file as a
credential; a credential with the same file name therefore takes precedence over the file.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_detector.errors import UsageError

CREDENTIAL_PREFIX = "secrets_"
"""Prefix that the unit's LoadCredential=secrets:FOLDER adds to each file name."""
MAX_SECRET_BYTES = 65_535
"""Longest password that MQTT can transmit."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and its origin.

    Attributes:
        value: the secret; excluded from repr.
        origin: description for messages: "the file /etc/…".
        warning: a sentence if other users can read or change the secret, or None.

    """

    value: str = field(repr=False)
    origin: str
    warning: str | None = None


def find_secret(file: Path | None, environment: Mapping[str, str], *, credential: str, variable: str) -> Secret | None:
    """Return a secret, or None if there is none. Raises UsageError.

    Order: a systemd credential named as `file`, or `credential` without one, unless it is empty; the environment's `variable`;
    `file`.
    """
    handed_over = _credential(file.name if file else credential, environment)
    if handed_over is not None and handed_over.stat().st_size:
        return _read(handed_over, f"the systemd credential {handed_over.name}")
    if value := environment.get(variable):
        return Secret(_checked(value, f"the variable {variable}"), f"the variable {variable}")
    return read_secret(file, environment) if file is not None else None


def read_secret(file: Path, environment: Mapping[str, str]) -> Secret:
    """Read a secret file, or the systemd credential with its name, without the line end. Raises UsageError."""
    credential = _credential(file.name, environment)
    return (
        _read(file, f"the file {file}") if credential is None else _read(credential, f"the systemd credential {credential.name}")
    )


def _read(path: Path, origin: str) -> Secret:
    try:
        # Before opening: opening a pipe without a writer would block.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{origin}, which should hold a secret, is not a regular file")
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
    """Return the path of the systemd credential with the name of a secret file, or the file's own path."""
    return _credential(file.name, environment) or file


def exposure(path: Path) -> str | None:
    """Return a sentence if every user of this machine can read or change `path`, or None."""
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
