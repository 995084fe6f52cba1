"""docs/home-assistant.md has the entities that discovery announces."""

import json
import re
from pathlib import Path

from edge_detector.detection.bundle import SoundClass
from edge_detector.mqtt.home_assistant import Device, discovery

PAGE = (Path(__file__).parents[4] / "docs" / "home-assistant.md").read_text(encoding="utf-8")
DEVICE = Device("nursery", "edge_detector/nursery", "1", "default 1", {"cot": [SoundClass("baby_cry", "Baby crying", None, {})]})


def test_the_page_names_every_entity_with_its_kind() -> None:
    (message,) = discovery(DEVICE)
    tables = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| ")]
    kinds = {
        name.strip(): kind for names, kind in tables for name in re.sub(r'"|one for each.*?, |, one for.*', "", names).split(", ")
    }
    for entity in json.loads(message.payload)["cmps"].values():
        assert entity["p"].replace("_", " ") in kinds.pop(entity["name"]), entity["name"]
    assert set(kinds) == {"entity"}


def test_the_automation_names_an_entity_that_discovery_announces() -> None:
    (message,) = discovery(DEVICE)
    announced = {entity["def_ent_id"] for entity in json.loads(message.payload)["cmps"].values()}
    assert set(re.findall(r"entity_id:\s(\S+?)`?\s", PAGE)) <= announced
