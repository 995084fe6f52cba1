import logging
import os
import threading
from pathlib import Path

import pytest

from edge_detector.errors import UsageError
from edge_detector.mqtt.credentials import find_password
from edge_detector.secret_files import MAX_SECRET_BYTES, exposure, read_secret, secret_path


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_sources_there_is_no_password() -> None:
    assert find_password(None, {}) is None


def test_a_password_file_is_read_without_its_line_end_and_nothing_else_is_cut(tmp_path: Path) -> None:
    for content, password in [("hunter2", "hunter2"), ("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), (" a b \n", " a b ")]:
        secret = find_password(write(tmp_path / "secret", content), {})
        assert secret is not None
        assert secret.value == password
        assert secret.warning is None


def test_a_credential_comes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "mine" / "broker-password", "from file")
    environment = {"EDGE_DETECTOR_MQTT_PASSWORD": "from environment"}
    credentials = tmp_path / "credentials"
    with_credentials = {**environment, "CREDENTIALS_DIRECTORY": str(credentials)}

    found = find_password(file, {})
    assert found is not None
    assert (found.value, found.origin) == ("from file", f"the file {file}")

    found = find_password(file, environment)
    assert found is not None
    assert (found.value, found.origin) == ("from environment", "the variable EDGE_DETECTOR_MQTT_PASSWORD")

    write(credentials / "secrets_other", "of somebody else")
    assert find_password(file, with_credentials) == found, "a credential of another name is not ours"

    write(credentials / "secrets_broker-password", "from credential")
    found = find_password(file, with_credentials)
    assert found is not None
    assert (found.value, found.origin) == ("from credential", "the systemd credential secrets_broker-password")


def test_a_credential_named_mqtt_password_needs_no_setting(tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    write(tmp_path / "mqtt-password", "")
    assert find_password(None, environment) is None, "an empty one is what a unit gives that has none"
    write(tmp_path / "mqtt-password", "hunter2\n")
    found = find_password(None, environment)
    assert found is not None
    assert found.value == "hunter2"


def test_a_key_file_is_read_from_the_credentials_if_present(tmp_path: Path) -> None:
    key = Path("/etc/edge-detector/secrets/client.key")
    assert secret_path(key, {}) == key
    here = write(tmp_path / "secrets_client.key", "…")
    assert secret_path(key, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == here


@pytest.mark.parametrize(("mode", "can"), [(0o644, "read"), (0o604, "read"), (0o602, "change"), (0o640, None), (0o600, None)])
def test_a_secret_that_others_can_read_or_change_causes_a_warning(tmp_path: Path, mode: int, can: str | None) -> None:
    secret = read_secret(write(tmp_path / "secret", "hunter2", mode), {})
    assert secret.warning == exposure(tmp_path / "secret")
    if can is None:
        assert secret.warning is None
    else:
        assert secret.warning is not None
        assert f"everybody on this machine can {can}" in secret.warning
        assert "chmod 600" in secret.warning


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\nhunter2", "must hold one line"),
        (b"hunter2\0", "must hold one line"),
        (b"hunter2\xff", r"is not UTF-8 text \(byte 7\)"),
        (b"hunter2" * MAX_SECRET_BYTES, "is longer than 65535 bytes"),
    ],
)
def test_an_invalid_password_file_is_an_error_without_its_content(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=sentence) as caught:
        find_password(file, {})
    assert str(file) in str(caught.value)
    chain = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "hunter2" not in chain


def test_a_missing_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file or directory; write the secret there, with mode 0600"):
        find_password(tmp_path / "secret", {})


def test_a_pipe_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    answered = threading.Event()

    def read() -> None:
        with pytest.raises(UsageError, match="not a regular file"):
            find_password(tmp_path / "pipe", {})
        answered.set()

    threading.Thread(target=read, daemon=True).start()
    assert answered.wait(20)


def test_a_secret_is_never_in_a_repr_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = read_secret(write(tmp_path / "secret", "hunter2"), {})
    logging.getLogger(__name__).warning("%s %r", secret, secret)
    assert "hunter2" not in caplog.text
