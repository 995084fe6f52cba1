"""The values that commands change: what holds for every source, and what is answered.

Precedence is bundle < strictness < [class.<slug>] < MQTT. Nobody may turn a knob faster than a person or an automation would.
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
"""Entities that once were and are still taken away by name, should Home Assistant have slept through it."""
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Settings:
    """What outlives a restart: the values set over MQTT, and what others were told that may have to be taken back.

    Attributes:
        thresholds, muted: by source and class, and by source. Names unknown to today's configuration are kept: they may return.
        entities: those Home Assistant was told of, key to platform.
        announced: the classes of which the broker keeps messages, by source.
        discovered: sources that were announced to Home Assistant, each in its own message; None where it was one message for
            all of them, as earlier versions sent, or none.

    """

    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    muted: Mapping[str, bool] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)
    announced: Mapping[str, Sequence[str]] = field(default_factory=dict)
    discovered: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that holds from now on, and the value to publish for it, retained, once it has been saved."""

    command: Command
    answer: Message


class TokenBucket:
    """Lets `burst` through at once and `per_second` in the long run. Time is handed in, in seconds."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._tokens = self._burst
        self._filled_at_seconds: float | None = None
        self._reported = False

    def try_acquire(self, now_seconds: float) -> bool:
        """Whether one more may pass now."""
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
        """Whether to speak of a flood: once, until the bucket has been half full again."""
        reported, self._reported = self._reported, True
        return not reported


class RuntimeSettings:
    """The values that hold for every source, and the one place where commands change them.

    A class that is off has no threshold that is told, or that a command may set. One that was set earlier is kept for the day on
    which the class is on again.

    Args:
        base: the node's topic, edge_detector/<node>.
        sources: what bundle and configuration say, by source name.
        settings: what was set over MQTT earlier.
        commands: whether commands are taken. What must not be set over MQTT does not hold either, even if it once was; it is
            kept for the day on which commands are taken again.

    """

    def __init__(self, base: str, sources: Mapping[str, SourceDefaults], settings: Settings, *, commands: bool = True) -> None:
        self._base = base
        self._commands = commands
        self._sources = dict(sources)
        self.settings = settings
        self.refused_commands = 0
        # A scene that turns every knob twice passes; what never ends does not. Strangers' names share one bucket.
        bursts = {name: max(LEAST_BURST, 2 * (1 + len(defaults.rules))) for name, defaults in sources.items()}
        self._buckets = {name: TokenBucket(burst, COMMANDS_PER_SECOND) for name, burst in {"": LEAST_BURST, **bursts}.items()}

    def handle(self, message: Message, now_seconds: float) -> Accepted | Refusal | None:
        """Obey a command. None: the message is none, or part of a flood that has been reported about."""
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
        """Take other defaults, as after a reload of the configuration. What was set over MQTT stays in force."""
        self._sources = dict(sources)

    def rules(self, source: str) -> tuple[Rule, ...]:
        """The rule of each class that holds for a source now, enabled or not, in the order of the classes."""
        return tuple(self._rule(source, slug) for slug in self._sources[source].rules)

    def muted(self, source: str) -> bool:
        """Whether a source decides without publishing."""
        set_over_mqtt = self.settings.muted if self._commands else {}
        return set_over_mqtt.get(source, self._sources[source].muted)

    def answers(self) -> Iterator[Message]:
        """Every value that holds, retained: published when the service starts, and after a reload."""
        for source, defaults in self._sources.items():
            yield self._mute_state(source)
            for slug in defaults.enabled:
                yield self._threshold_state(source, slug)

    @property
    def discovered(self) -> tuple[str | None, ...]:
        """Sources that were announced to Home Assistant; None stands for one message for all of them."""
        if self.settings.discovered is None:
            return (None,) if self.settings.entities else ()
        return tuple(self.settings.discovered)

    def remember_entities(self, entities: Mapping[str, str], sources: Iterable[str]) -> bool:
        """Keep the announced entities beside earlier ones, and the announced sources. Returns whether that changes anything."""
        past = [(key, platform) for key, platform in self.settings.entities.items() if key not in entities]
        known = {**dict(past[-MAX_PAST_ENTITIES:]), **entities}
        settings = replace(self.settings, entities=known, discovered=tuple(sources))
        news = settings != self.settings
        self.settings = settings
        return news

    def forget_entities(self) -> None:
        """Home Assistant has been told to remove the whole device."""
        self.settings = replace(self.settings, entities={}, discovered=None)

    def remember_announced(self) -> bool:
        """Keep which sources and classes the broker is told of now, beside earlier ones. Returns whether that is news."""
        past, present = self.settings.announced, self._announced_now
        known = {
            source: tuple(dict.fromkeys((*past.get(source, ()), *present.get(source, ())))) for source in {**past, **present}
        }
        news = known != self.settings.announced
        self.settings = replace(self.settings, announced=known)
        return news

    def stale_topics(self) -> Iterator[str]:
        """Topics on which the broker may keep what nobody stands for any more: their source or class is not there, or off."""
        present = {topic for source, slugs in self._announced_now.items() for topic in self._topics(source, slugs)}
        for source, slugs in self.settings.announced.items():
            yield from (topic for topic in self._topics(source, slugs) if topic not in present)

    def forget_stale_topics(self) -> bool:
        """The broker keeps nothing on such topics any more. Returns whether that is news."""
        news = self.settings.announced != self._announced_now
        self.settings = replace(self.settings, announced=self._announced_now)
        return news

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
