"""`devices`: lists microphones, their sample rates and current levels."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from edge_detector.audio.microphone import (
    InputDevice,
    Measurement,
    PyAudioMissingError,
    alsa_name,
    list_devices,
    measure,
)
from edge_detector.audio.programs.alsa_cards import list_cards, read_cards
from edge_detector.errors import SourceError
from edge_detector.levels import LEVEL_FLOOR_DBFS

MARK_OF_DEFAULT = "*"


def run(*, as_json: bool) -> int:
    """Print one line for each microphone, as soon as it is measured. Raises SourceError if there is none."""
    try:
        devices = list_devices()
    except PyAudioMissingError:
        return _cards(as_json=as_json)
    if not devices:
        raise SourceError("no microphone was found; plug one in, and see whether arecord -l lists it")
    lines = json_lines(devices) if as_json else table(devices)
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    return 0


def _cards(*, as_json: bool) -> int:
    """Print ALSA's sound cards, which need no PyAudio; their levels are not measured."""
    cards = list_cards(read_cards())
    if not cards:
        raise SourceError("there is no sound card; plug a microphone in, and see whether arecord -l lists it")
    for card, name in cards:
        device = f"plughw:CARD={card}"
        line = json.dumps({"type": "card", "name": name, "alsa_device": device}) if as_json else f"{device}  {name}"
        sys.stdout.write(f"{line}\n")
    if not as_json:
        sys.stdout.write("select one with mic:NAME, where a part of its name is enough; rates and levels need PyAudio\n")
    return 0


def json_lines(devices: tuple[InputDevice, ...]) -> Iterator[str]:
    """Yield a JSON object for each microphone."""
    for device in devices:
        found = measure(device.name)
        yield json.dumps({"type": "device", **asdict(device), "alsa_device": alsa_name(device.name), **asdict(found)})


def table(devices: tuple[InputDevice, ...]) -> Iterator[str]:
    """Yield the lines of a table."""
    width = max(len(device.name) for device in devices)
    yield f"  index  {'name':{width}}  channels  level"
    for device in devices:
        mark = MARK_OF_DEFAULT if device.is_default else " "
        found = measure(device.name)
        yield f"{mark} {device.index:>5}  {device.name:{width}}  {device.max_channels:>8}  {level_text(found)}"
        if found.rates_hz:
            yield f"         at {', '.join(str(rate_hz) for rate_hz in found.rates_hz)} Hz"
    yield f"{MARK_OF_DEFAULT} the default; select another one with mic:NAME, where a part of its name is enough"


def level_text(found: Measurement) -> str:
    """Format the level of a microphone, or the reason for a missing one."""
    if found.level_dbfs is None:
        return found.problem or "no sound was received"
    silent = "  digital silence: muted, or unplugged at its far end?" if found.level_dbfs <= LEVEL_FLOOR_DBFS else ""
    return f"{found.level_dbfs:.1f} dBFS{silent}"
