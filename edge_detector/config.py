"""The daemon's configuration: strict TOML, with all defaults."""

import codecs
import hashlib
import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_detector.bounded_files import read_regular
from edge_detector.detection.bundle import FIRST_CLASS_LIST, MAX_CLASS_LIST, SoundClass, hop_key
from edge_detector.detection.classes import NEWEST_CLASS_LIST, ClassDefinition
from edge_detector.detection.hysteresis import STRICTNESS_LOG_ODDS, Rule, RuleOverride, read_rule, shifted
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.plain_text import is_plain
from edge_detector.schema import MAX_SLUG_CHARACTERS, SLUG, StrictTable, shown, with_suggestion
from edge_detector.types import ProbabilityRate, Strictness

TOPIC_WORDS = (
    *("status", "telemetry", "availability", "probabilities", "event", "class", "health", "level", "top_class"),
    *("threshold", "mute", "doctor"),
)  # fmt: skip
_RATES: tuple[ProbabilityRate, ...] = ("hop", "second", "off")
SOURCE_KINDS = ("mic", "arecord", "file", "url")
URL_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
"""ffmpeg's network protocols. Its others read local files or join several inputs."""
MAX_TOPIC_CHARACTERS = 200
PLAIN_PORT, TLS_PORT = 1_883, 8_883
MAX_PORT = 65_535
LOCALHOST = "localhost"
PAGE_PASSWORD_FILE = "/etc/edge-detector/secrets/web-password"  # noqa: S105 - a file name
_HOST_NAME = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_LISTEN = re.compile(r"(?P<host>[^\[\]:%]+|\[(?P<ipv6>[^\[\]%]+)\]):(?P<port>[0-9]{1,5})")
_PAGE_URL = re.compile(r"(https?://(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?)/?")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One [[source]].

    Attributes:
        name: slug, part of its topics.
        kind: "mic" (PortAudio), "arecord" (its own process, ALSA), "file" or "url" (through ffmpeg).
        device: microphone name or index, or an ALSA name for arecord, or None for the default; a file's path; a URL.
        device_file: file that holds the URL, for a URL with a password.
        channel: channel of the microphone, from 0.
        hops_per_patch: k of hop = 0.96 s / k.
        real_time: read a file in real time, as a microphone delivers sound.

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
    """The broker, and what is published to it.

    Attributes:
        port: 1883 by default, or 8883 with TLS.
        password_file: file with only the password; in a systemd unit, a credential of the same name takes precedence.
        probabilities: "hop", "second" or "off".
        tls: encrypt, and verify the broker's certificate; verification cannot be disabled.
        ca_file: certificates to trust instead of the system's.
        cert_file, key_file: client certificate, for a broker that requires one.
        commands: allow thresholds and mutes to be set over MQTT.

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
    """The outbox: events that wait for the broker.

    Attributes:
        path: database file; None for outbox.sqlite in the state directory.
        max_messages, max_age_seconds: limits; beyond them the oldest events are dropped and counted.

    """

    path: Path | None = None
    max_messages: int = 10_000
    max_age_seconds: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class HistoryConfig:
    """The history of events, in the state directory: whether it is kept, and its limits, beyond which the oldest events go."""

    enabled: bool = True
    days: int = 400
    megabytes: int = 100


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """Clips of sound, in the state directory, off by default since sound is private.

    Attributes:
        enabled: whether the sound of events is stored.
        before_seconds, after_seconds: sound before an event's start and after its end.
        longest_seconds: length of a clip at most.
        days, megabytes: limits, beyond which the oldest clips go.

    """

    enabled: bool = False
    before_seconds: float = 5.0
    after_seconds: float = 5.0
    longest_seconds: float = 60.0
    days: int = 30
    megabytes: int = 500


@dataclass(frozen=True, slots=True)
class HomeAssistantConfig:
    """Home Assistant MQTT discovery: whether it is published, and its topic prefix."""

    enabled: bool = True
    prefix: str = "homeassistant"


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The page and its HTTP interface.

    Attributes:
        listen: address to serve them at, host:port, with an IPv6 address in brackets; None: they are not served.
        password_file: file with only the password; in a systemd unit, a credential of the same name takes precedence.
        url: how others reach the page, http(s)://host[:port], for links to it.

    """

    listen: str | None = None
    password_file: Path | None = None
    url: str | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host, without brackets, and port of `listen`."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def is_loopback(self) -> bool:
        """Whether `listen` can be reached from this machine alone."""
        return self.address is not None and _is_loopback(self.address[0])


def _is_loopback(host: str) -> bool:
    return host == LOCALHOST or ipaddress.ip_address(host).is_loopback


def public_url(web: WebConfig, hostname: str) -> str | None:
    """Return the URL of the page for links, without a slash at its end; None where other machines cannot reach it.

    `hostname` is this machine's name; one without a dot is found by mDNS.
    """
    if web.address is None or web.url is not None:
        return web.url
    host, port = web.address
    if web.is_loopback:
        return None
    if not ipaddress.ip_address(host).is_unspecified:
        return f"http://{_bracketed(host)}:{port}"
    if not _HOST_NAME.fullmatch(hostname) or hostname.partition(".")[0] == LOCALHOST:
        return None
    return f"http://{hostname if '.' in hostname else f'{hostname}.local'}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def read_source(table: StrictTable) -> SourceConfig:
    """Read one [[source]]. Raises UsageError."""
    hops = {float(hop_key(count)): count for count in HOPS_PER_PATCH}
    name = table.slug("name", refused=TOPIC_WORDS)
    kind = table.text("kind", "mic", choices=SOURCE_KINDS)
    hop_seconds = table.number("hop", 0.96, choices=tuple(hops))
    table.text("context", "sliding", choices=("sliding",))
    source = SourceConfig(
        name=name,
        kind=kind,
        device=_url(table) if kind == "url" else table.optional_text("device"),
        channel=table.integer("channel", 0, low=0, high=63),
        hops_per_patch=hops[hop_seconds],
        real_time=table.flag("real_time", default=False),
        device_file=_path(table, "device_file"),
    )
    if source.kind == "file" and source.device is None:
        raise table.key_error("device", "must be the path of an audio file where kind is file")
    if source.kind != "url" and source.device_file is not None:
        raise table.key_error("device_file", 'is only for kind = "url"')
    table.reject_unknown()
    return source


def _url(table: StrictTable) -> str | None:
    """Read the URL of a source; None if a file holds it. No error shows it, since it may hold a password."""
    url = table.optional_text("device")
    if table.has("device_file") != (url is None):
        raise table.table_error(
            "a source of kind url needs either device, the URL, or device_file, the name of a file that holds it"
        )
    if url is not None:
        problem = problem_of_url(url)
        if problem is not None:
            raise table.table_error(problem)
    return url


def problem_of_url(url: str) -> str | None:
    """Return why `url` is not an allowed network URL, without showing it; None if it is allowed."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in URL_SCHEMES and rest and url.isprintable() and " " not in url:
        return None
    return f"the URL must begin with one of {', '.join(f'{scheme}://' for scheme in URL_SCHEMES)} and have no spaces"


def _path(table: StrictTable, key: str) -> Path | None:
    text = table.optional_text(key)
    return Path(text) if text else None


def _rate(table: StrictTable, default: ProbabilityRate) -> ProbabilityRate:
    text = table.text("probabilities", default, choices=_RATES)
    return next(rate for rate in _RATES if rate == text)


def _topic(table: StrictTable, key: str, default: str) -> str:
    topic = table.text(key, default)
    if any(character in topic for character in "+#") or topic.startswith(("/", "$")) or topic.endswith("/"):
        raise table.key_error(key, "must have neither + nor #, not begin with / or $, nor end with /")
    if not topic.isprintable() or len(topic) > MAX_TOPIC_CHARACTERS:
        raise table.key_error(key, f"must be printable, and of {MAX_TOPIC_CHARACTERS} characters at most")
    return topic


def read_mqtt(table: StrictTable) -> MqttConfig:
    """Read the table [mqtt]. Raises UsageError."""
    default = MqttConfig()
    if table.has("password"):
        raise table.table_error('a password does not belong here; put it in a file of its own and name that: password_file = "…"')
    host = table.text("host", default.host)
    if "/" in host or not host.isprintable() or " " in host:
        raise table.key_error(
            "host", "must be a name or an address, such as broker.local; port and tls are settings of their own"
        )
    name, _, port = host.partition(":")
    if port.isdecimal():
        raise table.key_error("host", f'has a port in it; write host = "{name}" and port = {port}')
    tls = table.flag("tls", default=False)
    mqtt = MqttConfig(
        host=host,
        port=table.integer("port", TLS_PORT if tls else PLAIN_PORT, low=1, high=MAX_PORT),
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
    _reject_unused_security(mqtt, table)
    table.reject_unknown()
    return mqtt


def _reject_unused_security(mqtt: MqttConfig, table: StrictTable) -> None:
    """Reject a certificate or password that would never be used."""
    if not mqtt.tls:
        for key in ("ca_file", "cert_file", "key_file"):
            if table.has(key):
                raise table.key_error(key, "is only used with tls = true")
    if mqtt.cert_file is None and mqtt.key_file is not None:
        raise table.key_error("key_file", "needs cert_file, the certificate that belongs to the key")
    if mqtt.password_file is not None and mqtt.username is None:
        raise table.key_error("password_file", "needs username, whose password it is")


def read_outbox(table: StrictTable) -> OutboxConfig:
    """Read the table [outbox]. Raises UsageError."""
    default = OutboxConfig()
    outbox = OutboxConfig(
        path=_path(table, "path"),
        max_messages=table.integer("max_messages", default.max_messages, low=1, high=10_000_000),
        max_age_seconds=table.number("max_age_seconds", default.max_age_seconds, low=1.0, high=10 * 365 * 86_400.0),
    )
    table.reject_unknown()
    return outbox


def read_history(table: StrictTable) -> HistoryConfig:
    """Read the table [history]. Raises UsageError."""
    default = HistoryConfig()
    history = HistoryConfig(
        enabled=table.flag("enabled", default=default.enabled),
        days=table.integer("days", default.days, low=1, high=36_500),
        megabytes=table.integer("megabytes", default.megabytes, low=2, high=100_000),
    )
    table.reject_unknown()
    return history


def read_clips(table: StrictTable) -> ClipsConfig:
    """Read the table [clips]. Raises UsageError."""
    default = ClipsConfig()
    clips = ClipsConfig(
        enabled=table.flag("enabled", default=default.enabled),
        before_seconds=table.number("before_seconds", default.before_seconds, low=0.0, high=30.0),
        after_seconds=table.number("after_seconds", default.after_seconds, low=0.0, high=30.0),
        longest_seconds=table.number("longest_seconds", default.longest_seconds, low=1.0, high=600.0),
        days=table.integer("days", default.days, low=1, high=36_500),
        megabytes=table.integer("megabytes", default.megabytes, low=2, high=1_000_000),
    )
    table.reject_unknown()
    return clips


def read_home_assistant(table: StrictTable) -> HomeAssistantConfig:
    """Read the table [home_assistant]. Raises UsageError."""
    default = HomeAssistantConfig()
    home_assistant = HomeAssistantConfig(
        enabled=table.flag("enabled", default=default.enabled), prefix=_topic(table, "prefix", default.prefix)
    )
    table.reject_unknown()
    return home_assistant


def read_web(table: StrictTable) -> WebConfig:
    """Read the table [web]. Raises UsageError."""
    if table.has("password"):
        raise table.table_error('a password does not belong here; put it in a file of its own and name that: password_file = "…"')
    web = WebConfig(
        listen=_listen(table),
        password_file=_path(table, "password_file"),
        url=_page_url(table),
    )
    if web.listen is None:
        for key in ("password_file", "url"):
            if table.has(key):
                raise table.key_error(key, 'needs listen, the address of the page, such as listen = "127.0.0.1:8080"')
    elif not web.is_loopback and web.password_file is None:
        raise table.key_error(
            "listen",
            "can be reached by other machines, so the page needs a password; write one into a file, "
            f'"sudo install -m 600 /dev/stdin {PAGE_PASSWORD_FILE}" and Ctrl-D after it, and name that file: '
            f'password_file = "{PAGE_PASSWORD_FILE}"',
        )
    table.reject_unknown()
    return web


def _listen(table: StrictTable) -> str | None:
    text = table.optional_text("listen", example="127.0.0.1:8080")
    if text is None:
        return None
    found = _LISTEN.fullmatch(text)
    if found is None or not _is_host(found) or not 1 <= int(found["port"]) <= MAX_PORT:
        raise table.key_error(
            "listen",
            'must be an IP address, or localhost, and a port from 1 to 65535, such as "127.0.0.1:8080", "0.0.0.0:8080" or '
            '"[::]:8080"',
        )
    return text


def _is_host(found: re.Match[str]) -> bool:
    """Whether the host of an address is localhost, an IPv4 address, or an IPv6 address in brackets."""
    try:
        return found["host"] == LOCALHOST or bool(
            ipaddress.IPv6Address(found["ipv6"]) if found["ipv6"] else ipaddress.IPv4Address(found["host"])
        )
    except ValueError:
        return False


def _page_url(table: StrictTable) -> str | None:
    text = table.optional_text("url", example="http://nursery.local:8080")
    if text is None:
        return None
    found = _PAGE_URL.fullmatch(text)
    if found is None or not 1 <= int(found["port"] or 1) <= MAX_PORT:
        # It may hold a password.
        raise table.table_error(
            'url must be http or https, a host and at most a port, as in "http://nursery.local:8080"; leave out path and user'
        )
    return found[1]


MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration of `run`.

    Attributes:
        overrides: changes of rules by [class.<slug>], checked against a bundle by `rules`.
        definitions: classes that [class.<slug>] defines from AudioSet labels.
        class_list: classes of later lists are disabled unless [class.<slug>] enables them.
        strictness: shifts every threshold not set in [class.<slug>].
        origin: the file, for errors.
        sha256: of the file's bytes, in hexadecimal; None without a file.

    """

    node: str
    bundle: Path | None
    sources: tuple[SourceConfig, ...]
    mqtt: MqttConfig
    overrides: Mapping[str, RuleOverride]
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    home_assistant: HomeAssistantConfig = field(default_factory=HomeAssistantConfig)
    web: WebConfig = field(default_factory=WebConfig)
    definitions: Mapping[str, ClassDefinition] = field(default_factory=dict)
    class_list: int = NEWEST_CLASS_LIST
    strictness: Strictness = "balanced"
    origin: str = field(default="configuration", compare=False)
    sha256: str | None = field(default=None, compare=False)


def default_config() -> Config:
    """Return the configuration without a file: all defaults and the newest class list."""
    return parse_config({"detection": {"class_list": NEWEST_CLASS_LIST}}, "defaults")


def load_config(path: Path) -> Config:
    """Read a configuration file. Raises UsageError with the key, the value and the allowed values."""
    content = _content(path)
    config = parse_config(_parse(content, path), str(path))
    return replace(config, sha256=hashlib.sha256(content).hexdigest())


def load_document(path: Path) -> dict[str, Any]:
    """Read the TOML of a configuration file. Raises UsageError."""
    return _parse(_content(path), path)


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_CONFIG_BYTES)  # a pipe without a writer would be waited for
    except OSError as error:
        raise UsageError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UsageError(f"{path} is UTF-16, and TOML is UTF-8; save it as UTF-8")
        return tomllib.loads(content.removeprefix(codecs.BOM_UTF8).decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def parse_config(data: Mapping[str, object], where: str) -> Config:
    """Build a configuration from parsed TOML. Raises UsageError."""
    return read_config(StrictTable(data, where, UsageError), where)


def read_config(table: StrictTable, where: str) -> Config:
    """Read a configuration, `where` being its place for errors. Raises UsageError."""
    node, bundle, detection = table.table("node"), table.table("bundle"), table.table("detection")
    classes = table.named_tables("class")
    bundle_path = bundle.optional_text("path")
    config = Config(
        node=node.slug("name", "edge"),
        bundle=Path(bundle_path) if bundle_path else None,
        sources=tuple(read_source(source) for source in table.tables("source")) or (SourceConfig("mic"),),
        mqtt=read_mqtt(table.table("mqtt")),
        definitions={
            slug: read_definition(slug, values)
            for slug, values in classes.items()
            if values.has("audioset") | values.has("label")
        },
        overrides={slug: read_rule(values) for slug, values in classes.items()},
        outbox=read_outbox(table.table("outbox")),
        history=read_history(table.table("history")),
        clips=read_clips(table.table("clips")),
        home_assistant=read_home_assistant(table.table("home_assistant")),
        web=read_web(table.table("web")),
        # A file without the key predates class lists and keeps its classes.
        class_list=detection.integer("class_list", FIRST_CLASS_LIST, low=FIRST_CLASS_LIST, high=MAX_CLASS_LIST),
        strictness=_strictness(detection),
        origin=where,
    )
    for part in (node, bundle, detection, table):
        part.reject_unknown()
    names = [source.name for source in config.sources]
    if len(set(names)) != len(names):
        raise UsageError(f"{where}: two sources have the same name; each of {', '.join(names)} must differ")
    return config


def _strictness(table: StrictTable) -> Strictness:
    text = table.text("strictness", "balanced", choices=tuple(STRICTNESS_LOG_ODDS))
    return next(strictness for strictness in STRICTNESS_LOG_ODDS if strictness == text)


def read_definition(slug: str, table: StrictTable) -> ClassDefinition:
    """Read the AudioSet labels of a class that the configuration defines."""
    if not SLUG.fullmatch(slug) or len(slug) > MAX_SLUG_CHARACTERS:
        raise table.table_error(
            f"a class's name may only have lower-case letters, digits and underscores, {MAX_SLUG_CHARACTERS} at most"
        )
    labels = table.texts("audioset")
    if not labels:
        raise table.table_error('a class of your own needs the AudioSet labels it is made of: audioset = ["Whistle", "Steam"]')
    label = table.optional_text("label")
    if label is not None and not is_plain(label):
        raise table.key_error("label", "must be printable")
    return ClassDefinition(labels, label)


def rules_by_hop(classes: Sequence[SoundClass], config: Config) -> dict[int, tuple[Rule, ...]]:
    """Return the rules of all classes for each hop of a source, by hops per patch. Raises UsageError."""
    return {source.hops_per_patch: rules(classes, source.hops_per_patch, config) for source in config.sources}


def rules(classes: Sequence[SoundClass], hops_per_patch: int, config: Config) -> tuple[Rule, ...]:
    """Return each class's rule at this hop: the bundle's, shifted by the strictness, then overridden. Raises UsageError.

    An override enables a disabled class, unless it has enabled = false.
    """
    slugs = [sound.slug for sound in classes]
    for slug in config.overrides:
        if slug not in slugs:
            problem = f"{config.origin} [class.{shown(slug)}]: the bundle has no such class"
            raise UsageError(with_suggestion(problem, slug, slugs, f"it has {', '.join(map(shown, slugs))}"))
    log_odds = STRICTNESS_LOG_ODDS[config.strictness]
    return tuple(
        _rule(shifted(sound.rules[hops_per_patch], log_odds), config.overrides.get(sound.slug), config.origin, sound.slug)
        for sound in classes
    )


def _rule(default: Rule, override: RuleOverride | None, origin: str, slug: str) -> Rule:
    if override is None:
        return default
    rule = override.apply(replace(default, enabled=True))
    if rule.off > rule.on:
        raise UsageError(f"{origin} [class.{slug}]: off = {rule.off:g} must not be above on = {rule.on:g}; give on as well")
    return rule
