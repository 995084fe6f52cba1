"""The daemon's configuration: TOML, read strictly, every default written down."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_detector.core.bundle import SoundClass, read_rule
from edge_detector.core.config_sections import (
    HomeAssistantConfig,
    MqttConfig,
    OutboxConfig,
    SourceConfig,
    problem_of_url,
    read_home_assistant,
    read_mqtt,
    read_outbox,
    read_source,
)
from edge_detector.core.decision import Rule
from edge_detector.core.strict import Table, shown
from edge_detector.errors import UsageError

__all__ = [
    "Config",
    "HomeAssistantConfig",
    "MqttConfig",
    "OutboxConfig",
    "SourceConfig",
    "load_config",
    "parse_config",
    "problem_of_url",
    "rules",
]

MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `run` is told. `overrides` holds what [class.<slug>] changes, checked against a bundle by `rules`."""

    node: str
    bundle: Path | None
    sources: tuple[SourceConfig, ...]
    mqtt: MqttConfig
    overrides: Mapping[str, Mapping[str, object]]
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    home_assistant: HomeAssistantConfig = field(default_factory=HomeAssistantConfig)


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
        sources=tuple(read_source(source) for source in table.tables("source")) or (SourceConfig("mic"),),
        mqtt=read_mqtt(table.table("mqtt")),
        overrides={slug: override.raw() for slug, override in table.named_tables("class").items()},
        outbox=read_outbox(table.table("outbox")),
        home_assistant=read_home_assistant(table.table("home_assistant")),
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
            raise UsageError(f"[class.{shown(slug)}]: the bundle has no such class; it has {', '.join(slugs)}")
    return tuple(
        read_rule(Table(overrides.get(sound.slug, {}), f"[class.{sound.slug}]", UsageError), sound.rules[hops_per_patch])
        for sound in classes
    )
