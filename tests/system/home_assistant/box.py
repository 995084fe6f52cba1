"""Home Assistant in its box: a Debian root folder that make_box.sh has filled. Needs root, for chroot."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_detector.types import Message
from tests.support.broker import Broker, free_port

PROGRAMS = Path(__file__).parent / "inside"
ROOT_VARIABLE = "HOME_ASSISTANT_ROOT"
DEADLINE_SECONDS = 60.0


def box_root() -> Path | None:
    """The box, if there is one: `make home-assistant` makes it and names it in the environment."""
    folder = os.environ.get(ROOT_VARIABLE)
    return Path(folder) if folder else None


def _command(root: Path, program: str, *arguments: str) -> list[str]:
    inside = root / "programs"
    shutil.rmtree(inside, ignore_errors=True)
    shutil.copytree(PROGRAMS, inside, ignore=shutil.ignore_patterns("__pycache__"))
    return ["chroot", str(root), "/v/bin/python", f"/programs/{program}", *arguments]


def judge(root: Path, messages: Sequence[Message]) -> dict[str, Any]:
    """What Home Assistant's schemas say of discovery messages: "version", "problems", "rules"."""
    lines = "".join(json.dumps({"topic": item.topic, "payload": item.payload.decode()}) + "\n" for item in messages)
    result = subprocess.run(_command(root, "schema.py"), input=lines, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    verdict = json.loads(result.stdout)
    assert isinstance(verdict, dict)
    return verdict


class HomeAssistant:
    """A running Home Assistant: what its entities say, and services to call."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._ready = False
        self.states: dict[str, str] = {}
        self.attributes: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, str | None]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            change = json.loads(line)
            with self._changed:
                self._ready = self._ready or "ready" in change
                if "entity" in change:
                    self._note(change["entity"], change["state"], change["attributes"])
                self._changed.notify_all()

    def _note(self, entity: str, state: str | None, attributes: dict[str, Any]) -> None:
        self.history.append((entity, state))
        self.attributes[entity] = attributes
        if state is None:
            self.states.pop(entity, None)
        else:
            self.states[entity] = state

    def order(self, **order: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def call(self, service: str, **data: object) -> None:
        domain, _, name = service.partition(".")
        self.order(call=[domain, name, data])

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        with self._changed:
            arrived = self._changed.wait_for(holds, DEADLINE_SECONDS)
        assert arrived, f"Home Assistant never showed {what}; it shows {self.states}"

    def wait_for(self, **states: str) -> None:
        """Wait until entities, their dots written as two underscores, are in these states."""
        wanted = {entity.replace("__", ".", 1): state for entity, state in states.items()}
        self.wait_until(lambda: wanted.items() <= self.states.items(), str(wanted))

    def wait_until_ready(self) -> None:
        self.wait_until(lambda: self._ready, "that it is ready")


@contextmanager
def home_assistant(root: Path, broker: Broker) -> Iterator[HomeAssistant]:
    """Home Assistant with nothing but this broker; whatever it logs as a warning or worse fails the test at the end."""
    folder = Path(tempfile.mkdtemp(prefix="config-", dir=root))
    complaints = Path(tempfile.mkstemp(prefix="home-assistant-", suffix=".log")[1])
    command = _command(root, "core.py", f"/{folder.name}", broker.host, str(broker.port), str(free_port()))
    with (
        complaints.open("w") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            running = HomeAssistant(process)
            running.wait_until_ready()
            yield running
            running.order(stop=True)
            process.wait(DEADLINE_SECONDS)
        finally:
            process.kill()
    text = complaints.read_text()
    complaints.unlink()
    shutil.rmtree(folder)
    lines = [line for line in text.splitlines() if "zlib" not in line and "MQTT_CS_DISCONNECTED" not in line]
    assert lines == [], text
