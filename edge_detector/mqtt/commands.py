"""Parser of commands over MQTT: thresholds and mutes.

A value is accepted only in range, for an existing source and an enabled class. An empty command restores the configured value.
Everything else is refused in one sentence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edge_detector.detection.hysteresis import Rule
from edge_detector.types import Message

ON, OFF = "ON", "OFF"
MIN_THRESHOLD, MAX_THRESHOLD = 0.01, 1.0
"""A threshold of 0 would keep a class on permanently, which is always a mistake."""
MAX_PAYLOAD_BYTES = 32
_NUMBER = re.compile(r"\d{1,3}(\.\d{0,9})?|\.\d{1,9}", re.ASCII)
_SHOWN_CHARACTERS = 60


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
