"""Credentials of the configuration: password, TLS context, client id, and URLs from secret files."""

import hashlib
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edge_detector.config import MqttConfig, SourceConfig, problem_of_url
from edge_detector.errors import UsageError
from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.tls import client_context
from edge_detector.secret_files import Secret, exposure, find_secret, read_secret, secret_path

LOG = logging.getLogger(__name__)


MACHINE_ID = Path("/etc/machine-id")
PASSWORD_CREDENTIAL = "mqtt-password"  # noqa: S105 - a file name
PASSWORD_VARIABLE = "EDGE_DETECTOR_MQTT_PASSWORD"  # noqa: S105 - a variable's name


def stable_client_id(node: str, folder: Path | None, machine_id: Path = MACHINE_ID) -> str:
    """Return the MQTT client id of a node's service, which is the same after a power cut.

    The broker then ends the old session at once. With another id, the last will of the old session, `offline`, would be sent when
    it times out, after the node is online again. Without a state folder the id is temporary, so that two processes can coexist.
    """
    if folder is None:
        return temporary_client_id(f"edge_detector-{node}")
    try:
        machine = machine_id.read_bytes()
    except OSError:
        machine = socket.gethostname().encode()
    # Hashed, so that the machine id is not in the broker's log.
    return f"edge_detector-{node}-{hashlib.sha256(machine + bytes(folder.absolute())).hexdigest()[:8]}"


def temporary_client_id(name: str) -> str:
    """Return a client id for this process."""
    return f"{name}-{os.getpid()}"


def find_password(file: Path | None, environment: Mapping[str, str]) -> Secret | None:
    """Return the broker's password, or None if there is none: credential, variable, file, in this order. Raises UsageError."""
    return find_secret(file, environment, credential=PASSWORD_CREDENTIAL, variable=PASSWORD_VARIABLE)


def broker_of(mqtt: MqttConfig, client_id: str, environment: Mapping[str, str] = os.environ) -> Broker:
    """Return the broker of a configuration, with password and TLS context. Raises UsageError."""
    password = find_password(mqtt.password_file, environment) if mqtt.username is not None else None
    for warning in broker_warnings(mqtt, environment):
        LOG.warning("%s", warning)
    context = None
    if mqtt.tls:
        key_file = None if mqtt.key_file is None else secret_path(mqtt.key_file, environment)
        context = client_context(ca_file=mqtt.ca_file, cert_file=mqtt.cert_file, key_file=key_file)
    return Broker(
        mqtt.host,
        mqtt.port,
        client_id,
        mqtt.protocol,
        mqtt.username,
        None if password is None else password.value,
        mqtt.keepalive_seconds,
        context,
    )


def broker_warnings(mqtt: MqttConfig, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return a sentence for each secret that other users can read. Raises UsageError for a missing secret."""
    warnings = []
    password = find_password(mqtt.password_file, environment) if mqtt.username is not None else None
    if password is not None:
        warnings.append(password.warning)
    key_file = mqtt.key_file or mqtt.cert_file
    if key_file is not None:
        # A certificate may be public; a file that also holds its key may not.
        path = secret_path(key_file, environment)
        holds_key = mqtt.key_file is not None or _holds_private_key(path)
        warnings.append(exposure(path) if holds_key else None)
    return tuple(warning for warning in warnings if warning is not None)


def with_url(source: SourceConfig, environment: Mapping[str, str] = os.environ) -> SourceConfig:
    """Return the source with its URL, read from `device_file` if there is one. Raises UsageError."""
    if source.device_file is None:
        return source
    secret = read_secret(source.device_file, environment)
    if secret.warning is not None:
        LOG.warning("%s", secret.warning)
    problem = problem_of_url(secret.value)
    if problem is not None:
        raise UsageError(f"{secret.origin}: {problem}")
    return replace(source, device=secret.value)


def _holds_private_key(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"PRIVATE KEY-----" in file.read(1 << 20)
    except OSError:
        return False
