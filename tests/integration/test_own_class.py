"""A class of one's own, of two AudioSet labels, from a real recording to the broker."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.broker import Broker
from tests.support.inbox import subscriber

CONFIG = """
[node]
name = "garden"

[[source]]
name = "saw"
kind = "file"
device = "{recording}"

[mqtt]
host = "{broker.host}"
port = {broker.port}

[class.power_tool]
audioset = ["Power tool", "Light engine (high frequency)"]
label = "Motor or power tool"
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edge_detector", *map(str, arguments)]


def written(folder: Path, broker: Broker, data: Path) -> Path:
    recording = min((data / "esc10" / "chainsaw").iterdir()).resolve()
    config = folder / "edge.toml"
    config.write_text(CONFIG.format(recording=recording, broker=broker))
    return config


def test_a_class_of_two_audioset_labels_is_detected_in_a_real_recording_and_published(
    tmp_path: Path, broker: Broker, data: Path
) -> None:
    config = written(tmp_path, broker, data)
    with subscriber(broker.host, broker.port) as inbox:
        subprocess.run(command("run", "--config", config), check=True, timeout=60, capture_output=True)
        inbox.wait_for_payload("edge_detector/garden/status", b"offline")
        started = [event for event in inbox.json("event") if (event["slug"], event["event_type"]) == ("power_tool", "start")]
        assert started, "the saw is detected as what the labels say"
        assert started[0]["label"] == "Motor or power tool"
        assert all("power_tool" in item["probabilities"] for item in inbox.json("probabilities"))
        # A recording is heard faster than a broker is found; of a state only the newest is sent.
        assert any(item.topic == "edge_detector/garden/saw/class/power_tool" for item in inbox.messages)
        (discovery,) = [item for item in inbox.messages if item.topic == "homeassistant/device/garden/saw/config"][-1:]
        entities = json.loads(discovery.payload)["cmps"]
        assert "saw-class-power_tool" in entities
        assert "saw-class-cat" not in entities, "what is off is not announced"


def test_listen_tries_the_class_of_a_configuration_on_a_recording(tmp_path: Path, broker: Broker, data: Path) -> None:
    config = written(tmp_path, broker, data)
    recording = min((data / "esc10" / "chainsaw").iterdir())
    result = subprocess.run(
        command("listen", recording, "--config", config, "--json"), check=True, timeout=60, capture_output=True, text=True
    )
    events = [json.loads(line) for line in result.stdout.splitlines() if '"type": "event"' in line]
    assert any(event["slug"] == "power_tool" for event in events)
