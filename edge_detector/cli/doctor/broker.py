"""Checks of the broker: reachable, encrypted, login, publishing; and the retained state of the running service."""

import ipaddress
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence

from edge_detector.cli.doctor.finding import Finding
from edge_detector.config import Config, MqttConfig
from edge_detector.errors import BrokerError, UsageError
from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.credentials import broker_of, broker_warnings, temporary_client_id
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.tls import describe_connect_error, probe
from edge_detector.types import Message

LOGIN_SECONDS = 10.0
DELIVERY_SECONDS = 5.0
ROOMY_BYTES = 32 << 10
"""Size of the discovery message of a source with many classes."""
RETAINED_SECONDS = 1.0
"""Time for the retained messages, which follow a subscription without an end mark."""


def examine_broker(config: Config, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Connect, log in, publish, and read the retained state of the running service."""
    mqtt = config.mqtt
    where = f"{mqtt.host}:{mqtt.port}"
    try:
        broker = broker_of(mqtt, temporary_client_id(f"edge_detector-{config.node}-doctor"), environment)
        warnings = broker_warnings(mqtt, environment)
    except UsageError as error:
        yield Finding("broker", "bad", str(error))
        return
    for warning in (*warnings, *_open_password(mqtt)):
        yield Finding("broker", "warning", warning)
    try:
        agreed = probe(mqtt.host, mqtt.port, broker.tls)
    except BrokerError as error:
        yield Finding("broker", "bad", str(error), _cure(mqtt))
        return
    # Empty and retained: it is acknowledged and leaves no message.
    probe_message = Message(f"{mqtt.base_topic}/{config.node}/doctor", b"", 1, retained=True)
    publisher = Publisher(broker, last_will=probe_message, greeting=probe_message, explain=describe_connect_error)
    publisher.start()
    accepted = publisher.wait_connected(LOGIN_SECONDS)
    problem = publisher.last_error
    acknowledged = publisher.close(probe_message, DELIVERY_SECONDS if accepted else 0.1)
    if not accepted:
        yield Finding("broker", "bad", problem or f"the broker {where} does not answer in MQTT; is it an MQTT broker?")
        return
    if publisher.refused_topics:
        advice = f"allow it in the broker's access rules: topic readwrite {mqtt.base_topic}/{config.node}/#"
        yield Finding("broker", "bad", f"{where} accepts the login, but no message on {probe_message.topic}", advice)
        return
    if not acknowledged:
        yield Finding("broker", "bad", f"{where} accepts the login, but does not acknowledge messages", "see the broker's log")
        return
    yield Finding(
        "broker",
        "good",
        f"{where} accepts the login ({agreed}, MQTT {mqtt.protocol}) and messages",
        None,
        {"tls": mqtt.tls},
    )
    if publisher.longest_packet is not None and publisher.longest_packet < ROOMY_BYTES:
        said = f"{where} accepts no packet of more than {publisher.longest_packet} bytes; larger ones, as discovery, are not sent"
        yield Finding("broker", "warning", said, "raise its limit (mosquitto: max_packet_size), or enable fewer classes")
    yield from _service(config, broker)


def _service(config: Config, broker: Broker) -> Iterator[Finding]:
    base = f"{config.mqtt.base_topic}/{config.node}"
    retained: dict[str, bytes] = {}
    try:
        with subscription(broker, f"{base}/#", lambda message: retained.update({message.topic: message.payload})):
            threading.Event().wait(RETAINED_SECONDS)
    except BrokerError as error:
        yield Finding("service", "warning", f"the state of the service cannot be read: {error}")
        return
    yield from judge_service(base, [source.name for source in config.sources], retained)


def judge_service(base: str, sources: Sequence[str], retained: Mapping[str, bytes]) -> Iterator[Finding]:
    """Yield the findings from the retained messages of the running service."""
    status = retained.get(f"{base}/status")
    if status != b"online":
        said = "no service publishes as this node" if status is None else "the service of this node is not running"
        yield Finding("service", "warning", said, "systemctl status edge-detector; journalctl -u edge-detector")
        return
    yield Finding("service", "good", "the service of this node is running")
    troubles: dict[str, None] = {}
    for name in sources:
        health = _health(retained.get(f"{base}/{name}/health"))
        if health is None:
            yield Finding(
                "service", "warning", f"it has no source {name}", "systemctl restart edge-detector takes a new configuration"
            )
            continue
        state, signal, of_the_node = health
        troubles.update(dict.fromkeys(of_the_node))
        fine = state == "healthy" and signal == "ok"
        yield Finding("service", "good" if fine else "warning", f"its source {name} is {state}, signal {signal}")
        if retained.get(f"{base}/{name}/mute") == b"ON":
            advice = f"unmute it in Home Assistant, or publish OFF to {base}/{name}/mute/set"
            yield Finding("service", "warning", f"its source {name} is muted: its events are not published", advice)
    for sentence in troubles:
        yield Finding("service", "warning", sentence)


def _health(payload: bytes | None) -> tuple[str, str, list[str]] | None:
    try:
        read = json.loads(payload or b"")
    except ValueError:
        return None
    if not isinstance(read, dict):
        return None
    troubles = read.get("troubles")
    return str(read.get("state")), str(read.get("signal")), list(map(str, troubles)) if isinstance(troubles, list) else []


def _open_password(mqtt: MqttConfig) -> tuple[str, ...]:
    if mqtt.tls or mqtt.username is None or _is_this_machine(mqtt.host):
        return ()
    return (f"the password goes unencrypted over the network to {mqtt.host}; with tls = true nobody there could read it",)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cure(mqtt: MqttConfig) -> str | None:
    if not _is_this_machine(mqtt.host) or mqtt.tls:
        return None
    return "install one on this machine (apt-get install mosquitto), or name yours: [mqtt] host"
