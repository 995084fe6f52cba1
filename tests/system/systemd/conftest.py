"""A machine with the service installed by its installer: real systemd, fake microphone, mosquitto."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.systemd_box import SystemdBox, missing_for_a_box

ROOT = Path(__file__).parents[3]
UNIT = "edge-detector.service"
BASE = "edge_detector/nursery"
STATE = "/var/lib/private/edge-detector"
WATCHDOG_SECONDS = 6
_MICROPHONE_IN_BOX = "/srv/microphone"

# The watchdog's patience is 30 s; the tests have less. What it does then is the same.
_DROP_IN = f"""\
[Service]
WatchdogSec={WATCHDOG_SECONDS}
RestartSec=1
Environment=ALSA_CONFIG_PATH={_MICROPHONE_IN_BOX}/box.conf PULSE_SERVER=unix:{_MICROPHONE_IN_BOX}/native PYTHONPATH=/srv/hang
"""
# Python runs this before the program: an inference that never returns, whenever /srv/hang/now is there.
_HANGING = """\
import os, time
from edge_detector.detection import tflite
embed = tflite.TfliteEmbedder.embed
def hanging(self, log_mel):
    while os.path.exists("/srv/hang/now"):
        time.sleep(0.05)
    return embed(self, log_mel)
tflite.TfliteEmbedder.embed = hanging
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """The box, what is plugged into it, and what is on its network."""

    box: SystemdBox
    broker: Broker
    microphone: FakeMicrophone

    def configure(self, extra: str = "", *, port: int | None = None, mqtt: str = "") -> None:
        """Write the configuration; nothing is restarted."""
        text = (
            f'[node]\nname = "nursery"\n[[source]]\nname = "cot"\nhop = 0.48\n'
            f'[mqtt]\nhost = "{self.broker.host}"\nport = {port or self.broker.port}\n{mqtt}\n{extra}'
        )
        folder = self.box.root / "etc/edge-detector"
        folder.mkdir(exist_ok=True)
        (folder / "edge.toml").write_text(text)

    def systemctl(self, verb: str) -> None:
        self.box.run("systemctl", verb, UNIT)

    def shows(self, name: str) -> str:
        return self.box.shows(UNIT, name)

    @property
    def restarts(self) -> int:
        return int(self.shows("NRestarts"))

    def install(self, *arguments: str, check: bool = True) -> str:
        """Run the installer; everything it says."""
        done = self.box.run("/srv/project/systemd/install.sh", *(arguments or ("install",)), check=check)
        return done.stdout + done.stderr


def report(what: str, seconds: float) -> None:
    print(f"\n[figure] {what}: {seconds:.2f} s")  # noqa: T201 - for whoever runs it with -s


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    if not os.environ.get("EDGE_DETECTOR_BOX"):
        pytest.skip("boots a systemd and installs the service into it; run: make test-systemd")
    missing = missing_for_a_box()
    if missing is not None:
        pytest.skip(missing)
    with Broker() as broker, FakeMicrophone() as microphone:
        folder = Path(microphone.environment["ALSA_CONFIG_PATH"]).parent
        folder.chmod(0o755)  # the unit's user is none that exists outside
        asound = (folder / "asound.conf").read_text()
        (folder / "box.conf").write_text(asound.replace(str(folder), _MICROPHONE_IN_BOX))
        with SystemdBox({ROOT: "/srv/project", folder: _MICROPHONE_IN_BOX}) as box:
            installed = Machine(box, broker, microphone)
            installed.configure()
            for path, text in (
                (f"etc/systemd/system/{UNIT}.d/test.conf", _DROP_IN),
                ("srv/hang/sitecustomize.py", _HANGING),
            ):
                file = box.root / path
                file.parent.mkdir(parents=True)
                file.write_text(text)
            installed.install()
            yield installed
