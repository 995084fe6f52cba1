"""Judges discovery messages by Home Assistant's own code. Runs inside the box, with its Python; knows nothing of this project.

Standard input: one {"topic", "payload"} a line. Standard output: {"version", "problems", "rules"} as JSON. `rules` is what the
schemas say of each platform that occurs, for tests that must do without Home Assistant.
"""

import asyncio
import copy
import importlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import probatio
from homeassistant.components.mqtt import discovery, schemas
from homeassistant.components.mqtt.abbreviations import ABBREVIATIONS, DEVICE_ABBREVIATIONS, ORIGIN_ABBREVIATIONS
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant

JUDGED_PLATFORMS = ("binary_sensor", "sensor", "event", "number", "switch")


def platform_schemas(platform: str) -> tuple[Any, Any]:
    """The schema Home Assistant uses, which drops what it does not know, and the one that complains about it."""
    module = importlib.import_module(f"homeassistant.components.mqtt.{platform}")
    return module.DISCOVERY_SCHEMA, module.PLATFORM_SCHEMA_MODERN


def problems(topic: str, text: str) -> Iterator[str]:
    """Everything Home Assistant would object to, or drop in silence."""
    prefix, _, rest = topic.partition("/")
    match = discovery.TOPIC_MATCHER.fullmatch(rest)
    if prefix != "homeassistant" or match is None or match["component"] != "device":
        yield f"{topic} is no device discovery topic"
    if not text:
        return
    payload = json.loads(text)
    discovery._replace_all_abbreviations(payload)  # noqa: SLF001 - the very function that discovery calls
    try:
        schemas.validate_device_discovery_components(schemas.DEVICE_DISCOVERY_SCHEMA(copy.deepcopy(payload)))
    except probatio.Invalid as error:
        yield f"device: {error}"
    shared = {key: payload[key] for key in schemas.SHARED_OPTIONS if key in payload}
    for name, component in payload["components"].items():
        yield from component_problems(name, component, shared)
    for values in duplicates(payload["components"]):
        yield f"unique_id {values} occurs twice"


def duplicates(components: dict[str, dict[str, Any]]) -> set[str]:
    ids = [component["unique_id"] for component in components.values() if "unique_id" in component]
    return {value for value in ids if ids.count(value) > 1}


def component_problems(name: str, component: dict[str, Any], shared: dict[str, Any]) -> Iterator[str]:
    config = dict(component)
    platform = config.pop("platform")
    if platform not in JUDGED_PLATFORMS:
        yield f"{name}: nobody looked at the platform {platform} yet"
        return
    if not config:
        return
    known = schema_keys(platform)
    config = {**{key: value for key, value in shared.items() if key in known}, **config}
    for schema in platform_schemas(platform):
        try:
            schema(copy.deepcopy(config))
        except probatio.Invalid as error:
            yield f"{name} ({platform}): {error}"


def schema_keys(platform: str) -> dict[str, bool]:
    """Each key of a platform's schema, and whether it is required."""
    schema = platform_schemas(platform)[1]
    base = next((part for part in getattr(schema, "validators", ()) if hasattr(part, "schema")), schema)
    return {str(getattr(key, "schema", key)): isinstance(key, probatio.Required) for key in base.schema}


def rules() -> dict[str, Any]:
    """What a test without Home Assistant needs to know of its schemas."""
    classes = {}
    for platform in JUDGED_PLATFORMS:
        module = importlib.import_module(f"homeassistant.components.{platform}")
        found = getattr(module, re.sub(r"(?:^|_)(\w)", lambda match: match[1].upper(), platform) + "DeviceClass", ())
        classes[platform] = sorted(str(member.value) for member in found)
    units = importlib.import_module("homeassistant.components.sensor.const").DEVICE_CLASS_UNITS
    return {
        "topic": discovery.TOPIC_MATCHER.pattern,
        "abbreviations": ABBREVIATIONS,
        "device_abbreviations": DEVICE_ABBREVIATIONS,
        "origin_abbreviations": ORIGIN_ABBREVIATIONS,
        "shared": sorted(schemas.SHARED_OPTIONS),
        "platforms": {platform: schema_keys(platform) for platform in JUDGED_PLATFORMS},
        "device_classes": classes,
        "sensor_units": {str(key.value): sorted(str(unit) for unit in value) for key, value in units.items()},
    }


async def main() -> None:
    HomeAssistant(tempfile.mkdtemp())  # templates are only judged where one lives
    found: list[str] = []
    for line in sys.stdin:
        message = json.loads(line)
        found += problems(message["topic"], message["payload"])
    json.dump({"version": __version__, "problems": found, "rules": rules()}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
