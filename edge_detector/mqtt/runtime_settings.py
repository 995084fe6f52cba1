"""Thresholds and mutes over MQTT: commands, and the values in force.

Precedence is bundle < strictness < [class.<slug>] < MQTT. A value is accepted only in range, for an existing source and an
enabled class. An empty command restores the configured value. Other commands are refused in one sentence, and their rate is
limited.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt.messages import retained_topics
from edge_detector.token_bucket import TokenBucket
from edge_detector.types import Message

ON, OFF = "ON", "OFF"
MIN_THRESHOLD, MAX_THRESHOLD = 0.01, 1.0
"""A threshold of 0 would keep a class on permanently, which is always a mistake."""
MAX_PAYLOAD_BYTES = 32
_NUMBER = re.compile(r"\d{1,3}(\.\d{0,9})?|\.\d{1,9}", re.ASCII)
_SHOWN_CHARACTERS = 60
COMMANDS_PER_SECOND = 1.0
LEAST_BURST = 20
MAX_PAST_ENTITIES = 2_000
"""Former entities that are still removed by name, in case Home Assistant missed their removal."""
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ThresholdCommand:
    """Sets the threshold `on` of the class `slug`; None restores the configured one."""

    source: str
    slug: str
    on: float | None


@dataclass(frozen=True, slots=True)
class MuteCommand:
    """Mutes the events of a source, or unmutes them; None restores the configured value."""

    source: str
    muted: bool | None


Command: TypeAlias = ThresholdCommand | MuteCommand


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason why a command was refused, as one sentence that is safe to log."""

    sentence: str


@dataclass(frozen=True, slots=True)
class SourceDefaults:
    """Defaults of one source from bundle and configuration: the rule of every class, by slug, in the order of the classes."""

    rules: Mapping[str, Rule]
    muted: bool = False

    @property
    def enabled(self) -> tuple[str, ...]:
        """Slugs of the enabled classes."""
        return tuple(slug for slug, rule in self.rules.items() if rule.enabled)


@dataclass(frozen=True, slots=True)
class Settings:
    """Persistent settings: values set over MQTT, and announcements that may have to be withdrawn.

    Attributes:
        thresholds: by source and class. Names that the current configuration lacks are kept, since they may return.
        muted: by source, likewise.
        entities: entities announced to Home Assistant, key to platform.
        announced: classes with retained messages at the broker, by source.
        discovered: sources announced to Home Assistant in a message each; None if nothing was announced, or all sources in one
            message by an earlier version.

    """

    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    muted: Mapping[str, bool] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)
    announced: Mapping[str, Sequence[str]] = field(default_factory=dict)
    discovered: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted command, and its retained answer, to be published once the settings are saved."""

    command: Command
    answer: Message


class RuntimeSettings:
    """Values in force for every source; the only place where commands change them.

    The threshold of a disabled class is neither published nor settable. One that was set earlier is kept until the class is
    enabled again.

    Args:
        base: the node's topic, edge_detector/<node>.
        sources: defaults from bundle and configuration, by source name.
        settings: persistent settings of earlier runs.
        commands: whether commands are accepted. If not, values set earlier are kept but not in force.

    """

    def __init__(self, base: str, sources: Mapping[str, SourceDefaults], settings: Settings, *, commands: bool = True) -> None:
        self._base = base
        self._commands = commands
        self._sources = dict(sources)
        self.settings = settings
        self.refused_commands = 0
        # Setting every value twice in a row is allowed, an endless stream is not. Unknown source names share one bucket.
        bursts = {name: max(LEAST_BURST, 2 * (1 + len(defaults.rules))) for name, defaults in sources.items()}
        self._buckets = {name: TokenBucket(burst, COMMANDS_PER_SECOND) for name, burst in {"": LEAST_BURST, **bursts}.items()}

    def handle(self, message: Message, now_seconds: float) -> Accepted | Refusal | None:
        """Apply a command. None: the message is no command, or exceeds a rate limit that was reported already."""
        command = parse_command(message, self._base, self._sources)
        if command is None:
            return None
        name = message.topic.removeprefix(f"{self._base}/").partition("/")[0]
        bucket = self._buckets.get(name) or self._buckets[""]
        if not bucket.try_acquire(now_seconds):
            self.refused_commands += 1
            problem = f"they come faster than {COMMANDS_PER_SECOND:g} a second; wait a while"
            return refuse(message.topic, problem) if bucket.should_report() else None
        if isinstance(command, Refusal):
            self.refused_commands += 1
            return command
        self._apply(command)
        answer = self._mute_state(command.source)
        if isinstance(command, ThresholdCommand):
            answer = self._threshold_state(command.source, command.slug)
        return Accepted(command, answer)

    def reload(self, sources: Mapping[str, SourceDefaults]) -> None:
        """Replace the defaults after a reload of the configuration; values set over MQTT stay in force."""
        self._sources = dict(sources)

    @property
    def defaults(self) -> dict[str, Mapping[str, Rule]]:
        """Rules of bundle and configuration by source and class."""
        return {source: defaults.rules for source, defaults in self._sources.items()}

    def rules(self, source: str) -> tuple[Rule, ...]:
        """Return the rules in force for a source, one for each class, enabled or not."""
        return tuple(self._rule(source, slug) for slug in self._sources[source].rules)

    def muted(self, source: str) -> bool:
        """Return whether the events of a source are muted."""
        set_over_mqtt = self.settings.muted if self._commands else {}
        return set_over_mqtt.get(source, self._sources[source].muted)

    def answers(self) -> Iterator[Message]:
        """Yield every value in force as a retained message, for the start and after a reload."""
        for source, defaults in self._sources.items():
            yield self._mute_state(source)
            for slug in defaults.enabled:
                yield self._threshold_state(source, slug)

    @property
    def discovered(self) -> tuple[str | None, ...]:
        """Sources announced to Home Assistant; None stands for one message for all of them."""
        if self.settings.discovered is None:
            return (None,) if self.settings.entities else ()
        return tuple(self.settings.discovered)

    def remember_entities(self, entities: Mapping[str, str], sources: Iterable[str]) -> bool:
        """Add the announced entities to the earlier ones, and replace the announced sources; returns whether that is a change."""
        past = [(key, platform) for key, platform in self.settings.entities.items() if key not in entities]
        known = {**dict(past[-MAX_PAST_ENTITIES:]), **entities}
        settings = replace(self.settings, entities=known, discovered=tuple(sources))
        changed = settings != self.settings
        self.settings = settings
        return changed

    def forget_entities(self) -> None:
        """Delete all entities and sources, after the device was removed from Home Assistant."""
        self.settings = replace(self.settings, entities={}, discovered=None)

    def remember_announced(self) -> bool:
        """Add the current sources and classes to the announced ones; returns whether that is a change."""
        past, present = self.settings.announced, self._announced_now
        known = {
            source: tuple(dict.fromkeys((*past.get(source, ()), *present.get(source, ())))) for source in {**past, **present}
        }
        changed = known != self.settings.announced
        self.settings = replace(self.settings, announced=known)
        return changed

    def stale_topics(self) -> Iterator[str]:
        """Yield topics that may have a retained message of a source or class that is removed or disabled."""
        present = {topic for source, slugs in self._announced_now.items() for topic in self._topics(source, slugs)}
        for source, slugs in self.settings.announced.items():
            yield from (topic for topic in self._topics(source, slugs) if topic not in present)

    def forget_stale_topics(self) -> bool:
        """Delete the stale topics once the broker has deleted their messages; returns whether that is a change."""
        changed = self.settings.announced != self._announced_now
        self.settings = replace(self.settings, announced=self._announced_now)
        return changed

    @property
    def _announced_now(self) -> dict[str, tuple[str, ...]]:
        return {source: defaults.enabled for source, defaults in self._sources.items()}

    def _topics(self, source: str, slugs: Sequence[str]) -> Iterator[str]:
        return retained_topics(self._base, source, slugs)

    def _rule(self, source: str, slug: str) -> Rule:
        rule = self._sources[source].rules[slug]
        set_over_mqtt = self.settings.thresholds if self._commands else {}
        on = set_over_mqtt.get(source, {}).get(slug)
        return rule if on is None else with_threshold(rule, on)

    def _apply(self, command: Command) -> None:
        if isinstance(command, MuteCommand):
            self.settings = replace(self.settings, muted=_changed(self.settings.muted, command.source, command.muted))
            return
        of_source = _changed(self.settings.thresholds.get(command.source, {}), command.slug, command.on)
        thresholds = _changed(self.settings.thresholds, command.source, of_source or None)
        self.settings = replace(self.settings, thresholds=thresholds)

    def _mute_state(self, source: str) -> Message:
        return Message(f"{self._base}/{source}/mute", (ON if self.muted(source) else OFF).encode(), qos=1, retained=True)

    def _threshold_state(self, source: str, slug: str) -> Message:
        value = f"{self._rule(source, slug).on:g}"
        return Message(f"{self._base}/{source}/threshold/{slug}", value.encode(), qos=1, retained=True)


def with_threshold(rule: Rule, on: float) -> Rule:
    """Return a rule of bundle and configuration with another threshold `on`."""
    return replace(rule, on=on, off=min(rule.off, on))


def _changed(values: Mapping[str, Value], key: str, value: Value | None) -> dict[str, Value]:
    others = {name: kept for name, kept in values.items() if name != key}
    return others if value is None else {**others, key: value}


def command_filters(base: str) -> tuple[str, ...]:
    """Return the topic filters of the commands."""
    return (f"{base}/+/threshold/+/set", f"{base}/+/mute/set")


def parse_command(message: Message, base: str, sources: Mapping[str, SourceDefaults]) -> Command | Refusal | None:
    """Parse a message; None if its topic is not that of a command."""
    knob = _knob(message.topic, base)
    if knob is None:
        return None
    source, slug = knob
    problem = _problem(message, source, slug, sources)
    if problem is not None:
        return refuse(message.topic, problem)
    text = message.payload.decode("ascii", "replace").strip()
    return _mute(message.topic, source, text) if slug is None else _threshold(message.topic, source, slug, text)


def refuse(topic: str, problem: str) -> Refusal:
    """Return the refusal of a command, with the untrusted topic shortened and escaped."""
    return Refusal(f"the command on {ascii(topic[:_SHOWN_CHARACTERS])[1:-1]} was refused: {problem}")


def _knob(topic: str, base: str) -> tuple[str, str | None] | None:
    """Return source and class of a command's topic, or None; the class of a mute is None."""
    if not topic.startswith(f"{base}/"):
        return None
    match topic.removeprefix(f"{base}/").split("/"):
        case [source, "mute", "set"]:
            return source, None
        case [source, "threshold", slug, "set"]:
            return source, slug
    return None


def _problem(message: Message, source: str, slug: str | None, sources: Mapping[str, SourceDefaults]) -> str | None:
    if source not in sources:
        return f"there is no source of that name; there are {', '.join(sources)}"
    if slug is not None and slug not in sources[source].rules:
        return "there is no class of that name; edge-detector classes lists them"
    if slug is not None and not sources[source].rules[slug].enabled:
        return f"the class is off; the configuration switches it on: [class.{slug}] enabled = true"
    if message.retained:
        return "it was retained and would come back at every connect; send it without the retain flag"
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        return f"it has {len(message.payload)} bytes, at most {MAX_PAYLOAD_BYTES} are allowed"
    return None


def _mute(topic: str, source: str, text: str) -> MuteCommand | Refusal:
    if not text:
        return MuteCommand(source, None)
    if text.upper() not in (ON, OFF):
        return refuse(topic, f"{text!a} is neither {ON} nor {OFF}")
    return MuteCommand(source, text.upper() == ON)


def _threshold(topic: str, source: str, slug: str, text: str) -> ThresholdCommand | Refusal:
    if not text:
        return ThresholdCommand(source, slug, None)
    if not _NUMBER.fullmatch(text) or not MIN_THRESHOLD <= float(text) <= MAX_THRESHOLD:
        return refuse(topic, f"{text!a} is not a number from {MIN_THRESHOLD:g} to {MAX_THRESHOLD:g}, such as 0.5")
    return ThresholdCommand(source, slug, round(float(text), 6))
