"""JSON Schema of the configuration, for editors, recorded from the code that reads it."""

import math
from collections.abc import Sequence

from edge_detector.config import read_config, read_definition
from edge_detector.errors import UsageError
from edge_detector.schema import MAX_SLUG_CHARACTERS, MISSING, SLUG, StrictTable

Schema = dict[str, object]
_A_CLASS = "any"
_DESCRIPTIONS = {
    "node.name": "name of this machine, a part of every topic and the identity in Home Assistant",
    "bundle.path": "folder of the bundle: networks, classes and thresholds; absent: the bundle that ships",
    "source.name": "name of the source, a part of its topics",
    "source.kind": "`mic`: PortAudio; `arecord`: ALSA, in a process of its own; `file`; `url`: through ffmpeg",
    "source.device": "part of the microphone's name, or its index; an ALSA name for `arecord`; a path for `file`; the URL. "
    "Absent: the default microphone",
    "source.device_file": "file that holds the URL, for a URL with a password; only for `url`, in place of `device`",
    "source.channel": "channel of the microphone, from 0",
    "source.hop": "seconds from one decision to the next",
    "source.context": "`sliding` is the only value",
    "source.real_time": "play a file at its own speed, as a microphone delivers it",
    "mqtt.host": "name or address of the broker",
    "mqtt.port": "port of the broker; 8883 where `tls = true`",
    "mqtt.protocol": "MQTT version",
    "mqtt.username": "login of the broker",
    "mqtt.password_file": "file that holds only the password; a systemd credential of the file's name and "
    "`EDGE_DETECTOR_MQTT_PASSWORD` take precedence",
    "mqtt.keepalive_seconds": "after one and a half of these without a packet the broker publishes `offline`",
    "mqtt.base_topic": "first part of every topic",
    "mqtt.probabilities": "how often probabilities are published",
    "mqtt.tls": "encrypt; the broker's certificate is always verified",
    "mqtt.ca_file": "certificates to trust in place of the system's; only with `tls`",
    "mqtt.cert_file": "client certificate, for a broker that requires one; only with `tls`",
    "mqtt.key_file": "key of the client certificate, if it is not in the same file",
    "mqtt.commands": "accept thresholds and mutes over MQTT, as from Home Assistant",
    "outbox.path": "database of the events that wait for the broker; absent: `outbox.sqlite` in the state directory",
    "outbox.max_messages": "events that wait at most; the oldest are dropped and counted",
    "outbox.max_age_seconds": "age at which a waiting event is dropped and counted",
    "history.enabled": "keep a history of events in the state directory",
    "history.days": "events older than this are removed from the history",
    "history.megabytes": "size of the history's file, and of the probabilities, beyond which the oldest are removed",
    "clips.enabled": "store the sound of each event in the state directory",
    "clips.before_seconds": "sound in a clip before the event's start",
    "clips.after_seconds": "sound in a clip after the event's end",
    "clips.longest_seconds": "length of a clip at most, the time before and after included",
    "clips.days": "clips of events older than this are deleted",
    "clips.megabytes": "size of all clips, beyond which the oldest are deleted",
    "home_assistant.enabled": "publish discovery messages",
    "home_assistant.prefix": "discovery prefix that Home Assistant is set to",
    "web.listen": "address of the page and its HTTP interface; absent: no page. An address that other machines reach needs "
    "`password_file`",
    "web.password_file": "file that holds only the page's password; a systemd credential of the file's name takes precedence",
    "web.url": "how people reach the page, for links in Home Assistant and MQTT; absent: made of `listen` and the machine's name",
    "detection.class_list": "newest list of classes to enable: 1, the twelve of the first bundles; 2, all of bundle 2",
    "detection.strictness": "`strict`: fewer false events, more missed sounds; `sensitive`: the reverse",
    "class.any.audioset": "AudioSet labels that a class of your own is made of; its probability is the highest of theirs",
    "class.any.label": "name of your own class for people; absent: made of its slug",
    "class.any.enabled": "publish the class; a class with a table of its own is enabled unless this is false",
    "class.any.on": "probability at which an event starts",
    "class.any.off": "an event lasts while the probability is at or above this",
    "class.any.min_seconds": "an event is announced after so long",
    "class.any.hold_seconds": "an event ends after so long below `off`",
    "class.any.max_seconds": "an event is ended after so long",
    "class.any.refractory_seconds": "no new event starts within so long after an end",
}


class _Recorder(StrictTable):
    """An empty table that records which keys are read, of which type and within which bounds."""

    def __init__(self, path: str = "") -> None:
        super().__init__({}, path, UsageError)
        self._path = path
        self._properties: Schema = {}
        self._required: list[str] = []
        self._children: list[tuple[Schema, _Recorder]] = []

    def schema(self) -> Schema:
        """Return the JSON Schema of the table."""
        for node, child in self._children:
            node.update(child.schema())
        schema: Schema = {"type": "object", "additionalProperties": False, "properties": self._properties}
        return schema | ({"required": self._required} if self._required else {})

    def has(self, key: str) -> bool:  # noqa: ARG002 - no key is there
        return False

    def reject_unknown(self) -> None:
        pass

    def _record(self, key: str, default: object, **schema: object) -> None:
        known = {name: value for name, value in schema.items() if value is not None}
        if default is MISSING:
            self._required.append(key)
        elif default is not None:
            known["default"] = default
        self._properties[key] = {"description": _DESCRIPTIONS[f"{self._path}{key}"], **known}

    def text(self, key: str, default: object = MISSING, *, choices: Sequence[str] = ()) -> str:
        self._record(key, default, type="string", **({"enum": list(choices)} if choices else {"minLength": 1}))
        return str(default)

    def optional_text(self, key: str, *, example: str | None = None) -> str | None:
        self._record(key, None, type="string", minLength=1, examples=None if example is None else [example])
        return None

    def slug(self, key: str, default: object = MISSING, *, refused: Sequence[str] = (), most: int | None = None) -> str:
        refusal = {"enum": list(refused)} if refused else None
        self._record(key, default, type="string", pattern=f"^{SLUG.pattern}$", maxLength=most, **{"not": refusal})
        return str(default)

    def number(
        self,
        key: str,
        default: object = MISSING,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        choices: Sequence[float] = (),
    ) -> float:
        bounds = {"minimum": low, "maximum": high}
        finite = {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
        self._record(key, default, type="number", enum=list(choices) or None, **finite)
        return default if isinstance(default, float) else low

    def optional_number(self, key: str, *, low: float, high: float) -> float | None:
        self.number(key, None, low=low, high=high)
        return None

    def integer(self, key: str, default: object = MISSING, *, low: int, high: int) -> int:
        self._record(key, default, type="integer", minimum=low, maximum=high)
        return default if isinstance(default, int) else low

    def flag(self, key: str, default: object = MISSING) -> bool:
        self._record(key, default, type="boolean")
        return default is True

    def optional_flag(self, key: str) -> bool | None:
        self.flag(key, None)
        return None

    def texts(self, key: str) -> tuple[str, ...]:
        self._record(key, None, type="array", minItems=1, items={"type": "string", "minLength": 1})
        return (key,)

    def _child(self, node: Schema, path: str) -> "_Recorder":
        child = _Recorder(f"{self._path}{path}.")
        self._children.append((node, child))
        return child

    def table(self, key: str) -> "_Recorder":
        node: Schema = {}
        self._properties[key] = node
        return self._child(node, key)

    def tables(self, key: str) -> list[StrictTable]:
        node: Schema = {}
        self._properties[key] = {"type": "array", "items": node}
        return [self._child(node, key)]

    def named_tables(self, key: str) -> dict[str, StrictTable]:
        node: Schema = {}
        names: Schema = {"pattern": f"^{SLUG.pattern}$", "maxLength": MAX_SLUG_CHARACTERS}
        self._properties[key] = {"type": "object", "propertyNames": names, "additionalProperties": node}
        child = self._child(node, f"{key}.{_A_CLASS}")
        read_definition(_A_CLASS, child)
        return {_A_CLASS: child}


def config_schema() -> Schema:
    """Return the JSON Schema (draft 7) of the configuration: every key, its type, bounds, default and meaning.

    Rules between keys are not in it; `check-config` checks them.
    """
    recorder = _Recorder()
    read_config(recorder, "schema")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "edge-detector configuration",
        **recorder.schema(),
    }
