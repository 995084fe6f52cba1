"""From settings to what opens doors: passwords, keys and certificates are fetched here, when they are needed."""

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
from edge_detector.mqtt.secrets import exposure, find_password, read_secret, secret_path
from edge_detector.mqtt.tls import client_context

LOG = logging.getLogger(__name__)


MACHINE_ID = Path("/etc/machine-id")


def stable_client_id(node: str, folder: Path | None, machine_id: Path = MACHINE_ID) -> str:
    """The MQTT client id of a node's service: the same again after a power cut.

    The broker then takes the dead session for this one's and ends it at once. Under another id it would notice half a minute
    later that the dead one is gone, and its last will, `offline`, would be the last word on a node that is back. Without a state
    folder it is no service, and two of them may run beside each other.
    """
    if folder is None:
        return temporary_client_id(f"edge_detector-{node}")
    try:
        machine = machine_id.read_bytes()
    except OSError:
        machine = socket.gethostname().encode()
    # Hashed: whoever reads the broker's log need not know the machine by its id.
    return f"edge_detector-{node}-{hashlib.sha256(machine + bytes(folder.absolute())).hexdigest()[:8]}"


def temporary_client_id(name: str) -> str:
    """An id for as long as this process lives."""
    return f"{name}-{os.getpid()}"


def broker_of(mqtt: MqttConfig, client_id: str, environment: Mapping[str, str] = os.environ) -> Broker:
    """The broker a configuration names, with password and TLS. Raises UsageError."""
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
    """What is open that should not be, one sentence each. Raises UsageError where there is no secret at all."""
    warnings = []
    password = find_password(mqtt.password_file, environment) if mqtt.username is not None else None
    if password is not None:
        warnings.append(password.warning)
    key_file = mqtt.key_file or mqtt.cert_file
    if key_file is not None:
        # A certificate alone may be read by anybody; one that holds its key too may not.
        path = secret_path(key_file, environment)
        holds_key = mqtt.key_file is not None or _holds_private_key(path)
        warnings.append(exposure(path) if holds_key else None)
    return tuple(warning for warning in warnings if warning is not None)


def with_url(source: SourceConfig, environment: Mapping[str, str] = os.environ) -> SourceConfig:
    """The source with its URL, fetched from the file that holds it if it is in one. Raises UsageError."""
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
