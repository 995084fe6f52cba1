"""Thresholds and mutes in force, and the commands that change them.

Precedence is bundle < strictness < [class.<slug>] < MQTT. The rate of commands is limited.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt.commands import (
    OFF,
    ON,
    Command,
    MuteCommand,
    Refusal,
    SourceDefaults,
    ThresholdCommand,
    parse_command,
    refuse,
)
from edge_detector.mqtt.messages import retained_topics
from edge_detector.types import Message

COMMANDS_PER_SECOND = 1.0
LEAST_BURST = 20
MAX_PAST_ENTITIES = 2_000
"""Former entities that are still removed by name, in case Home Assistant missed their removal."""
Value = TypeVar("Value")


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


class TokenBucket:
    """Rate limit: `burst` at once, `per_second` in the long run. Times are arguments, in seconds."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._tokens = self._burst
        self._filled_at_seconds: float | None = None
        self._reported = False

    def try_acquire(self, now_seconds: float) -> bool:
        """Take a token; False if there is none."""
        if self._filled_at_seconds is not None:
            waited_seconds = max(0.0, now_seconds - self._filled_at_seconds)
            self._tokens = min(self._burst, self._tokens + waited_seconds * self._per_second)
        self._filled_at_seconds = now_seconds
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        self._reported = self._reported and self._tokens < self._burst / 2
        return True

    def should_report(self) -> bool:
        """Return whether to report that the limit is exceeded: once, until the bucket is half full again."""
        reported, self._reported = self._reported, True
        return not reported


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
        return rule if on is None else replace(rule, on=on, off=min(rule.off, on))

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


def _changed(values: Mapping[str, Value], key: str, value: Value | None) -> dict[str, Value]:
    others = {name: kept for name, kept in values.items() if name != key}
    return others if value is None else {**others, key: value}
