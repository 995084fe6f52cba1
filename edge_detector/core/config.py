"""The daemon's configuration: TOML, read strictly, every default written down."""

import codecs
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_detector.core.bundle import FIRST_CLASS_LIST, MAX_CLASS_LIST, SoundClass, read_rule
from edge_detector.core.classes import NEWEST_CLASS_LIST, ClassDefinition
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
from edge_detector.core.decision import STRICTNESS_LOG_ODDS, Rule, shifted
from edge_detector.core.strict import MAX_SLUG_CHARACTERS, SLUG, Table, shown
from edge_detector.errors import UsageError
from edge_detector.plain_text import is_plain
from edge_detector.types import Strictness

__all__ = [
    "Config",
    "HomeAssistantConfig",
    "MqttConfig",
    "OutboxConfig",
    "SourceConfig",
    "default_config",
    "load_config",
    "parse_config",
    "problem_of_url",
    "rules",
]

MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `run` is told.

    Attributes:
        overrides: what [class.<slug>] changes of a class's rule, checked against a bundle by `rules`.
        definitions: classes that [class.<slug>] makes of AudioSet labels.
        class_list: classes of later lists are off unless [class.<slug>] switches them on.
        strictness: shifts every threshold that [class.<slug>] does not give.

    """

    node: str
    bundle: Path | None
    sources: tuple[SourceConfig, ...]
    mqtt: MqttConfig
    overrides: Mapping[str, Mapping[str, object]]
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    home_assistant: HomeAssistantConfig = field(default_factory=HomeAssistantConfig)
    definitions: Mapping[str, ClassDefinition] = field(default_factory=dict)
    class_list: int = NEWEST_CLASS_LIST
    strictness: Strictness = "balanced"


def default_config() -> Config:
    """What holds without a configuration file: every default, and the newest list of classes."""
    return parse_config({"detection": {"class_list": NEWEST_CLASS_LIST}}, "defaults")


def load_config(path: Path) -> Config:
    """Read a configuration file. Raises UsageError naming the key, the value and what is allowed."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise UsageError(f"{path} is larger than {MAX_CONFIG_BYTES >> 20} MiB; this is no configuration")
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UsageError(f"{path} is UTF-16, and TOML is UTF-8; save it as UTF-8")
        data = tomllib.loads(content.removeprefix(codecs.BOM_UTF8).decode())
    except OSError as error:
        raise UsageError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    return parse_config(data, str(path))


def parse_config(data: Mapping[str, object], where: str) -> Config:
    """A configuration from its parsed TOML. Raises UsageError."""
    table = Table(data, where, UsageError)
    node, bundle, detection = table.table("node"), table.table("bundle"), table.table("detection")
    overrides = {slug: dict(override.raw()) for slug, override in table.named_tables("class").items()}
    bundle_path = bundle.optional_text("path")
    config = Config(
        node=node.slug("name", "edge"),
        bundle=Path(bundle_path) if bundle_path else None,
        sources=tuple(read_source(source) for source in table.tables("source")) or (SourceConfig("mic"),),
        mqtt=read_mqtt(table.table("mqtt")),
        definitions=_definitions(overrides, where),
        overrides=overrides,
        outbox=read_outbox(table.table("outbox")),
        home_assistant=read_home_assistant(table.table("home_assistant")),
        # A file from before there were lists goes on with the classes it was written for.
        class_list=detection.integer("class_list", FIRST_CLASS_LIST, low=FIRST_CLASS_LIST, high=MAX_CLASS_LIST),
        strictness=_strictness(detection),
    )
    for part in (node, bundle, detection, table):
        part.done()
    names = [source.name for source in config.sources]
    if len(set(names)) != len(names):
        raise UsageError(f"{where}: two sources have the same name; each of {', '.join(names)} must differ")
    return config


def differences(before: Config, after: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a reload takes over, and what waits for the next restart, each by its place in the file."""
    defined = {*before.definitions, *after.definitions}
    # A class that was not there at the start has no thresholds yet that could be changed.
    ruled = {*before.overrides, *after.overrides} - (set(after.definitions) - set(before.definitions))
    taken: list[tuple[str, object, object]] = [
        ("strictness", before.strictness, after.strictness),
        *((f"[class.{slug}]", before.overrides.get(slug), after.overrides.get(slug)) for slug in sorted(ruled)),
    ]
    waiting: list[tuple[str, object, object]] = [
        ("[node]", before.node, after.node),
        ("[[source]]", before.sources, after.sources),
        ("[mqtt]", before.mqtt, after.mqtt),
        ("[outbox]", before.outbox, after.outbox),
        ("[home_assistant]", before.home_assistant, after.home_assistant),
        ("bundle", before.bundle, after.bundle),
        ("class_list", before.class_list, after.class_list),
        *(
            (f"what [class.{slug}] is made of", before.definitions.get(slug), after.definitions.get(slug))
            for slug in sorted(defined)
        ),
    ]

    def changed(parts: list[tuple[str, object, object]]) -> tuple[str, ...]:
        return tuple(name for name, old, new in parts if old != new)

    return changed(taken), changed(waiting)


def _strictness(table: Table) -> Strictness:
    text = table.text("strictness", "balanced", choices=tuple(STRICTNESS_LOG_ODDS))
    return next(strictness for strictness in STRICTNESS_LOG_ODDS if strictness == text)


def _definitions(overrides: Mapping[str, dict[str, object]], where: str) -> dict[str, ClassDefinition]:
    """The classes made of AudioSet labels; what says so is taken out of `overrides`, so that rules are left."""
    found = {}
    for slug, values in overrides.items():
        if not {"audioset", "label"} & set(values):
            continue
        table = Table(values, f"{where} [class.{shown(slug)}]", UsageError)
        if not SLUG.fullmatch(slug) or len(slug) > MAX_SLUG_CHARACTERS:
            raise table.refuse(
                f"a class's name may only have lower-case letters, digits and underscores, {MAX_SLUG_CHARACTERS} at most"
            )
        labels = table.texts("audioset")
        if not labels:
            raise table.refuse('a class of your own needs the AudioSet labels it is made of: audioset = ["Whistle", "Steam"]')
        label = table.optional_text("label")
        if label is not None and not is_plain(label):
            raise table.fail("label", "must be printable")
        found[slug] = ClassDefinition(labels, label)
        values.pop("audioset")
        values.pop("label", None)
    return found


def rules(classes: Sequence[SoundClass], hops_per_patch: int, config: Config) -> tuple[Rule, ...]:
    """Each class's rule at this hop: the bundle's, shifted by the strictness, changed by the class's table. Raises UsageError.

    A class that is off is switched on by its table, unless that says enabled = false.
    """
    slugs = [sound.slug for sound in classes]
    for slug in config.overrides:
        if slug not in slugs:
            raise UsageError(f"[class.{shown(slug)}]: the bundle has no such class; it has {', '.join(slugs)}")
    log_odds = STRICTNESS_LOG_ODDS[config.strictness]
    return tuple(
        _rule(shifted(sound.rules[hops_per_patch], log_odds), config.overrides.get(sound.slug), f"[class.{sound.slug}]")
        for sound in classes
    )


def _rule(default: Rule, override: Mapping[str, object] | None, where: str) -> Rule:
    if override is None:
        return default
    return read_rule(Table(override, where, UsageError), replace(default, enabled=True))
