"""`forget` against a real broker: nothing of the node stays, and nothing of anybody else's goes."""

import json
import subprocess
from pathlib import Path

import pytest

from edge_detector.cli import forget
from edge_detector.errors import BrokerError
from tests.support.broker import HOST, Broker, free_port
from tests.support.inbox import subscriber

OURS = {
    "edge_detector/nursery/status": "offline",
    "edge_detector/nursery/telemetry": "{}",
    "edge_detector/nursery/cot/health": "{}",
    "edge_detector/nursery/cot/class/rain": "OFF",
    "edge_detector/nursery/gone/threshold/rain": "0.5",
    "homeassistant/device/nursery/config": "{}",
    "homeassistant/device/nursery/mic/config": "{}",
    "homeassistant/device/nursery/gone/config": json.dumps({"cmps": {"a": {"stat_t": "edge_detector/nursery/gone/level"}}}),
    "homeassistant/device/some_name/config": json.dumps({"cmps": {"a": {"stat_t": "edge_detector/nursery/cot/level"}}}),
}
OTHERS = {
    "edge_detector/nursery_2/status": "online",
    "edge_detector/kitchen/cot/health": "{}",
    "homeassistant/device/kitchen/config": json.dumps({"cmps": {"a": {"stat_t": "edge_detector/nursery_2/cot/level"}}}),
    "homeassistant/device/kitchen/mic/config": json.dumps({"cmps": {"a": {"stat_t": "edge_detector/kitchen/mic/level"}}}),
    "homeassistant/status": "online",
}


def configuration(folder: Path, port: int, more: str = "") -> Path:
    path = folder / "edge.toml"
    path.write_text(f'[node]\nname = "nursery"\n[mqtt]\nhost = "{HOST}"\nport = {port}\n{more}')
    return path


def retain(broker: Broker, messages: dict[str, str]) -> None:
    for topic, payload in messages.items():
        command = ["mosquitto_pub", "-h", broker.host, "-p", str(broker.port), "-r", "-q", "1", "-t", topic, "-m", payload]
        subprocess.run(command, check=True)


def retained(broker: Broker) -> dict[str, str]:
    """What the broker keeps, by topic."""
    with subscriber(broker.host, broker.port) as inbox:
        broker.publish("the/end", "of what was retained")
        inbox.wait_for_payload("the/end", b"of what was retained")
        return {message.topic: message.payload.decode() for message in inbox.messages if message.retained and message.payload}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_every_retained_topic_of_the_node_is_emptied_and_nobody_else_s(
    tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Broker() as broker:
        retain(broker, OURS | OTHERS)
        assert forget.run(configuration(tmp_path, broker.port, f'protocol = "{protocol}"\n')) == 0
        assert retained(broker) == OTHERS
    assert f"has deleted {len(OURS)} retained topics of nursery" in capsys.readouterr().out


def test_a_broker_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="cannot be reached: nothing listens on that port"):
        forget.run(configuration(tmp_path, free_port()))


def test_what_the_broker_will_not_let_go_is_said(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite #\n")
    with Broker(f"acl_file {rules}", persistent=True) as broker:
        retain(broker, OURS)
        rules.write_text("topic read #\n")
        broker.stop()
        broker.start()
        with pytest.raises(BrokerError, match="still has 9 retained topics"):
            forget.run(configuration(tmp_path, broker.port))
