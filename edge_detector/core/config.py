"""The daemon's configuration: TOML, read strictly, every default written down here."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_detector.core.bundle import SoundClass, hop_key, read_rule
from edge_detector.core.decision import Rule
from edge_detector.core.strict import Table
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.types import ProbabilityRate

TOPIC_WORDS = ("status", "telemetry", "availability", "probabilities", "event", "class", "health", "level", "top_class")
_RATES: tuple[ProbabilityRate, ...] = ("hop", "second", "off")
SOURCE_KINDS = ("mic", "file")
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One [[source]].

    Attributes:
        name: slug, part of its topics.
        kind: "mic" or "file".
        device: microphone name or index, or None for the default one; for a file, its path.
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


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """The broker and what it is sent. `probabilities` is "hop", "second" or "off"."""

    host: str = "localhost"
    port: int = 1883
    protocol: str = "5"
    username: str | None = None
    password_file: Path | None = None
    keepalive_seconds: int = 15
    base_topic: str = "edge_detector"
    probabilities: ProbabilityRate = "hop"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `run` is told. `overrides` holds what [class.<slug>] changes, checked against a bundle by `rules`."""

    node: str
    bundle: Path | None
    sources: tuple[SourceConfig, ...]
    mqtt: MqttConfig
    overrides: Mapping[str, Mapping[str, object]]


def load_config(path: Path) -> Config:
    """Read a configuration file. Raises UsageError naming the key, the value and what is allowed."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise UsageError(f"{path} is larger than {MAX_CONFIG_BYTES >> 20} MiB; this is no configuration")
        data = tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    return parse_config(data, str(path))


def parse_config(data: Mapping[str, object], where: str) -> Config:
    """A configuration from its parsed TOML. Raises UsageError."""
    table = Table(data, where, UsageError)
    node, bundle = table.table("node"), table.table("bundle")
    bundle_path = bundle.optional_text("path")
    config = Config(
        node=node.slug("name", "edge"),
        bundle=Path(bundle_path) if bundle_path else None,
        sources=tuple(_source(source) for source in table.tables("source")) or (SourceConfig("mic"),),
        mqtt=_mqtt(table.table("mqtt")),
        overrides={slug: override.raw() for slug, override in table.named_tables("class").items()},
    )
    for part in (node, bundle, table):
        part.done()
    names = [source.name for source in config.sources]
    if len(set(names)) != len(names):
        raise UsageError(f"{where}: two sources have the same name; each of {', '.join(names)} must differ")
    return config


def rules(classes: Sequence[SoundClass], hops_per_patch: int, overrides: Mapping[str, Mapping[str, object]]) -> tuple[Rule, ...]:
    """Each class's rule at this hop: the bundle's, changed by the configuration. Raises UsageError."""
    slugs = [sound.slug for sound in classes]
    for slug in overrides:
        if slug not in slugs:
            raise UsageError(f"[class.{slug}]: the bundle has no such class; it has {', '.join(slugs)}")
    return tuple(
        read_rule(Table(overrides.get(sound.slug, {}), f"[class.{sound.slug}]", UsageError), sound.rules[hops_per_patch])
        for sound in classes
    )


def _source(table: Table) -> SourceConfig:
    hops = {float(hop_key(count)): count for count in HOPS_PER_PATCH}
    hop_seconds = table.number("hop", 0.96)
    if hop_seconds not in hops:
        raise table.fail("hop", f"must be one of {', '.join(f'{hop:g}' for hop in hops)} (seconds)")
    table.text("context", "sliding", choices=("sliding",))
    source = SourceConfig(
        name=table.slug("name", refused=TOPIC_WORDS),
        kind=table.text("kind", "mic", choices=SOURCE_KINDS),
        device=table.optional_text("device"),
        channel=table.integer("channel", 0, low=0, high=63),
        hops_per_patch=hops[hop_seconds],
        real_time=table.flag("real_time", default=False),
    )
    if source.kind == "file" and source.device is None:
        raise table.fail("device", "must be the path of an audio file where kind is file")
    table.done()
    return source


def _rate(table: Table, default: ProbabilityRate) -> ProbabilityRate:
    text = table.text("probabilities", default, choices=_RATES)
    return next(rate for rate in _RATES if rate == text)


def _mqtt(table: Table) -> MqttConfig:
    default = MqttConfig()
    password_file = table.optional_text("password_file")
    base_topic = table.text("base_topic", default.base_topic)
    if any(character in base_topic for character in "+#") or base_topic.startswith(("/", "$")) or base_topic.endswith("/"):
        raise table.fail("base_topic", "must have neither + nor #, not begin with / or $, nor end with /")
    mqtt = MqttConfig(
        host=table.text("host", default.host),
        port=table.integer("port", default.port, low=1, high=65_535),
        protocol=table.text("protocol", default.protocol, choices=("5", "3.1.1")),
        username=table.optional_text("username"),
        password_file=Path(password_file) if password_file else None,
        keepalive_seconds=table.integer("keepalive_seconds", default.keepalive_seconds, low=1, high=3_600),
        base_topic=base_topic,
        probabilities=_rate(table, default.probabilities),
    )
    table.done()
    return mqtt
