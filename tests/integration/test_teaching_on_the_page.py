"""Teaching from reviewed clips on the page, the switch to what was taught, and back: with the real service and a broker."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from edge_detector.service.factory import DEFAULT_BUNDLE
from tests.support.broker import Broker
from tests.support.disks import fill, small_disk
from tests.support.fake_microphone import FakeMicrophone
from tests.support.hostile_bundle import signed_bundle
from tests.support.inbox import Inbox, subscriber
from tests.support.page_service import PageService
from tests.support.reviewed import review
from tests.support.waiting import wait_until

SLUG, LABEL = "garden_rooster", "Garden rooster"
TEACH_SECONDS = 240.0
ON = 0.77
"""Above the threshold that teaching chooses, so that an event of the new class needs no help."""
ROOT = Path(__file__).parents[2]
NAME = "taught-20261129T160512Z"
SIGNALLED = """
import os
execv = os.execv
def signalled(*arguments):
    os.kill(os.getpid(), {})
    execv(*arguments)
os.execv = signalled
"""
GONE = """
import os
execv = os.execv
os.execv = lambda path, arguments: execv("/nowhere" + path, arguments)
"""


def sounds(data: Path) -> list[Path]:
    """Ten recordings to teach, and an eleventh of another animal, as far as the names tell."""
    return sorted((data / "esc10" / "rooster").iterdir())[:11]


def configuration(broker: Broker, source: str = "", node: str = "nursery") -> str:
    mqtt = f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n'
    return f'[node]\nname = "{node}"\n[[source]]\nname = "cot"\n{source}{mqtt}'


@dataclass(frozen=True, slots=True)
class Page:
    """The service, and what its page answers."""

    service: PageService
    state: Path

    def get(self, path: str) -> dict[str, Any]:
        status, text = self.service.ask("GET", path)
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def post(self, path: str, content: object, expected: int = 200) -> dict[str, Any]:
        status, text = self.service.ask("POST", path, content)
        assert status == expected, text
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def teaching(self) -> dict[str, Any]:
        return self.get("/api/teaching")

    def start(self) -> None:
        self.post("/api/teaching/start", {"classes": [SLUG]}, 202)

    def wait_for_child(self) -> int:
        wait_until(lambda: self.teaching["done"] > 0, "the teaching to have begun", deadline_seconds=60.0)
        (child,) = children(self.service.process.pid)
        return child

    def wait_for_state(self, state: str) -> dict[str, Any]:
        wait_until(lambda: self.teaching["state"] == state, f"teaching to be {state}", deadline_seconds=TEACH_SECONDS)
        return self.teaching

    def switch(self, bundle: str) -> None:
        assert self.post("/api/teaching/switch", {"to": bundle}, 202) == {"restarting": True}
        wait_until(lambda: self.active == bundle, f"the {bundle} bundle", deadline_seconds=60.0)
        wait_until(self.is_healthy, "the microphone", deadline_seconds=60.0)

    def is_healthy(self) -> bool:
        status, text = self.service.ask("GET", "/api/node")
        return status == 200 and "healthy" in text

    @property
    def active(self) -> str | None:
        try:
            active: str = self.teaching["bundle"]["active"]
        except (OSError, AssertionError):  # it starts again
            return None
        return active

    def threshold(self, slug: str) -> float | None:
        (source,) = self.get("/api/node")["sources"]
        return next((each["on"] for each in source["classes"] if each["slug"] == slug), None)


def children(process: int) -> list[int]:
    """The children of a process that teach."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = ((folder / name).read_text() for name in ("status", "cmdline"))
        except OSError:
            continue
        if f"PPid:\t{process}\n" in status and "teaching.child" in command:
            found.append(int(folder.name))
    return found


def is_alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def page(tmp_path: Path, data: Path, broker: Broker, microphone: FakeMicrophone) -> Iterator[Page]:
    state = tmp_path / "state"
    review(state / "sounds" / LABEL, sounds(data)[:10], "rooster")
    with PageService(configuration(broker), microphone.environment, state=state) as service:
        yield Page(service, state)


def probabilities(broker: Broker, state: Path, recording: Path, folder: Path) -> list[dict[str, Any]]:
    """What the service publishes for a recording, with the bundle that was chosen."""
    config = folder / "file.toml"
    config.write_text(configuration(broker, f'kind = "file"\ndevice = "{recording}"\n', "copy"))
    environment = {**os.environ, "STATE_DIRECTORY": str(state), "NOTIFY_SOCKET": ""}
    with subscriber(broker.host, broker.port, topics="edge_detector/copy/#") as inbox:
        command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120.0)
        inbox.wait_for_payload("edge_detector/copy/status", b"offline")
        found = [each["probabilities"] for each in inbox.json("probabilities")]
    assert found
    return found


def played(recording: Path) -> bytes:
    samples, rate_hz = soundfile.read(recording, dtype="float32")
    at_16_khz = soxr.resample(samples, rate_hz, 16_000)
    return np.concatenate([32_767 * np.clip(at_16_khz, -1.0, 1.0), np.zeros(48_000)]).astype("<i2").tobytes()


def has_event(inbox: Inbox, slug: str) -> bool:
    return any(each["slug"] == slug and each["event_type"] == "start" for each in inbox.json("cot/event"))


def test_ten_reviews_give_an_event_for_an_eleventh_recording_and_switching_back_restores_every_bit(
    page: Page, tmp_path: Path, data: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    eleventh, copy = sounds(data)[10], tmp_path / "copy"
    copy.mkdir()
    before = probabilities(broker, copy, eleventh, tmp_path)
    (label,) = page.teaching["labels"]
    assert label == {"slug": SLUG, "label": LABEL, "recordings": 10, "originals": 10, "not": 0, "in_bundle": False}
    page.post("/api/threshold", {"source": "cot", "class": "rain", "on": ON})
    page.start()
    assert page.post("/api/teaching/start", {"classes": [SLUG]}, 409)["error"].startswith("teaching is under way")
    page.wait_for_child()
    assert page.post("/api/teaching/switch", {"to": "configured"}, 409)["error"].startswith("teaching is under way")
    done = page.wait_for_state("done")
    taught = done["bundle"]["taught"]
    (figures,) = taught["report"]["classes"]
    assert (figures["slug"], figures["recordings"], taught["report"]["protocol"] != "") == (SLUG, 10, True)
    assert done["bundle"]["active"] == "configured"

    process = page.service.process.pid
    files = len(list(Path(f"/proc/{process}/fd").iterdir()))
    page.switch("taught")
    page.service.check_alive()
    assert page.get("/api/node")["bundle"].startswith(taught["name"])
    assert page.threshold("rain") == ON
    page.post("/api/threshold", {"source": "cot", "class": SLUG, "on": ON})
    with subscriber(broker.host, broker.port) as inbox:
        microphone.play(played(eleventh), latency_milliseconds=200)
        wait_until(lambda: has_event(inbox, SLUG), "an event of the new class")
    shutil.copytree(page.state / "bundles", copy / "bundles")
    meanwhile = probabilities(broker, copy, eleventh, tmp_path)
    assert all(SLUG in each for each in meanwhile)
    assert [{slug: each[slug] for slug in first} for each, first in zip(meanwhile, before, strict=True)] == before

    page.switch("configured")
    assert (page.threshold("rain"), page.threshold(SLUG)) == (ON, None)
    assert not (page.state / "bundles" / "choice.json").exists()
    (copy / "bundles" / "choice.json").unlink()
    assert probabilities(broker, copy, eleventh, tmp_path) == before
    page.switch("taught")
    assert (page.threshold("rain"), page.threshold(SLUG)) == (ON, ON)
    assert page.service.process.poll() is None
    assert len(list(Path(f"/proc/{process}/fd").iterdir())) <= files + 2


def test_a_child_that_is_killed_and_one_that_is_cancelled_leave_nothing(page: Page) -> None:
    page.start()
    os.kill(page.wait_for_child(), 9)
    failed = page.wait_for_state("failed")
    assert "ended by signal 9; the machine may have too little memory" in failed["error"]
    page.start()
    child = page.wait_for_child()
    assert page.post("/api/teaching/cancel", {}) == {"cancelled": True}
    assert page.wait_for_state("idle")["bundle"]["taught"] is None
    assert not is_alive(child)
    assert page.post("/api/teaching/cancel", {}) == {"cancelled": False}
    assert page.post("/api/teaching/switch", {"to": "taught"}, 409)["error"] == "there is no taught bundle; teach first"


@pytest.mark.parametrize("crash", [False, True])
def test_the_child_ends_with_the_service(page: Page, *, crash: bool) -> None:
    page.start()
    child = page.wait_for_child()
    if crash:
        page.service.kill()
    else:
        assert page.service.stop() == 0
    wait_until(lambda: not is_alive(child), "the end of the child")
    assert not list(page.state.glob("bundles/taught-*"))


def test_a_damaged_taught_bundle_is_a_trouble_and_the_configured_one_is_used(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    bundle = tmp_path / "bundles" / "taught-20261129T160512Z"
    bundle.mkdir(parents=True)
    for file in DEFAULT_BUNDLE.iterdir():
        (bundle / file.name).write_bytes(file.read_bytes()[: -1 if file.suffix == ".tflite" else None])
    (tmp_path / "bundles" / "choice.json").write_text(json.dumps({"bundle": bundle.name}))
    with PageService(configuration(broker), microphone.environment, state=tmp_path) as service:
        page = Page(service, tmp_path)
        wait_until(lambda: page.get("/api/node")["troubles"] != [], "a trouble")
        (trouble,) = page.get("/api/node")["troubles"]
        assert trouble.startswith("the taught bundle is not in use (")
        assert page.get("/api/node")["bundle"].startswith("default ")
        refused = page.post("/api/teaching/switch", {"to": "taught"}, 409)
        assert "is not the file its manifest describes" in refused["error"]


@contextmanager
def with_taught_bundle(folder: Path, broker: Broker, microphone: FakeMicrophone, *, at_start: str = "") -> Iterator[Page]:
    """The service with a taught bundle that is not in use; each Python that it starts runs `at_start` first."""
    (folder / "sitecustomize.py").write_text(at_start)
    signed_bundle(folder / "bundles" / NAME, change=lambda manifest: manifest.update(name=NAME))
    environment = {**microphone.environment, "PYTHONPATH": f"{folder}:{ROOT}"}
    with PageService(configuration(broker), environment, state=folder) as service:
        page = Page(service, folder)
        wait_until(page.is_healthy, "the microphone", deadline_seconds=60.0)
        yield page


def test_switches_one_after_another_with_a_browser_that_looks_keep_no_file_thread_or_child(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    with with_taught_bundle(tmp_path, broker, microphone) as page:
        process = Path(f"/proc/{page.service.process.pid}")
        files, threads = (len(list((process / kind).iterdir())) for kind in ("fd", "task"))
        for bundle in ("taught", "configured") * 2:
            with page.service.stream():
                page.switch(bundle)
        page.switch("taught")
        assert page.get("/api/node")["bundle"].startswith(NAME)
        assert page.get("/api/node")["troubles"] == []
        assert len(list((process / "fd").iterdir())) <= files + 4
        assert len(list((process / "task").iterdir())) <= threads + 2
        assert page.service.process.poll() is None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_just_before_the_new_program_ends_the_service_or_is_no_matter(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone, how: signal.Signals
) -> None:
    with with_taught_bundle(tmp_path, broker, microphone, at_start=SIGNALLED.format(int(how))) as page:
        page.post("/api/teaching/switch", {"to": "taught"}, 202)
        if how == signal.SIGHUP:
            wait_until(lambda: page.active == "taught", "the taught bundle", deadline_seconds=60.0)
            return
        assert page.service.process.wait(60.0) == -how
        (tmp_path / "sitecustomize.py").unlink()
        page.service.start()
        assert page.active == "taught"


def test_a_program_that_cannot_be_started_again_ends_with_a_sentence_and_the_next_start_has_the_chosen_bundle(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    with with_taught_bundle(tmp_path, broker, microphone, at_start=GONE) as page:
        page.post("/api/teaching/switch", {"to": "taught"}, 202)
        assert page.service.process.wait(60.0) == 1, "systemd starts it again after 1"
        assert f"{sys.executable} cannot be started again (No such file or directory); start the service" in page.service.log
        assert "Traceback" not in page.service.log
        (tmp_path / "sitecustomize.py").unlink()
        page.service.start()
        assert page.active == "taught"


def test_a_configuration_or_a_secret_that_was_broken_since_refuses_the_switch_while_detection_goes_on(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    with with_taught_bundle(tmp_path, broker, microphone) as page:
        file = page.service.folder / "edge.toml"
        whole = file.read_text()
        for broken in ("[", whole + "unknown = 1\n", whole + 'password_file = "/nowhere"\n', with_secret(whole, "/nowhere")):
            file.write_text(broken)
            for bundle in ("taught", "configured"):
                refused = page.post("/api/teaching/switch", {"to": bundle}, 409)
                assert refused["error"].startswith("the other bundle cannot be used: ")
        file.write_text(whole)
        wait_until(page.is_healthy, "the microphone")
        page.switch("taught")


def with_secret(configuration: str, file: str) -> str:
    return configuration.replace("[mqtt]\n", f'[mqtt]\nusername = "cot"\npassword_file = "{file}"\n')


def test_a_disk_that_is_full_fails_the_teaching_with_a_sentence_and_leaves_nothing(page: Page) -> None:
    place = page.state / "bundles"
    with small_disk(place):
        ballast = fill(place)
        page.start()
        failed = page.wait_for_state("failed")
        assert "cannot be written: No space left on device" in failed["error"]
        assert list(place.iterdir()) == [ballast]
