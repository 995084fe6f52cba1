"""The files of container and add-on: what Home Assistant's Supervisor asks of them, and the add-on's script at a broker."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_detector import __version__
from edge_detector.cli.main import main
from edge_detector.config import load_config
from edge_detector.detection.bundle import hop_key
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.credentials import broker_of
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.logs import LEVELS
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import Inbox
from tests.support.rig import Rig
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "container" / "home-assistant"
CONFIG: Mapping[str, Any] = yaml.safe_load((ADDON / "config.yaml").read_text())
PASSWORD = 'hunter2 "quoted" \\ with spaces'  # noqa: S105 - of a broker that lives for a second
# Of supervisor/addons/validate.py and options.py, in home-assistant/supervisor.
REQUIRED = {"name", "version", "slug", "description", "arch"}
DEFAULTS = {"startup": "application", "boot": "auto", "stage": "stable", "init": True, "audio": False, "hassio_api": False}
ELEMENT = re.compile(
    r"(bool|email|url|port|(str|password)(\((?P<shortest>\d*),(?P<longest>\d*)\))?|(int|float)(\([\d.]*,[\d.]*\))?|match\((?P<match>.*)\)|list\((?P<list>.+)\))\??"
)
BROKER = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons", "password": PASSWORD, "protocol": "3.1.1"}


def choices(option: str) -> list[str]:
    element = ELEMENT.fullmatch(CONFIG["schema"][option])
    assert element is not None
    return element["list"].split("|")


def accepts(schema: object, value: object) -> bool:
    """Whether the Supervisor would take the value of an option."""
    if isinstance(schema, list):
        return isinstance(value, list) and all(accepts(schema[0], each) for each in value)
    element = ELEMENT.fullmatch(str(schema))
    assert element is not None
    if element["list"]:
        return str(value) in element["list"].split("|")
    if element["match"]:
        return re.match(element["match"], str(value)) is not None
    if element["shortest"]:
        return isinstance(value, str) and int(element["shortest"]) <= len(value) <= int(element["longest"])
    return isinstance(value, bool)


class Addon(Rig):
    """The add-on's script with a stand-in for bashio, as the Supervisor would start it."""

    def __init__(self, options: Mapping[str, object], service: Mapping[str, object], environment: Mapping[str, str]) -> None:
        super().__init__("addon", stop_seconds=30.0)
        paths = {"OPTIONS": self.folder / "options.json", "SERVICE": self.folder / "service.json"}
        paths["OPTIONS"].write_text(json.dumps({**CONFIG["options"], **options}))
        paths["SERVICE"].write_text(json.dumps(service))
        program = self.folder / "bin" / "edge-detector"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edge_detector "$@"\n')
        program.chmod(0o755)
        self.extra = self.folder / "extra.toml"
        self._environment = {
            **os.environ,
            **environment,
            **{name: str(path) for name, path in paths.items()},
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "EXTRA": str(self.extra),
            "RUN_FOLDER": str(self.folder / "run"),
            "STATE_DIRECTORY": str(self.folder / "state"),
        }

    @property
    def config(self) -> Path:
        return self.folder / "run" / "edge.toml"

    def start(self) -> None:
        script = f'source "{ROOT}/tests/support/bashio.sh"; source "{ADDON}/run.sh"'
        self.launch(["bash", "-c", script], self._environment)

    def write_config(self) -> dict[str, Any]:
        """The configuration that the script writes; what it starts then does nothing."""
        program = self.folder / "bin" / "edge-detector"
        program.write_text('#!/bin/sh\necho "$@"\n')
        self.start()
        assert self.process.wait(60) == 0, self.log
        return tomllib.loads(self.config.read_text())


def test_the_add_on_has_what_the_supervisor_requires() -> None:
    assert set(CONFIG) >= REQUIRED
    assert set(CONFIG["arch"]) <= {"aarch64", "amd64"}, "the others have no TFLite, or are gone from Home Assistant"
    assert re.fullmatch(r"[-_.A-Za-z0-9]+", CONFIG["slug"])
    assert CONFIG["version"] == __version__
    assert all(re.fullmatch(r"(mqtt|mysql):(provide|want|need)", each) for each in CONFIG["services"])
    assert CONFIG["map"] == ["addon_config:ro"]
    assert CONFIG["init"] is False, "the base image has an init of its own"
    assert CONFIG["audio"] is True


def test_the_add_on_repeats_no_default_and_asks_for_no_privilege() -> None:
    assert not {key: value for key, value in DEFAULTS.items() if CONFIG.get(key) == value}
    assert not set(CONFIG) & {"privileged", "full_access", "host_network", "docker_api", "devices", "apparmor", "image"}


def test_every_option_has_a_type_and_its_default_is_of_it() -> None:
    schema = CONFIG["schema"]
    for option, kind in schema.items():
        assert ELEMENT.fullmatch(kind[0] if isinstance(kind, list) else kind), option
    required = {name for name, kind in schema.items() if isinstance(kind, str) and not kind.endswith("?")}
    assert required <= set(CONFIG["options"]) <= set(schema)
    assert all(accepts(schema[name], value) for name, value in CONFIG["options"].items())
    assert not accepts(schema["name"], 'no"name')


def test_options_offer_what_the_configuration_takes() -> None:
    assert choices("hop") == [hop_key(hops) for hops in sorted(HOPS_PER_PATCH)]
    assert choices("log_level") == list(LEVELS)
    assert set(choices("strictness")) == {"sensitive", "balanced", "strict"}


def test_every_option_is_explained() -> None:
    translated = yaml.safe_load((ADDON / "translations" / "en.yaml").read_text())["configuration"]
    assert set(translated) == set(CONFIG["schema"])
    assert all(set(each) == {"name", "description"} for each in translated.values())
    documented = set(re.findall(r"`(\w+)`", "".join(re.findall(r"(?m)^\| (`.*?) \|", (ADDON / "DOCS.md").read_text()))))
    assert documented == set(CONFIG["schema"])


def test_a_password_makes_a_page_that_is_known_by_the_machine_s_name_and_the_port_that_was_chosen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = {"page_password": PASSWORD}
    assert accepts(CONFIG["schema"]["page_password"], PASSWORD)
    assert not accepts(CONFIG["schema"]["page_password"], "short")
    assert CONFIG["ports"] == {"8080/tcp": None}, "no port is open that nobody has asked for"
    assert re.fullmatch(r"https?://\[HOST\]:\[PORT:8080\].*", CONFIG["webui"])
    translated = yaml.safe_load((ADDON / "translations" / "en.yaml").read_text())["network"]
    assert set(translated) == set(CONFIG["ports"])
    for known, url in (
        ({"machine": "homeassistant", "port-8080": 8081}, {"url": "http://homeassistant.local:8081"}),
        ({"machine": "homeassistant"}, {}),
        ({}, {}),
    ):
        addon = Addon(options, {**BROKER, **known}, {})
        try:
            file = addon.config.parent / "web-password"
            assert addon.write_config()["web"] == {"listen": "0.0.0.0:8080", "password_file": str(file), **url}
            assert main(["check-config", str(addon.config)]) == 0, capsys.readouterr().err
            assert (file.read_text(), file.stat().st_mode & 0o777) == (PASSWORD, 0o600)
            assert PASSWORD not in addon.config.read_text()
        finally:
            addon.close()


@pytest.mark.parametrize("strictness", ["sensitive", "balanced", "strict"])
@pytest.mark.parametrize("service", [BROKER, {**BROKER, "ssl": True}, {"host": "10.0.0.2", "port": 1884, "ssl": False}])
def test_options_become_a_configuration_that_is_accepted(
    strictness: str, service: Mapping[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"name": "nursery", "strictness": strictness, "hop": "0.24", "enable": ["cat", "doorbell"], "disable": ["music"]}
    assert all(accepts(CONFIG["schema"][name], value) for name, value in options.items())
    with_login = "username" in service
    addon = Addon(options, service, {})
    try:
        addon.extra.write_text('[class.kettle]\naudioset = ["Whistle", "Steam"]\n')
        written = addon.write_config()
        assert main(["check-config", str(addon.config)]) == 0, capsys.readouterr().err
        assert "run --config" in addon.log
        assert "--log-level info" in addon.log
        password = addon.config.parent / "mqtt-password"
        assert written["mqtt"] == {
            "host": service["host"],
            "port": service["port"],
            "commands": True,
            **({"tls": True} if service["ssl"] else {}),
            **({"username": "addons", "password_file": str(password)} if with_login else {}),
        }
        assert password.exists() == with_login
        if with_login:
            assert password.read_text() == PASSWORD
            assert password.stat().st_mode & 0o777 == 0o600
        assert PASSWORD not in addon.config.read_text()
        assert written["detection"] == {"class_list": 2, "strictness": strictness}
        assert "web" not in written, "without a password there is no page"
        enabled = {name: table.get("enabled") for name, table in written["class"].items()}
        assert enabled == {"cat": True, "doorbell": True, "music": False, "kettle": None}
    finally:
        addon.close()


@pytest.mark.parametrize("wanted", [False, True])
def test_sound_is_stored_only_where_the_option_asks_for_it_and_other_limits_may_be_written_by_hand(
    wanted: bool,  # noqa: FBT001 - a parameter
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert CONFIG["options"]["clips"] is False
    addon = Addon({"clips": wanted}, BROKER, {})
    try:
        if not wanted:
            assert "clips" not in addon.write_config()
            addon.extra.write_text("[clips]\nenabled = true\ndays = 7\n")
        assert addon.write_config()["clips"]["enabled"] is True
        assert main(["check-config", str(addon.config)]) == 0, capsys.readouterr().err
    finally:
        addon.close()


def test_a_user_name_may_have_any_characters() -> None:
    addon = Addon({}, {**BROKER, "username": 'a "b" \\ c'}, {})
    try:
        assert addon.write_config()["mqtt"]["username"] == 'a "b" \\ c'
    finally:
        addon.close()


def test_without_a_broker_the_log_says_what_to_install() -> None:
    addon = Addon({}, {}, {})
    try:
        addon.start()
        assert addon.process.wait(60) == 1
        assert "There is no MQTT broker; install the add-on Mosquitto broker and start it." in addon.log
    finally:
        addon.close()


def test_the_add_on_hears_and_reports_to_a_broker_that_wants_a_password(microphone: FakeMicrophone, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "addons", PASSWORD], check=True)
    with Broker(f"password_file {passwords}", anonymous=False) as broker:
        service = {**BROKER, "host": broker.host, "port": broker.port}
        with Addon({"name": "nursery"}, service, microphone.environment) as addon:
            wait_until(lambda: "microphone: listening at" in addon.log, "the service")
            inbox = Inbox()
            with subscription(broker_of(load_config(addon.config).mqtt, "ear", {}), "#", inbox.receive):
                inbox.wait_for(lambda item: item.topic == "edge_detector/nursery/microphone/probabilities", "probabilities")
            arguments = Path(f"/proc/{addon.process.pid}/cmdline").read_bytes()
            environment = Path(f"/proc/{addon.process.pid}/environ").read_bytes()
            assert b"edge_detector\0run\0" in arguments, "the script has become the service"
            assert PASSWORD.encode() not in arguments + environment
            assert addon.stop() == 0
            assert PASSWORD not in addon.log


def test_the_images_are_of_debian_and_have_no_compiler() -> None:
    for file in (ROOT / "container" / "Containerfile", ADDON / "Dockerfile"):
        text = file.read_text()
        assert not re.search(r"\b(gcc|build-essential|python3-dev|portaudio19-dev)\b", text)
        assert "alsa-utils" in text
        assert re.search(r"pip install .*\.whl\)\[web\]", text), "the page's packages are there"
        assert "bookworm" in text
    container = (ROOT / "container" / "Containerfile").read_text()
    assert "\nUSER edge-detector\n" in container
    volume = re.search(r"(?m)^VOLUME (.+)$", container)
    assert volume is not None
    assert f"STATE_DIRECTORY={volume[1]}" in container


def test_the_container_is_run_with_the_volume_and_the_configuration_that_it_has() -> None:
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", (ROOT / "docs" / "install.md").read_text())
    (block,) = (each for each in blocks if "Containerfile" in each)
    built, run = block.replace("\\\n", "").splitlines()
    text = (ROOT / "container" / "Containerfile").read_text()
    assert (ROOT / built.split()[built.split().index("-f") + 1]).read_text() == text
    volumes = [word.split(":")[1] for word in run.split() if ":" in word]
    command = re.search(r"(?m)^CMD (\[.+\])$", text)
    volume = re.search(r"(?m)^VOLUME (.+)$", text)
    assert command is not None
    assert volume is not None
    assert volumes == [volume[1], json.loads(command[1])[-1]]
    assert json.loads(command[1])[:-1] == ["run", "--config"]


@pytest.mark.parametrize("script", [*ROOT.glob("systemd/*.sh"), *ROOT.glob("container/**/*.sh"), *ROOT.glob("tests/**/*.sh")])
def test_shellcheck_finds_nothing_in(script: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("needs the Debian package shellcheck")
    checked = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
