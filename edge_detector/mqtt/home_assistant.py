"""Home Assistant MQTT discovery: one retained message for each source with its entities, and the time to send it again.

The entities of a source are available only while both the node's status and the source's availability are online, so that a
broken microphone is "unavailable" and not "off". Its state and signal quality stay available as long as the node is online.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from edge_detector.detection.bundle import SoundClass
from edge_detector.mqtt.messages import ONLINE
from edge_detector.mqtt.runtime_settings import MAX_THRESHOLD, MIN_THRESHOLD, OFF, ON
from edge_detector.types import Message

DEFAULT_PREFIX = "homeassistant"
REDISCOVERY_SECONDS = (1.0, 10.0)
"""Range of the random delay before discovery is sent again after a start of Home Assistant, so that a fleet spreads out."""

STATES = ("starting", "healthy", "stalled", "reconnecting", "failed")
SIGNALS = ("ok", "silent", "flat", "clipped")
NO_CLASS = "none"

Entity: TypeAlias = dict[str, Any]
"""One component of the payload, with Home Assistant's abbreviated keys."""

_OF_THE_NODE = ("health", "telemetry")
_DIAGNOSTIC = {"ent_cat": "diagnostic"}
_HIDDEN = {"en": False}
_MEASURED = {"stat_cla": "measurement"}
_COUNTED = {"stat_cla": "total_increasing"}
_SECONDS = {"dev_cla": "duration", "unit_of_meas": "s"}
_MILLISECONDS = {"dev_cla": "duration", "unit_of_meas": "ms"}
_TELEMETRY: tuple[tuple[str, str, Entity], ...] = (
    ("uptime_seconds", "Uptime", {**_SECONDS, **_MEASURED}),
    ("real_time_factor", "Real-time factor", {**_MEASURED, "sug_dsp_prc": 4}),
    ("cpu_percent", "CPU", {"unit_of_meas": "%", **_MEASURED, "sug_dsp_prc": 1}),
    ("rss_bytes", "Memory", {"dev_cla": "data_size", "unit_of_meas": "B", **_MEASURED}),
    ("latency_ms_p50", "Median latency", {**_MILLISECONDS, **_MEASURED}),
    ("latency_ms_p99", "99th percentile of latency", {**_MILLISECONDS, **_MEASURED}),
    ("outbox_depth", "Events waiting", _MEASURED),
    ("dropped_messages", "Dropped messages", _COUNTED),
    ("dropped_events", "Dropped events", _COUNTED),
    ("refused_messages", "Refused messages", _COUNTED),
    ("reconnects", "Reconnects", _COUNTED),
)


@dataclass(frozen=True, slots=True)
class Device:
    """A node as a Home Assistant device.

    Attributes:
        node: name of the node, a slug.
        base: topic of the node, edge_detector/<node>.
        version: version of this program.
        bundle: name and version of the bundle.
        sources: enabled classes by source name.
        commands: whether thresholds and mutes can be set over MQTT; only then are they entities.
        page_url: URL of the node's page, which Home Assistant links to, or None.

    """

    node: str
    base: str
    version: str
    bundle: str
    sources: Mapping[str, Sequence[SoundClass]]
    commands: bool = True
    page_url: str | None = None


def removed_sources(device: Device, *, announced: Iterable[str | None] = (), prefix: str = DEFAULT_PREFIX) -> list[Message]:
    """Return the messages that remove sources that the device no longer has; publish them before `discovery`.

    `announced` names the sources that were announced; None stands for the one message in which earlier versions announced all
    of them. Home Assistant needs a moment to remove entities, and rejects the same ones from another topic meanwhile. It logs
    an error for the removal of an unknown device, so only announced sources are removed.
    """
    return [_forgotten(device.node, prefix, source) for source in announced if source not in device.sources]


def discovery(device: Device, *, past: Mapping[str, str] | None = None, prefix: str = DEFAULT_PREFIX) -> list[Message]:
    """Return the messages that create, rename and remove entities: one for each source, the node's own in the first.

    All belong to the same device. `past` has the entities announced earlier, from `platforms`; those that no longer exist are
    removed by name, since Home Assistant keeps entities that a payload omits.
    """
    first = next(iter(device.sources))
    messages = []
    for source in device.sources:
        owners = (source, None) if source == first else (source,)
        components = dict(_entities_of(device, source))
        if source == first:
            components |= dict(_node_entities(device))
        left = {key: platform for key, platform in (past or {}).items() if key not in components and _source_of(key) in owners}
        gone = {key: {"p": platform} for key, platform in left.items()}
        messages.append(_config(device, source, {**components, **gone}, prefix))
    return messages


def _config(device: Device, source: str, components: Mapping[str, Entity], prefix: str) -> Message:
    payload = {
        "dev": {
            "ids": [f"edge_detector_{device.node}"],
            "name": _title(device.node),
            "mf": "edge-detector",
            "mdl": f"bundle {device.bundle}",
            "sw": device.version,
            **({} if device.page_url is None else {"cu": device.page_url}),
        },
        "o": {"name": "edge-detector", "sw": device.version},
        "qos": 1,
        "cmps": components,
    }
    content = json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    return Message(_topic(device.node, prefix, source), content, qos=1, retained=True)


def removal(node: str, announced: Iterable[str | None], *, prefix: str = DEFAULT_PREFIX) -> list[Message]:
    """Return the messages that remove the node from Home Assistant; `announced` as in `removed_sources`."""
    return [_forgotten(node, prefix, source) for source in announced]


def platforms(device: Device) -> dict[str, str]:
    """Return the platform of each entity by key, for the argument `past` of a later `discovery`."""
    return {key: entity["p"] for key, entity in _entities(device)}


def birth_topic(prefix: str = DEFAULT_PREFIX) -> str:
    """Return the topic on which Home Assistant reports its start."""
    return f"{prefix}/status"


@dataclass(slots=True)
class Rediscovery:
    """Timer for sending discovery again, with a random delay after Home Assistant's start.

    Attributes:
        random: returns a random number in [0, 1).
        prefix: Home Assistant's discovery prefix.

    """

    random: Callable[[], float]
    prefix: str = DEFAULT_PREFIX
    _due_at_seconds: float | None = field(default=None, init=False)

    def handle(self, message: Message, now_seconds: float) -> None:
        """Process a message; Home Assistant's birth message starts the timer if it is not running."""
        if message.topic == birth_topic(self.prefix) and message.payload == ONLINE.encode() and self._due_at_seconds is None:
            first, last = REDISCOVERY_SECONDS
            self._due_at_seconds = now_seconds + first + (last - first) * self.random()

    def due(self, now_seconds: float) -> bool:
        """Return whether to publish discovery now; true once for each start of the timer."""
        if self._due_at_seconds is None or now_seconds < self._due_at_seconds:
            return False
        self._due_at_seconds = None
        return True


def _topic(node: str, prefix: str, source: str | None = None) -> str:
    """Return the discovery topic of a source; for None, the topic of earlier versions for all sources."""
    return f"{prefix}/device/{node}/config" if source is None else f"{prefix}/device/{node}/{source}/config"


def _forgotten(node: str, prefix: str, source: str | None) -> Message:
    return Message(_topic(node, prefix, source), b"", qos=1, retained=True)


def _source_of(key: str) -> str | None:
    """Return the source of an entity's key; None for the node's own. A slug has no '-'."""
    source = key.partition("-")[0]
    return None if source in _OF_THE_NODE else source


def _title(slug: str) -> str:
    return slug.replace("_", " ").strip().capitalize() or slug


def _entities(device: Device) -> Iterator[tuple[str, Entity]]:
    for source in device.sources:
        yield from _entities_of(device, source)
    yield from _node_entities(device)


def _entities_of(device: Device, source: str) -> Iterator[tuple[str, Entity]]:
    """Yield each entity of a source with its key; a slug has no '-', so keys are unique."""
    for leaf, platform, name, options in _source_entities(f"{device.base}/{source}", device.sources[source], device):
        yield _entity(device, f"{source}-{leaf}", platform, _named(device, source, name), options)


def _node_entities(device: Device) -> Iterator[tuple[str, Entity]]:
    node_available = {"avty": [{"t": f"{device.base}/status"}]}
    # No source is named health or telemetry: the configuration reserves those names.
    problem = {**_problem(f"{device.base}/{next(iter(device.sources))}/health"), **_DIAGNOSTIC, **node_available}
    yield _entity(device, "health-problem", "binary_sensor", "Problem", problem)
    for key, name, options in _TELEMETRY:
        reading = {"stat_t": f"{device.base}/telemetry", "val_tpl": f"{{{{ value_json.get('{key}') }}}}"}
        yield _entity(
            device, f"telemetry-{key}", "sensor", name, {**reading, **options, **_DIAGNOSTIC, **_HIDDEN, **node_available}
        )


def _problem(health: str) -> Entity:
    """Return the problem entity, from the first source's health, which reports troubles sooner than telemetry."""
    troubles = "value_json.get('troubles', [])"
    return {
        "stat_t": health,
        "val_tpl": f"{{{{ 'ON' if {troubles} else 'OFF' }}}}",
        "json_attr_t": health,
        "json_attr_tpl": f"{{{{ {{'troubles': {troubles}}} | tojson }}}}",
        "dev_cla": "problem",
    }


def _named(device: Device, source: str, name: str) -> str:
    return name if len(device.sources) == 1 else f"{_title(source)} {name}"


def _entity(device: Device, key: str, platform: str, name: str, options: Entity) -> tuple[str, Entity]:
    identity = f"edge_detector-{device.node}-{key}"
    # Entity ids come from slugs, since labels may change and be in any script.
    entity_id = f"{platform}.{device.node}_{key.replace('-class-', '_').replace('-', '_')}"
    return key, {"p": platform, "uniq_id": identity, "def_ent_id": entity_id, "name": name, **options}


def _source_entities(base: str, classes: Sequence[SoundClass], device: Device) -> Iterator[tuple[str, str, str, Entity]]:
    status = {"t": f"{device.base}/status"}
    available = {"avty": [status, {"t": f"{base}/availability"}], "avty_mode": "all"}
    for sound in classes:
        state = {"stat_t": f"{base}/class/{sound.slug}", "dev_cla": "sound"}
        yield f"class-{sound.slug}", "binary_sensor", sound.label, {**state, **available}
    yield (
        "event",
        "event",
        "Event",
        {"stat_t": f"{base}/event", "evt_typ": ["start", "end"], "ic": "mdi:ear-hearing", **available},
    )
    tops = {"stat_t": f"{base}/top_class", "dev_cla": "enum", "ops": [*(sound.slug for sound in classes), NO_CLASS]}
    yield "top_class", "sensor", "Top class", {**tops, **available}
    level = {"stat_t": f"{base}/level", "unit_of_meas": "dBFS", "ic": "mdi:volume-high", "sug_dsp_prc": 1, **_MEASURED}
    yield "level", "sensor", "Level", {**level, **_DIAGNOSTIC, **available}
    node_available = {**_DIAGNOSTIC, "avty": [status]}
    for key, name, options in (("state", "Microphone", STATES), ("signal", "Signal", SIGNALS)):
        reading = {"stat_t": f"{base}/health", "val_tpl": f"{{{{ value_json.{key} }}}}", "json_attr_t": f"{base}/health"}
        yield key, "sensor", name, {**reading, "dev_cla": "enum", "ops": list(options), **node_available}
    source = base.rpartition("/")[2]
    lost = {
        "stat_t": f"{device.base}/telemetry",
        "val_tpl": f"{{{{ value_json.get('sources', {{}}).get('{source}', {{}}).get('lost_samples') }}}}",
    }
    yield "lost_samples", "sensor", "Lost samples", {**lost, **_COUNTED, **_HIDDEN, **node_available}
    if device.commands:
        yield from _controls(base, classes, {"ent_cat": "config", **_HIDDEN, **available})


def _controls(base: str, classes: Sequence[SoundClass], common: Entity) -> Iterator[tuple[str, str, str, Entity]]:
    mute = {"stat_t": f"{base}/mute", "cmd_t": f"{base}/mute/set", "pl_on": ON, "pl_off": OFF, "ic": "mdi:volume-off"}
    yield "mute", "switch", "Mute", {**mute, **common}
    scale = {"min": MIN_THRESHOLD, "max": MAX_THRESHOLD, "step": 0.01, "mode": "box"}
    for sound in classes:
        topic = f"{base}/threshold/{sound.slug}"
        yield (
            f"threshold-{sound.slug}",
            "number",
            f"{sound.label} threshold",
            {"stat_t": topic, "cmd_t": f"{topic}/set", **scale, **common},
        )
