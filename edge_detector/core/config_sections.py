"""The tables of the configuration, and how each is read; `config` puts them together."""

from dataclasses import dataclass
from pathlib import Path

from edge_detector.core.bundle import hop_key
from edge_detector.core.strict import Table
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.types import ProbabilityRate

TOPIC_WORDS = (
    *("status", "telemetry", "availability", "probabilities", "event", "class", "health", "level", "top_class"),
    *("threshold", "mute", "doctor"),
)  # fmt: skip
_RATES: tuple[ProbabilityRate, ...] = ("hop", "second", "off")
SOURCE_KINDS = ("mic", "arecord", "file", "url")
URL_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
"""What ffmpeg may be asked for: sound from a network. Its other protocols read files, or join several things."""
MAX_TOPIC_CHARACTERS = 200
PLAIN_PORT, TLS_PORT = 1_883, 8_883


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One [[source]].

    Attributes:
        name: slug, part of its topics.
        kind: "mic" (PortAudio), "arecord" (its own process, ALSA), "file" or "url" (through ffmpeg).
        device: microphone name or index, or ALSA's name of it for arecord, or None for the default one; a file's path; a URL.
        device_file: a file that holds the URL, for one with a password in it.
        channel: channel of the microphone that is listened to, from 0.
        hops_per_patch: k of hop = 0.96 s / k.
        real_time: a file is played at the speed of sound, as a microphone would deliver it.

    """

    name: str
    kind: str = "mic"
    device: str | None = None
    channel: int = 0
    hops_per_patch: int = 1
    real_time: bool = False
    device_file: Path | None = None


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """The broker and what it is sent.

    Attributes:
        port: 1883, or 8883 with TLS, unless given.
        password_file: holds the password and nothing else; in a systemd unit, a credential of the same name comes first.
        probabilities: "hop", "second" or "off".
        tls: encrypt, and verify the broker's certificate; there is no setting that skips the verification.
        ca_file: certificates to trust instead of the system's.
        cert_file, key_file: this machine's own certificate, for a broker that asks for one.
        commands: whether thresholds and mutes may be set over MQTT.

    """

    host: str = "localhost"
    port: int = PLAIN_PORT
    protocol: str = "5"
    username: str | None = None
    password_file: Path | None = None
    keepalive_seconds: int = 15
    base_topic: str = "edge_detector"
    probabilities: ProbabilityRate = "hop"
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    commands: bool = False


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Where events wait for the broker, and how many and how long.

    Attributes:
        path: the database; None for outbox.sqlite in the state directory.
        max_messages, max_age_seconds: beyond these the oldest is dropped, and counted.

    """

    path: Path | None = None
    max_messages: int = 10_000
    max_age_seconds: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class HomeAssistantConfig:
    """Whether Home Assistant is told of this device, and under which topic it looks for such news."""

    enabled: bool = True
    prefix: str = "homeassistant"


def read_source(table: Table) -> SourceConfig:
    """One [[source]]. Raises UsageError."""
    hops = {float(hop_key(count)): count for count in HOPS_PER_PATCH}
    hop_seconds = table.number("hop", 0.96)
    if hop_seconds not in hops:
        raise table.fail("hop", f"must be one of {', '.join(f'{hop:g}' for hop in hops)} (seconds)")
    table.text("context", "sliding", choices=("sliding",))
    kind = table.text("kind", "mic", choices=SOURCE_KINDS)
    source = SourceConfig(
        name=table.slug("name", refused=TOPIC_WORDS),
        kind=kind,
        device=_url(table) if kind == "url" else table.optional_text("device"),
        channel=table.integer("channel", 0, low=0, high=63),
        hops_per_patch=hops[hop_seconds],
        real_time=table.flag("real_time", default=False),
        device_file=_path(table, "device_file"),
    )
    if source.kind == "file" and source.device is None:
        raise table.fail("device", "must be the path of an audio file where kind is file")
    if source.kind != "url" and source.device_file is not None:
        raise table.fail("device_file", 'is only for kind = "url"')
    table.done()
    return source


def _url(table: Table) -> str | None:
    """The URL of a source, None where a file holds it. It may have a password in it, so no error shows it."""
    url = table.optional_text("device")
    if table.has("device_file") != (url is None):
        raise table.refuse("a source of kind url needs either device, the URL, or device_file, the name of a file that holds it")
    if url is not None:
        problem = problem_of_url(url)
        if problem is not None:
            raise table.refuse(problem)
    return url


def problem_of_url(url: str) -> str | None:
    """Why this is no URL of sound on a network, in words that do not show it: it may hold a password. None if it is one."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in URL_SCHEMES and rest and url.isprintable() and " " not in url:
        return None
    return f"the URL must begin with one of {', '.join(f'{scheme}://' for scheme in URL_SCHEMES)} and have no spaces"


def _path(table: Table, key: str) -> Path | None:
    text = table.optional_text(key)
    return Path(text) if text else None


def _rate(table: Table, default: ProbabilityRate) -> ProbabilityRate:
    text = table.text("probabilities", default, choices=_RATES)
    return next(rate for rate in _RATES if rate == text)


def _topic(table: Table, key: str, default: str) -> str:
    topic = table.text(key, default)
    if any(character in topic for character in "+#") or topic.startswith(("/", "$")) or topic.endswith("/"):
        raise table.fail(key, "must have neither + nor #, not begin with / or $, nor end with /")
    if not topic.isprintable() or len(topic) > MAX_TOPIC_CHARACTERS:
        raise table.fail(key, f"must be printable, and of {MAX_TOPIC_CHARACTERS} characters at most")
    return topic


def read_mqtt(table: Table) -> MqttConfig:
    """The table [mqtt]. Raises UsageError."""
    default = MqttConfig()
    if table.has("password"):
        raise table.refuse('a password does not belong here; put it in a file of its own and name that: password_file = "…"')
    host = table.text("host", default.host)
    if "/" in host or not host.isprintable() or " " in host:
        raise table.fail("host", "must be a name or an address, such as broker.local; port and tls are settings of their own")
    tls = table.flag("tls", default=False)
    mqtt = MqttConfig(
        host=host,
        port=table.integer("port", TLS_PORT if tls else PLAIN_PORT, low=1, high=65_535),
        protocol=table.text("protocol", default.protocol, choices=("5", "3.1.1")),
        username=table.optional_text("username"),
        password_file=_path(table, "password_file"),
        keepalive_seconds=table.integer("keepalive_seconds", default.keepalive_seconds, low=1, high=3_600),
        base_topic=_topic(table, "base_topic", default.base_topic),
        probabilities=_rate(table, default.probabilities),
        tls=tls,
        ca_file=_path(table, "ca_file"),
        cert_file=_path(table, "cert_file"),
        key_file=_path(table, "key_file"),
        commands=table.flag("commands", default=False),
    )
    _refuse_half_security(mqtt, table)
    table.done()
    return mqtt


def _refuse_half_security(mqtt: MqttConfig, table: Table) -> None:
    """What looks protected must be: a certificate that is never used, or a password that is never sent, is a mistake."""
    if not mqtt.tls:
        for key in ("ca_file", "cert_file", "key_file"):
            if table.has(key):
                raise table.fail(key, "is only used with tls = true")
    if mqtt.cert_file is None and mqtt.key_file is not None:
        raise table.fail("key_file", "needs cert_file, the certificate that belongs to the key")
    if mqtt.password_file is not None and mqtt.username is None:
        raise table.fail("password_file", "needs username, whose password it is")


def read_outbox(table: Table) -> OutboxConfig:
    """The table [outbox]. Raises UsageError."""
    default = OutboxConfig()
    outbox = OutboxConfig(
        path=_path(table, "path"),
        max_messages=table.integer("max_messages", default.max_messages, low=1, high=10_000_000),
        max_age_seconds=table.number("max_age_seconds", default.max_age_seconds, low=1.0, high=10 * 365 * 86_400.0),
    )
    table.done()
    return outbox


def read_home_assistant(table: Table) -> HomeAssistantConfig:
    """The table [home_assistant]. Raises UsageError."""
    default = HomeAssistantConfig()
    home_assistant = HomeAssistantConfig(
        enabled=table.flag("enabled", default=default.enabled), prefix=_topic(table, "prefix", default.prefix)
    )
    table.done()
    return home_assistant
