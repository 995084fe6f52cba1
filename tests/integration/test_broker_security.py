"""From the configuration to a real mosquitto that asks for passwords, certificates and rights."""

import logging
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_detector.config import MqttConfig, SourceConfig, parse_config
from edge_detector.errors import BrokerError, UsageError
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.credentials import broker_of, broker_warnings, with_url
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.tls import describe_connect_error
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.certificates import Authority
from tests.support.inbox import Inbox
from tests.support.waiting import wait_until

# paho forgets, instead of closing, a socket whose TLS handshake failed; Python closes it a moment later, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")

PASSWORD = "hunter2 with spaces"  # noqa: S105 - of a broker that lives for a second
OFFLINE = Message("node/status", b"offline", 1, retained=True)
ONLINE = Message("node/status", b"online", 1, retained=True)
EVENT = Message("node/mic/event", b"{}", 1, retained=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def settings(broker: Broker, **mqtt: object) -> MqttConfig:
    """As a configuration file would give them."""
    return parse_config({"mqtt": {"host": broker.host, "port": broker.port, **mqtt}}, "test").mqtt


@contextmanager
def publishing(mqtt: MqttConfig, environment: dict[str, str] | None = None) -> Iterator[Publisher]:
    broker = broker_of(mqtt, "test", environment or {})
    publisher = Publisher(broker, last_will=OFFLINE, greeting=ONLINE, explain=describe_connect_error)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.close(OFFLINE, timeout_seconds=0.5)


def why_not(mqtt: MqttConfig, environment: dict[str, str] | None = None) -> str:
    """The sentence with which a connection fails; what is said to a subscriber must be as good."""
    with publishing(mqtt, environment) as publisher:
        wait_until(lambda: publisher.last_error is not None, "a refusal")
        assert publisher.last_error is not None
        assert not publisher.wait_connected(0)
        assert "\n" not in publisher.last_error
        assert f"{mqtt.host}:{mqtt.port}" in publisher.last_error, "it says which broker"
        return publisher.last_error


def arrives(mqtt: MqttConfig, environment: dict[str, str] | None = None) -> None:
    inbox = Inbox()
    with subscription(broker_of(mqtt, "ear", environment or {}), "#", inbox.receive), publishing(mqtt, environment) as publisher:
        publisher.publish(EVENT)
        inbox.wait_for_payload(EVENT.topic, EVENT.payload)


@contextmanager
def broker_with_password(folder: Path, *config_lines: str) -> Iterator[Broker]:
    passwords = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "ear", PASSWORD], check=True)
    with Broker(f"password_file {passwords}", *config_lines, anonymous=False) as broker:
        yield broker


def secret(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "mqtt-password"
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


def broker_with_tls(authority: Authority, name: str = "server", valid_days: int = 30, *listener_lines: str) -> Broker:
    server = authority.server(name, valid_days=valid_days)
    lines = (f"cafile {authority.certificate.file}", f"certfile {server.file}", f"keyfile {server.key}", *listener_lines)
    return Broker(listener_lines=lines)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_right_password_from_a_file_the_environment_or_a_credential_lets_us_in(tmp_path: Path, protocol: str) -> None:
    with broker_with_password(tmp_path) as broker:
        file = secret(tmp_path, PASSWORD)
        arrives(settings(broker, username="ear", password_file=str(file), protocol=protocol))
        arrives(settings(broker, username="ear", protocol=protocol), {"EDGE_DETECTOR_MQTT_PASSWORD": PASSWORD})
        arrives(settings(broker, username="ear", protocol=protocol), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        not_readable = "/etc/no-such-folder/mqtt-password"
        arrives(
            settings(broker, username="ear", password_file=not_readable, protocol=protocol),
            {"CREDENTIALS_DIRECTORY": str(tmp_path)},
        )


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_or_none_is_refused_in_a_sentence_that_does_not_show_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with broker_with_password(tmp_path) as broker:
        wrong = settings(broker, username="ear", password_file=str(secret(tmp_path, "hunter3")), protocol=protocol)
        assert "check user name and password" in why_not(wrong)
        assert "check user name and password" in why_not(settings(broker, protocol=protocol))
    assert "hunter" not in caplog.text
    assert "hunter" not in repr(broker_of(wrong, "test", {}))


def test_a_password_that_others_can_read_works_and_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with broker_with_password(tmp_path) as broker:
        arrives(settings(broker, username="ear", password_file=str(secret(tmp_path, PASSWORD, 0o644))))
    assert re.search("everybody on this machine can read the secret in .*; run: chmod 600", caplog.text)
    assert PASSWORD not in caplog.text


def test_a_missing_password_file_is_a_wrong_configuration(tmp_path: Path) -> None:
    mqtt = MqttConfig(username="ear", password_file=tmp_path / "missing")
    with pytest.raises(UsageError, match="cannot be read"):
        broker_of(mqtt, "test", {})


def test_one_denied_topic_costs_only_what_goes_there_and_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = tmp_path / "acl"
    rules.write_text("user ear\ntopic readwrite node/status\ntopic readwrite node/mic/event\n")
    denied = Message("node/mic/class/rain", b"ON", 1, retained=True)
    with broker_with_password(tmp_path, f"acl_file {rules}") as broker:
        mqtt = settings(broker, username="ear", password_file=str(secret(tmp_path, PASSWORD)))
        inbox = Inbox()
        with subscription(broker_of(mqtt, "ear", {}), "#", inbox.receive), publishing(mqtt) as publisher:
            publisher.publish(denied)
            publisher.publish(EVENT)
            inbox.wait_for_payload(EVENT.topic, EVENT.payload)
            wait_until(lambda: denied.topic in publisher.refused_topics, "the refusal")
            assert publisher.refused_messages == 1
        assert not [message for message in inbox.messages if message.topic == denied.topic]
    assert re.search(r"refused a message on node/mic/class/rain .*check its access rules", caplog.text)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_broker_of_our_own_authority_is_talked_to_in_tls(authority: Authority, host: str, protocol: str) -> None:
    with broker_with_tls(authority) as broker:
        ca_file = str(authority.certificate.file)
        arrives(settings(broker, host=host, tls=True, ca_file=ca_file, protocol=protocol))


def test_a_broker_nobody_vouches_for_is_not_given_the_password(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", "somebody else")
    with broker_with_tls(authority) as broker:
        file = str(secret(tmp_path, PASSWORD))
        for ca_file in ({}, {"ca_file": str(stranger.certificate.file)}):
            mqtt = settings(broker, tls=True, username="ear", password_file=file, **ca_file)
            assert re.search("is not trusted: .*ca_file", why_not(mqtt))
        assert "CONNECT" not in broker.log.replace("CONNACK", ""), "nothing was said before it was trusted"


def test_an_expired_certificate_of_the_broker_is_not_accepted(authority: Authority) -> None:
    with broker_with_tls(authority, "old", -1) as broker:
        assert "its certificate has expired" in why_not(settings(broker, tls=True, ca_file=str(authority.certificate.file)))


def test_a_broker_by_another_name_is_not_accepted(authority: Authority) -> None:
    server = authority.server("elsewhere", names="DNS:elsewhere.example")
    lines = (f"certfile {server.file}", f"keyfile {server.key}")
    with Broker(listener_lines=lines) as broker:
        assert "for another name" in why_not(settings(broker, tls=True, ca_file=str(authority.certificate.file)))


def test_mutual_tls_lets_us_in_under_the_name_in_our_certificate(authority: Authority, tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("user ear\ntopic readwrite node/#\n")
    mine = authority.client("ear")
    ca_file = str(authority.certificate.file)
    lines = ("require_certificate true", "use_identity_as_username true")
    server = authority.server()
    certificates = (f"cafile {ca_file}", f"certfile {server.file}", f"keyfile {server.key}")
    with Broker(f"acl_file {rules}", listener_lines=(*certificates, *lines)) as broker:
        arrives(settings(broker, tls=True, ca_file=ca_file, cert_file=str(mine.file), key_file=str(mine.key)))

        credentials = tmp_path / "credentials"
        credentials.mkdir()
        (credentials / "secrets_client.key").write_bytes(mine.key.read_bytes())
        by_credential = settings(broker, tls=True, ca_file=ca_file, cert_file=str(mine.file), key_file="/etc/nowhere/client.key")
        arrives(by_credential, {"CREDENTIALS_DIRECTORY": str(credentials)})

        assert "certificate" in why_not(settings(broker, tls=True, ca_file=ca_file))
        old = authority.client("old ear", valid_days=-1)
        expired = settings(broker, tls=True, ca_file=ca_file, cert_file=str(old.file), key_file=str(old.key))
        assert "certificate" in why_not(expired)


def test_a_private_key_that_others_can_read_is_warned_about_and_a_certificate_is_not(
    authority: Authority, tmp_path: Path
) -> None:
    mine = authority.client("ear")
    mine.file.chmod(0o644)
    mine.key.chmod(0o600)
    assert not broker_warnings(MqttConfig(tls=True, cert_file=mine.file, key_file=mine.key), {})
    mine.key.chmod(0o644)
    assert "chmod 600" in broker_warnings(MqttConfig(tls=True, cert_file=mine.file, key_file=mine.key), {})[0]
    assert not broker_warnings(MqttConfig(tls=True, cert_file=mine.file), {})
    both = tmp_path / "both.pem"
    both.write_bytes(mine.file.read_bytes() + mine.key.read_bytes())
    both.chmod(0o644)
    assert "chmod 600" in broker_warnings(MqttConfig(tls=True, cert_file=both), {})[0]


def test_plain_and_tls_mixed_up_is_said_in_both_directions(authority: Authority, broker: Broker) -> None:
    assert re.search("TLS", why_not(settings(broker, tls=True, ca_file=str(authority.certificate.file))))
    with broker_with_tls(authority) as secured:
        assert re.search("TLS", why_not(settings(secured)))


def test_a_subscriber_is_told_as_much(authority: Authority) -> None:
    with broker_with_tls(authority) as broker:
        stranger = broker_of(settings(broker, tls=True), "test", {})
        with pytest.raises(BrokerError, match="is not trusted"), subscription(stranger, "#", print, describe_connect_error):
            pass


def test_a_url_with_a_password_comes_from_a_file_and_is_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "gate-url"
    file.write_text("rtsp://ear:hunter2@gate.local/sound\n")
    file.chmod(0o644)
    source = with_url(SourceConfig("gate", "url", device_file=file), {})
    assert source.device == "rtsp://ear:hunter2@gate.local/sound"
    assert "chmod 600" in caplog.text
    file.write_text("file:///etc/shadow?hunter2\n")
    with pytest.raises(UsageError, match="must begin with one of") as caught:
        with_url(SourceConfig("gate", "url", device_file=file), {})
    assert "hunter2" not in str(caught.value) + caplog.text
    plain = SourceConfig("mic")
    assert with_url(plain, {}) is plain
