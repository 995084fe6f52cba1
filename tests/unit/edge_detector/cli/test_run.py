"""The service with real parts at both ends: fake microphone, PortAudio, PyAudio, both networks, mosquitto, a subscriber."""

import json
import re
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from edge_detector import __version__
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.classes import resolve_classes
from edge_detector.service.factory import DEFAULT_BUNDLE
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import Inbox, subscriber
from tests.support.nursery import one_event, service
from tests.support.waiting import wait_until

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
BASE = "edge_detector/nursery"
SLUGS = {sound.slug for sound in resolve_classes(load_bundle(DEFAULT_BUNDLE).manifest, {}, class_list=1) if sound.enabled}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_subscriber_sees_the_whole_contract(tmp_path: Path, broker: Broker, microphone: FakeMicrophone, protocol: str) -> None:
    slug, pcm = one_event()
    with (
        subscriber(broker.host, broker.port) as inbox,
        service(tmp_path, broker, microphone, extra=f'protocol = "{protocol}"\n') as process,
    ):
        inbox.wait_for_payload(f"{BASE}/status", b"online")
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        microphone.play(pcm, latency_milliseconds=200)
        inbox.wait_for(
            lambda item: item.topic == f"{BASE}/cot/event" and b'"event_type":"end"' in item.payload, "end of an event"
        )
        inbox.wait_for_payload(f"{BASE}/cot/class/{slug}", b"ON")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, process.stderr.read() if process.stderr else ""
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
        assert_contract(inbox, slug)
        assert_inventory(inbox, tmp_path / "edge.toml")
    with subscriber(broker.host, broker.port) as later:
        later.wait_for_payload(f"{BASE}/status", b"offline")
        later.wait_for_payload(f"{BASE}/cot/availability", b"offline")
        for each in SLUGS:
            later.wait_for_payload(f"{BASE}/cot/class/{each}", b"OFF")
        assert not later.json("event"), "events are not retained"
        assert not later.json("probabilities"), "nor are probabilities"


def assert_contract(inbox: Inbox, slug: str) -> None:
    topics = [item.topic for item in inbox.messages]
    leaves = {"availability", "probabilities", "event", "level", "top_class", "health", "mute"}
    leaves |= {f"{leaf}/{each}" for leaf in ("class", "threshold") for each in SLUGS}
    own = {f"{BASE}/status", f"{BASE}/telemetry"} | {f"{BASE}/cot/{leaf}" for leaf in leaves}
    assert set(topics) == own | {"homeassistant/device/nursery/cot/config"}

    probabilities = inbox.json("probabilities")
    assert all(set(item["probabilities"]) == SLUGS for item in probabilities)
    assert [item["seq"] for item in probabilities] == list(range(len(probabilities)))
    assert all(b["first_sample"] - a["first_sample"] == 7_680 for a, b in pairwise(probabilities))
    assert all(RFC3339.fullmatch(item["time"]) for item in probabilities)
    assert all(isinstance(item["latency_ms"], float) and -120 <= item["level_dbfs"] <= 0 for item in probabilities)

    events = [item for item in inbox.json("event") if item["slug"] == slug]
    assert [item["event_type"] for item in events[:2]] == ["start", "end"]
    start, end = events[:2]
    assert start["id"] == end["id"]
    assert (start["message_id"], end["message_id"]) == (f"{start['id']}/start", f"{start['id']}/end")
    assert (end["end_reason"], end["node"], end["source"], end["clock"]) == ("ended", "nursery", "cot", "system")
    assert end["duration_seconds"] >= 0.975

    states = [item.payload for item in inbox.messages if item.topic == f"{BASE}/cot/class/{slug}"]
    assert states[:3] == [b"OFF", b"ON", b"OFF"]
    health = [item["state"] for item in inbox.json("health")]
    assert health[:2] == ["starting", "healthy"]


def assert_inventory(inbox: Inbox, config: Path) -> None:
    files = (DEFAULT_BUNDLE / "manifest.json", config)
    printed = subprocess.run(["sha256sum", *files], check=True, capture_output=True, text=True).stdout.split()
    told = inbox.json("telemetry")[-1]
    assert (told["version"], told["restart_needed"]) == (__version__, False)
    assert [told["bundle_sha256"], told["configuration_sha256"]] == printed[::2]


def test_a_killed_service_leaves_its_last_will(tmp_path: Path, broker: Broker, microphone: FakeMicrophone) -> None:
    with subscriber(broker.host, broker.port) as inbox, service(tmp_path, broker, microphone) as process:
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        process.kill()
        inbox.wait_for_payload(f"{BASE}/status", b"offline")


def test_a_microphone_that_vanishes_is_announced_and_heard_again_when_it_is_back(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    with subscriber(broker.host, broker.port) as inbox, service(tmp_path, broker, microphone) as process:
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        microphone.unplug()
        inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/health" and b"reconnecting" in item.payload, "health reconnecting")
        wait_until(lambda: states_of(inbox)[-1] == b"offline", "unavailability")
        microphone.plug()
        wait_until(lambda: states_of(inbox)[-1] == b"online", "availability")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    health = [item["state"] for item in inbox.json("health")]
    assert health[:2] == ["starting", "healthy"]
    assert "reconnecting" in health[2:-1]
    assert health[-1] == "healthy"


def states_of(inbox: Inbox) -> list[bytes]:
    return [item.payload for item in inbox.messages if item.topic == f"{BASE}/cot/availability"]


def test_without_a_microphone_the_service_starts_says_so_and_waits_for_one(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    microphone.crash()
    with subscriber(broker.host, broker.port) as inbox, service(tmp_path, broker, microphone) as process:
        inbox.wait_for_payload(f"{BASE}/status", b"online")
        inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/health" and b"reconnecting" in item.payload, "health reconnecting")
        microphone.start()
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_an_event_that_a_crash_interrupted_is_ended_by_the_next_run(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    slug, pcm = one_event()
    state = str(tmp_path / "state")
    with subscriber(broker.host, broker.port) as inbox:
        with service(tmp_path, broker, microphone, state=state) as process:
            inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
            microphone.play(pcm, latency_milliseconds=200)
            started = inbox.wait_for(lambda item: b'"event_type":"start"' in item.payload, "start of an event")
            process.kill()
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
        seen = len(inbox.messages)
        with service(tmp_path, broker, microphone, state=state) as process:
            ended = inbox.wait_for(lambda item: b'"end_reason":"interrupted"' in item.payload, "interrupted end")
            assert json.loads(ended.payload)["id"] == json.loads(started.payload)["id"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        news = [(item.topic, item.payload) for item in inbox.messages[seen:]]
        for leaf, put_right in ((f"class/{slug}", b"OFF"), ("top_class", b"none"), ("availability", b"offline")):
            assert (f"{BASE}/cot/{leaf}", put_right) in news[: news.index((f"{BASE}/status", b"online"))]


def test_a_node_that_is_back_before_the_broker_missed_it_is_online(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    topic, state = f"{BASE}/status", str(tmp_path / "state")
    with (
        subscriber(broker.host, broker.port) as inbox,
        service(tmp_path, broker, microphone, state=f"{state}-of-a-day") as before,
    ):
        inbox.wait_for_payload(topic, b"online")
        # Power fails: nothing more comes from this process, and no farewell. The machine comes back with the same state.
        before.send_signal(signal.SIGSTOP)
        with service(tmp_path, broker, microphone, state=f"{state}-of-a-day", extra=OUTBOX_ELSEWHERE.format(tmp_path)):
            wait_until(lambda: len(statuses(inbox, topic)) == 3, "the last will of the one, and the greeting of the other")
            assert statuses(inbox, topic) == [b"online", b"offline", b"online"]


OUTBOX_ELSEWHERE = '[outbox]\npath = "{}/after.sqlite"\n'
"""The process without power still holds its own."""


def statuses(inbox: Inbox, topic: str) -> list[bytes]:
    return [item.payload for item in inbox.messages if item.topic == topic]


def test_systemd_is_told_when_the_service_is_ready_and_that_it_is_alive(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(30)
        with service(tmp_path, broker, microphone, notify=str(address), state=str(tmp_path / "state")) as process:
            first = systemd.recv(4_096).decode()
            assert first.splitlines()[0] == "READY=1"
            assert "STATUS=" in first
            assert systemd.recv(4_096) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            while systemd.recv(4_096) != b"STOPPING=1":
                pass
            assert process.wait(10) == 0


def test_home_assistant_forgets_the_device_once_it_is_switched_off(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    state, topic = str(tmp_path / "state"), "homeassistant/device/nursery/cot/config"
    for extra in ("", "[home_assistant]\nenabled = false\n"):
        with subscriber(broker.host, broker.port) as inbox:
            with service(tmp_path, broker, microphone, state=state, extra=extra) as process:
                inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            payloads = [item.payload for item in inbox.messages if item.topic == topic]
            assert bool(payloads[-1]) == (not extra), "at last there is a device, or none"


REPLACED = """
import os, signal, threading
from edge_detector.cli import run
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
os.execv = lambda *_: print("replaced") or os.kill(os.getpid(), signal.SIGTERM)
{before}
run._start_again(stop)
"""


@pytest.mark.parametrize(("before", "code", "printed"), [("stop.set()", 0, ""), ("", -signal.SIGTERM, "replaced")])
def test_a_stop_is_not_lost_while_the_program_is_replaced(before: str, code: int, printed: str) -> None:
    command = [sys.executable, "-u", "-c", REPLACED.format(before=before)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60.0, check=False)
    assert (done.returncode, done.stdout.strip()) == (code, printed)
