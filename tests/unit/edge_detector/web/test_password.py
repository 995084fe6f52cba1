from pathlib import Path

import pytest

from edge_detector.errors import UsageError
from edge_detector.web.password import PASSWORD_VARIABLE, page_password


def test_without_a_source_there_is_no_password() -> None:
    assert page_password(None, {}) is None


def test_the_password_comes_from_the_credential_before_the_variable_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "web-password"
    file.write_text("of the file\n")
    environment = {PASSWORD_VARIABLE: "of the environment"}
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "secrets_web-password").write_text("of the credential\n")

    secrets = [
        page_password(file, {}),
        page_password(file, environment),
        page_password(None, {**environment, "CREDENTIALS_DIRECTORY": str(credentials)}),
    ]
    assert [secret.value for secret in secrets if secret] == ["of the file", "of the environment", "of the credential"]


@pytest.mark.parametrize("length", [1, 7, 257])
def test_a_password_that_is_too_short_or_too_long_is_refused_without_showing_it(length: int) -> None:
    with pytest.raises(UsageError, match="choose one of 8 to 256 characters") as caught:
        page_password(None, {PASSWORD_VARIABLE: "x" * length})
    assert "xx" not in str(caught.value)


@pytest.mark.parametrize("length", [8, 256])
def test_a_password_of_a_sensible_length_is_accepted(length: int) -> None:
    secret = page_password(None, {PASSWORD_VARIABLE: "x" * length})
    assert secret is not None
    assert len(secret.value) == length
