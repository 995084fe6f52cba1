"""Home Assistant itself, with MQTT and nothing else. Runs inside the box, with its Python; knows nothing of this project.

Usage: core.py FOLDER HOST PORT HTTP_PORT, the last for its own web server, which MQTT wants.

Standard output, a line each: {"ready"}; {"entity", "state", "attributes"} at every change, state null where it is gone. Standard
input: {"call": [domain, service, data]}; {"enable": true} to enable what is off by default; {"stop": true}. Its log goes to
standard error.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import auth, bootstrap, config_entries, loader
from homeassistant.components.mqtt.const import CONFIG_ENTRY_MINOR_VERSION, CONFIG_ENTRY_VERSION
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import entity_registry
from homeassistant.setup import async_setup_component


def say(**line: object) -> None:
    print(json.dumps(line, default=str), flush=True)  # noqa: T201 - it speaks on standard output


def on_change(event: Event[Any]) -> None:
    new = event.data["new_state"]
    say(entity=event.data["entity_id"], state=new and new.state, attributes=dict(new.attributes) if new else {})


def broker_entry(host: str, port: int) -> config_entries.ConfigEntry:
    return config_entries.ConfigEntry(
        data={"broker": host, "port": port, "protocol": "5"},
        discovery_keys=MappingProxyType({}),
        domain="mqtt",
        minor_version=CONFIG_ENTRY_MINOR_VERSION,
        options={},
        source=config_entries.SOURCE_USER,
        subentries_data=(),
        title="broker",
        unique_id=None,
        version=CONFIG_ENTRY_VERSION,
    )


async def start(folder: str, host: str, port: int, http_port: int) -> tuple[HomeAssistant, config_entries.ConfigEntry]:
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    hass.config.time_zone = "UTC"
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    hass.bus.async_listen(EVENT_STATE_CHANGED, callback(on_change))
    hass.auth = await auth.auth_manager_from_config(hass, [], [])
    await async_setup_component(hass, "homeassistant", {})
    await async_setup_component(hass, "http", {"http": {"server_host": "127.0.0.1", "server_port": http_port}})
    entry = broker_entry(host, port)
    await hass.config_entries.async_add(entry)
    await hass.async_start()
    return hass, entry


async def obey(hass: HomeAssistant, entry: config_entries.ConfigEntry, order: dict[str, Any]) -> bool:
    """Carry out one order; False: it was the last."""
    if "call" in order:
        domain, service, data = order["call"]
        await hass.services.async_call(domain, service, data, blocking=True)
    if "enable" in order:
        registry = entity_registry.async_get(hass)
        for entity in list(registry.entities.values()):
            if entity.disabled_by is not None:
                registry.async_update_entity(entity.entity_id, disabled_by=None)
        await hass.config_entries.async_reload(entry.entry_id)
    return "stop" not in order


async def main(folder: str, host: str, port: str, http_port: str) -> None:
    hass, entry = await start(folder, host, int(port), int(http_port))
    say(ready=True)
    orders = asyncio.StreamReader()
    await hass.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while (line := await orders.readline()) and await obey(hass, entry, json.loads(line)):
        pass
    await hass.async_stop(force=True)


if __name__ == "__main__":
    Path(sys.argv[1], "configuration.yaml").touch()
    asyncio.run(main(*sys.argv[1:]))
