"""Password of the page, from a systemd credential, the environment or a file."""

from collections.abc import Mapping
from pathlib import Path

from edge_detector.errors import UsageError
from edge_detector.secret_files import Secret, find_secret

PASSWORD_CREDENTIAL = "web-password"  # noqa: S105 - a file name
PASSWORD_VARIABLE = "EDGE_DETECTOR_WEB_PASSWORD"  # noqa: S105 - a variable's name
MIN_CHARACTERS = 8
MAX_CHARACTERS = 256
"""So that a login fits into the largest body."""


def page_password(password_file: Path | None, environment: Mapping[str, str]) -> Secret | None:
    """Return the page's password, or None if there is none: credential, variable, file, in this order. Raises UsageError."""
    secret = find_secret(password_file, environment, credential=PASSWORD_CREDENTIAL, variable=PASSWORD_VARIABLE)
    if secret is None or MIN_CHARACTERS <= len(secret.value) <= MAX_CHARACTERS:
        return secret
    problem = "long" if len(secret.value) > MAX_CHARACTERS else "short"
    raise UsageError(
        f"the page's password in {secret.origin} is too {problem}; choose one of {MIN_CHARACTERS} to {MAX_CHARACTERS} characters"
    )
