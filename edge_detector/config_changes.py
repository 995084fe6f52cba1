"""What a reload of the configuration changes, and what waits for a restart, in words for the log."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from edge_detector.config import (
    ClipsConfig,
    Config,
    HistoryConfig,
    HomeAssistantConfig,
    MqttConfig,
    OutboxConfig,
    SourceConfig,
    WebConfig,
)
from edge_detector.detection.bundle import hop_key
from edge_detector.detection.hysteresis import Rule

RulesByHop = Mapping[int, Mapping[str, Rule]]
"""Rules by hops per patch, then by class."""


def applied_changes(before: Config, after: Config, rules_before: RulesByHop, rules_after: RulesByHop) -> Iterator[str]:
    """Yield what a reload applies: "strictness balanced -> strict", "rain on 0.32 -> 0.80".

    Args:
        before: the configuration in force.
        after: the new one.
        rules_before: rules of the bundle's classes under the one in force.
        rules_after: their rules under the new one.

    """
    if before.strictness != after.strictness:
        yield f"strictness {before.strictness} -> {after.strictness}"
    for slug in sorted({*before.overrides, *after.overrides}):
        if before.overrides.get(slug) == after.overrides.get(slug):
            continue
        by_hop = {
            hops: tuple(_rule_changes(rules_before[hops][slug], rules[slug]))
            for hops, rules in rules_after.items()
            if slug in rules
        }
        if len(set(by_hop.values())) == 1:
            yield from (f"{slug} {change}" for change in next(iter(by_hop.values())))
        else:
            yield from (f"{slug} {change} at hop {hop_key(hops)}" for hops, changes in by_hop.items() for change in changes)


def _rule_changes(before: Rule, after: Rule) -> Iterator[str]:
    if before.enabled != after.enabled:
        yield "enabled" if after.enabled else "disabled"
    for name in (each.name for each in fields(Rule) if each.name != "enabled"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name} {_pair(old, new)}"


def _pair(old: float, new: float) -> str:
    """Return both with two decimals, or with as many as it takes to tell them apart."""
    shown = f"{old:.2f} -> {new:.2f}"
    return shown if f"{old:.2f}" != f"{new:.2f}" else f"{old:.6g} -> {new:.6g}"


def postponed_changes(before: Config, after: Config) -> Iterator[str]:
    """Yield what waits for a restart: "[node] name nursery -> kitchen", "[mqtt] port 1883 -> 8883"."""
    if before.node != after.node:
        yield f"[node] name {before.node} -> {after.node}"
    if before.bundle != after.bundle:
        yield f"[bundle] path {_shown(before.bundle)} -> {_shown(after.bundle)}"
    if before.class_list != after.class_list:
        yield f"[detection] class_list {before.class_list} -> {after.class_list}"
    yield from _source_changes(before.sources, after.sources)
    yield from (f"[mqtt] {change}" for change in _key_changes(before.mqtt, after.mqtt))
    yield from (f"[outbox] {change}" for change in _key_changes(before.outbox, after.outbox))
    yield from (f"[history] {change}" for change in _key_changes(before.history, after.history))
    yield from (f"[clips] {change}" for change in _key_changes(before.clips, after.clips))
    yield from (f"[home_assistant] {change}" for change in _key_changes(before.home_assistant, after.home_assistant))
    yield from (f"[web] {change}" for change in _key_changes(before.web, after.web))
    for slug in sorted({*before.definitions, *after.definitions}):
        if before.definitions.get(slug) != after.definitions.get(slug):
            yield f"what [class.{slug}] is made of"


def _source_changes(before: Sequence[SourceConfig], after: Sequence[SourceConfig]) -> Iterator[str]:
    old, new = ({source.name: source for source in sources} for sources in (before, after))
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield f"[[source]] {name} removed"
        elif name not in old:
            yield f"[[source]] {name} added"
        else:
            yield from (f"[[source]] {name} {change}" for change in _key_changes(old[name], new[name]))
    if list(old) != list(new) and set(old) == set(new):
        yield "the order of [[source]]"


_Table = MqttConfig | OutboxConfig | HistoryConfig | ClipsConfig | HomeAssistantConfig | WebConfig | SourceConfig


def _key_changes(before: _Table, after: _Table) -> Iterator[str]:
    for name in (each.name for each in fields(before)):
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if name == "device":
            # A URL may hold a password.
            yield name
        elif name == "hops_per_patch":
            yield f"hop {hop_key(old)} -> {hop_key(new)}"
        else:
            yield f"{name} {_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
