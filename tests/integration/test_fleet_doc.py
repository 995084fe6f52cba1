"""The commands of docs/fleet.md: names, passwords, inventory and roll-out of many nodes, on a mosquitto with its access list."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convert.embedder.runtime import DEFAULT_BUNDLE
from edge_detector import __version__
from edge_detector.cli.main import parser
from edge_detector.mqtt import messages
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.telemetry import Inventory, Period, SourceTelemetry, Telemetry
from edge_detector.mqtt.troubles import NO_TROUBLES
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.inbox import Inbox
from tests.support.soundscape_file import write_soundscape
from tests.support.waiting import wait_until

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is missing: apt-get install jq")
PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SCRIPTS = [text for kind, text in BLOCKS if kind == "sh"]
NODES = ("attic", "cellar", "hall_3", "kitchen")
OLD = "0.0.9"


def block(sign: str, kind: str = "sh") -> str:
    """The one block of the page that has this in it."""
    (found,) = (text for each, text in BLOCKS if each == kind and sign in text)
    return found


def bash(script: str, where: Path, **environment: str) -> str:
    """What a person sees who pastes it."""
    done = subprocess.run(
        ["bash", "-o", "nounset", "-c", script],
        cwd=where,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def prepared(folder: Path) -> None:
    """Run what the page does before the first node: a file and a password for each."""
    (folder / "nodes.txt").write_text("\n".join(NODES) + "\n")
    (folder / "edge.toml.in").write_text(block("node_name", "toml"))
    assert bash(block("edge.toml.in"), folder) == ""
    assert bash(block("mosquitto_passwd"), folder) == ""
    (folder / "acl").write_text(block("%u", "acl"))


@dataclass(frozen=True, slots=True)
class Fleet:
    """A folder of somebody who follows the page, and the broker."""

    folder: Path
    broker: Broker

    def address(self, user: str) -> Address:
        password = (self.folder / "secrets" / user).read_text().strip()
        return Address(self.broker.host, self.broker.port, f"test-{user}", "5", user, password)

    def publish(self, user: str, message: Message) -> None:
        address = self.address(user)
        login = ["-u", user, "-P", address.password or "", "-h", address.host, "-p", str(address.port)]
        retained = ["-r"] if message.retained else []
        command = ["mosquitto_pub", *login, "-t", message.topic, "-q", "1", *retained, "-s"]
        subprocess.run(command, input=message.payload, check=True)

    def serve(self, node: str, *, discovery: bool = False) -> None:
        """Run the whole service of a node on a recording, to its end."""
        config = self.folder / "nodes" / f"{node}.toml"
        text = config.read_text()
        recording = write_soundscape(self.folder / "recording.wav")
        for before, after in (
            ('"broker.local"', f'"{self.broker.host}"\nport = {self.broker.port}\ncommands = true'),
            ("/etc/edge-detector/secrets/mqtt-password", f"{self.folder}/secrets/{node}"),
            ('name = "mic"', f'name = "mic"\nkind = "file"\ndevice = "{recording}"'),
            ("enabled = false", f"enabled = {str(discovery).lower()}"),
        ):
            assert text.count(before) == 1
            text = text.replace(before, after)
        config.write_text(text)
        environment = {**os.environ, "STATE_DIRECTORY": str(self.folder)}
        subprocess.run(
            [sys.executable, "-m", "edge_detector", "run", "--config", str(config)],
            check=True,
            capture_output=True,
            env=environment,
        )

    def run(self, sign: str) -> list[str]:
        """The lines that a command of the page prints."""
        return bash(block(sign), self.folder, XDG_CONFIG_HOME=str(self.folder / "config")).splitlines()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    prepared(tmp_path)
    with Broker(f"password_file {tmp_path}/passwords", f"acl_file {tmp_path}/acl", anonymous=False) as broker:
        found = Fleet(tmp_path, broker)
        (tmp_path / "config").mkdir()
        login = found.address("inventory")
        (tmp_path / "config" / "mosquitto_sub").write_text(
            f"-h {login.host}\n-p {login.port}\n-u inventory\n-P {login.password}\n"
        )
        yield found


def told(node: str, *, version: str = OLD, restart_needed: bool = False) -> Message:
    """Telemetry of a node of an earlier version, whose microphone is gone."""
    source = SourceTelemetry("reconnecting", "system", 0.0, 1, 0, 0, 0)
    inventory = Inventory(version, "mine 1", 64 * "a", 64 * "b", restart_needed=restart_needed)
    figures = Telemetry(Period(1.0, 0.01, 1.0, 20.0, 30.0), inventory, 1, 0, 0, 0, 0, 0, 0, {"mic": source}, NO_TROUBLES)
    return messages.telemetry(f"edge_detector/{node}", figures, time.time())


@pytest.mark.parametrize("number", range(len(SCRIPTS)))
def test_every_command_is_one_that_a_shell_can_read(number: int) -> None:
    subprocess.run(["bash", "-n", "-c", SCRIPTS[number]], check=True)


def test_a_node_with_its_own_password_may_do_all_that_the_service_does(fleet: Fleet) -> None:
    inbox = Inbox()
    with subscription(fleet.address("homeassistant"), "#", inbox.receive):
        fleet.serve("kitchen", discovery=True)
        inbox.wait_for_payload("edge_detector/kitchen/status", b"offline")
        inbox.wait_for(lambda item: item.topic == "homeassistant/device/kitchen/mic/config", "discovery")
    last = inbox.json("telemetry")[-1]
    assert (last["refused_messages"], last["troubles"]) == (0, [])
    assert inbox.json("event")


def test_a_node_may_write_to_no_other_and_read_from_no_other(fleet: Fleet) -> None:
    own = Message("edge_detector/kitchen/status", b"online", 1, retained=True)
    foreign = Message("edge_detector/hall_3/status", b"online", 1, retained=True)
    everything, of_kitchen = Inbox(), Inbox()
    with (
        subscription(fleet.address("homeassistant"), "#", everything.receive),
        subscription(fleet.address("kitchen"), "#", of_kitchen.receive),
    ):
        fleet.publish("kitchen", foreign)
        fleet.publish("kitchen", own)
        everything.wait_for_payload(own.topic, own.payload)
        assert foreign.topic not in {item.topic for item in everything.messages}
        fleet.publish("hall_3", foreign)
        everything.wait_for_payload(foreign.topic, foreign.payload)
        fleet.publish("kitchen", Message("edge_detector/kitchen/end", b"x", 1, retained=False))
        of_kitchen.wait_for_payload("edge_detector/kitchen/end", b"x")
    assert {item.topic for item in of_kitchen.messages} == {own.topic, "edge_detector/kitchen/end"}


def test_a_node_that_is_gone_leaves_nothing_at_the_broker(fleet: Fleet) -> None:
    fleet.serve("attic", discovery=True)
    programs = Path(sys.executable).parent
    printed = bash(block("forget"), fleet.folder, PATH=f"{programs}:{os.environ['PATH']}")
    assert re.search(r"has deleted \d+ retained topics of attic", printed), printed


def inventory(fleet: Fleet) -> list[dict[str, Any]]:
    """What the command of the page gives; on a busy machine its three seconds may be too short for a whole list."""
    fleet.run("mosquitto_sub")
    nodes: list[dict[str, Any]] = json.loads((fleet.folder / "nodes.json").read_text())
    return nodes


@needs_jq
def test_the_inventory_finds_every_node_that_is_offline_outdated_or_configured_differently(fleet: Fleet) -> None:
    (fleet.folder / "my-bundle").symlink_to(DEFAULT_BUNDLE)
    fleet.serve("kitchen")
    for message in (messages.status("edge_detector/hall_3", online=True), told("hall_3", restart_needed=True)):
        fleet.publish("hall_3", message)
    fleet.publish("attic", messages.status("edge_detector/attic", online=True))

    nodes: list[dict[str, Any]] = []

    def complete() -> bool:
        nodes[:] = inventory(fleet)
        return ["v" in node for node in nodes] == [False, True, True]

    wait_until(complete, "every node")
    assert [(node["node"], node["status"]) for node in nodes] == [
        ("attic", "online"),
        ("hall_3", "online"),
        ("kitchen", "offline"),
    ]
    config = (fleet.folder / "nodes" / "kitchen.toml").read_bytes()
    assert nodes[2]["configuration_sha256"] == hashlib.sha256(config).hexdigest()
    assert [line.split("\t")[:3] for line in fleet.run("@tsv")] == [
        ["attic", "online", ""],
        ["hall_3", "online", OLD],
        ["kitchen", "offline", __version__],
    ]
    assert fleet.run('.status != "online"') == [f"kitchen {nodes[2]['time']}"]
    assert fleet.run('"healthy"') == ["hall_3 mic reconnecting"]
    assert fleet.run(".version != ") == ["attic null", f"hall_3 {OLD}"]
    assert fleet.run("my-bundle") == ["attic null", "hall_3 mine 1"]
    failed = [line for line in fleet.run("--check") if line.startswith("nodes/")]
    assert failed == ["nodes/attic.toml: FAILED", "nodes/hall_3.toml: FAILED"]
    assert fleet.run("select(.restart_needed)") == ["hall_3"]
    assert fleet.run("comm -13") == ["cellar"]


def test_a_new_configuration_reaches_each_node_and_one_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    prepared(tmp_path)
    for node in NODES:
        host = tmp_path / f"{node.replace('_', '-')}.local"
        (host / "etc").mkdir(parents=True)
        (host / "etc" / "edge.toml").write_text("before")
    (tmp_path / "nodes" / "hall_3.toml").write_text("[detecton]\n")
    stubs = {
        "scp": 'cp "$2" "${3%%:*}/${3#*:}"',
        "ssh": 'cd "$2" && sh -c "$3"',
        "sudo": '"$@"',
        "systemctl": 'echo "$@" > systemctl.log',
        "edge-detector": f'{sys.executable} -m edge_detector "$@" > check.log 2>&1',
    }
    (tmp_path / "bin").mkdir()
    for name, script in stubs.items():
        stub = tmp_path / "bin" / name
        stub.write_text(f"#!/bin/sh\n{script}\n")
        stub.chmod(0o755)
    script = block("systemctl reload").replace("/etc/edge-detector/", "etc/")
    printed = bash(script, tmp_path, PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert printed == "hall_3 has kept its configuration\n"
    for node in set(NODES) - {"hall_3"}:
        host = tmp_path / f"{node}.local"
        assert (host / "etc" / "edge.toml").read_text() == (tmp_path / "nodes" / f"{node}.toml").read_text()
        assert (host / "systemctl.log").read_text() == "reload edge-detector\n"
    refused = tmp_path / "hall-3.local"
    assert (refused / "etc" / "edge.toml").read_text() == "before"
    assert not (refused / "systemctl.log").exists()


def test_a_new_version_is_installed_and_undone_with_options_of_the_installer() -> None:
    assert set(re.findall(r"edge_detector-.*?\.whl", PAGE)) == {f"edge_detector-{__version__}-py3-none-any.whl"}
    verbs = [parser().parse_args(words.split()).verb for words in re.findall(r"edge-detector (install-service[^'`\n]*)", PAGE)]
    assert verbs == ["install", "rollback", "uninstall"]
