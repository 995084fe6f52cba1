"""The shipped unit, installed by the shipped installer, under a real systemd. `make test-systemd` runs it, as root."""

import base64
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_detector.demo.soundscape import make_soundscape
from edge_detector.types import Message
from tests.support.broker import Broker, free_port
from tests.support.inbox import Inbox, subscriber
from tests.support.synthetic import RATE_HZ, sound
from tests.support.waiting import wait_until
from tests.system.systemd.conftest import BASE, STATE, UNIT, WATCHDOG_SECONDS, Machine, report

STOP_SECONDS = 5.0
SLOWLY = 60.0
SLOW_MILLISECONDS = 500.0
PASSWORD = "hunter2 with spaces"  # noqa: S105 - of a broker that lives for a second


@contextmanager
def hearing(machine: Machine) -> Iterator[Inbox]:
    """The service, started anew with the configuration as it is, and what it publishes from then on."""
    machine.systemctl("restart")
    with subscriber(machine.broker.host, machine.broker.port) as inbox:
        inbox.wait_for(is_healthy, "healthy source")
        yield inbox


def is_healthy(message: Message) -> bool:
    return message.topic == f"{BASE}/cot/availability" and message.payload == b"online"


def is_offline(messages: Sequence[Message]) -> bool:
    return any(message.topic == f"{BASE}/status" and message.payload == b"offline" for message in messages)


def one_event() -> tuple[str, bytes]:
    """Slug and samples of the soundscape's first event, with quiet after it."""
    soundscape = make_soundscape()
    event = soundscape.events[0]
    samples = np.concatenate([soundscape.samples[event.first_sample : event.end_sample], np.zeros(64_000, np.int16)])
    return event.slug, samples.astype("<i2").tobytes()


def test_installed_means_enabled_running_and_hearing(machine: Machine) -> None:
    machine.configure()
    started = time.monotonic()
    machine.systemctl("restart")
    report("systemctl restart until READY", time.monotonic() - started)
    assert machine.shows("ActiveState") == "active"
    assert machine.shows("UnitFileState") == "enabled"
    assert machine.shows("Result") == "success"
    assert re.search(r"sources?", machine.shows("StatusText"))
    with subscriber(machine.broker.host, machine.broker.port) as inbox:
        inbox.wait_for(is_healthy, "healthy source")


def test_it_runs_as_nobody_in_particular_without_any_privilege(machine: Machine) -> None:
    pid = machine.shows("MainPID")
    status = machine.box.run("cat", f"/proc/{pid}/status").stdout
    assert re.search(r"(?m)^Uid:\t(?!0\t)\d+", status)
    assert re.search(r"(?m)^CapEff:\t0+$", status)
    assert re.search(r"(?m)^NoNewPrivs:\t1$", status)
    assert re.search(r"(?m)^Seccomp:\t2$", status)


def test_the_whole_chain_runs_in_the_sandbox_at_full_speed(machine: Machine) -> None:
    machine.configure()
    slug, pcm = one_event()
    with hearing(machine) as inbox:
        machine.microphone.play(pcm, latency_milliseconds=200)
        inbox.wait_for(lambda item: item.topic.endswith("/event") and b'"event_type":"end"' in item.payload, "end of an event")
        assert slug in {event["slug"] for event in inbox.json("event")}
        assert {0} == {item["lost_samples"] for item in inbox.json("probabilities")}
        latencies_ms = [item["latency_ms"] for item in inbox.json("probabilities")]
    # Without /proc/cpuinfo the networks run 300 times slower, in more than a second.
    assert statistics.median(latencies_ms) < SLOW_MILLISECONDS
    log = machine.box.journal(UNIT, f"_PID={machine.shows('MainPID')}")
    assert "Traceback" not in log
    assert "cpuinfo" not in log


@pytest.mark.parametrize("frozen_broker", [False, True])
def test_stopping_is_clean_and_quick_even_when_the_broker_does_not_answer(machine: Machine, *, frozen_broker: bool) -> None:
    machine.configure()
    with hearing(machine) as inbox:
        if frozen_broker:
            machine.broker.freeze()
        try:
            already = len(inbox.messages)
            started = time.monotonic()
            machine.systemctl("stop")
            took = time.monotonic() - started
        finally:
            machine.broker.thaw()
        report(f"systemctl stop, broker frozen: {frozen_broker}", took)
        assert took < STOP_SECONDS
        assert (machine.shows("Result"), machine.shows("ExecMainStatus")) == ("success", "0")
        wait_until(lambda: is_offline(inbox.messages[already:]), "the farewell or the last will")


def test_without_a_microphone_it_starts_waits_and_hears_once_there_is_one(machine: Machine) -> None:
    machine.configure()
    machine.systemctl("stop")
    with subscriber(machine.broker.host, machine.broker.port) as inbox, unplugged(machine) as plug:
        machine.systemctl("start")
        assert machine.shows("ActiveState") == "active"
        inbox.wait_for_payload(f"{BASE}/status", b"online")
        inbox.wait_for(lambda item: item.topic.endswith("/health") and b"reconnecting" in item.payload, "waiting source")
        restarts, waiting_since = machine.restarts, time.monotonic()
        patience_over = waiting_since + 2.5 * WATCHDOG_SECONDS
        wait_until(lambda: time.monotonic() > patience_over, "the watchdog's patience to be over", deadline_seconds=SLOWLY)
        assert (machine.shows("ActiveState"), machine.restarts) == ("active", restarts), "waiting is no fault"
        plug()
        plugged_at = time.monotonic()
        inbox.wait_for(is_healthy, "healthy source")
        report("plugged in until healthy", time.monotonic() - plugged_at)


@contextmanager
def unplugged(machine: Machine) -> Iterator[Callable[[], None]]:
    """The microphone is out until the function given is called; at the end it is in again in any case."""
    machine.microphone.unplug()
    outside = [True]

    def plug() -> None:
        if outside:
            outside.clear()
            machine.microphone.plug()

    try:
        yield plug
    finally:
        plug()


def test_the_watchdog_ends_a_service_whose_inference_hangs_and_it_hears_again(machine: Machine) -> None:
    machine.configure()
    switch = machine.box.root / "srv/hang/now"
    with hearing(machine) as inbox:
        before = machine.restarts
        began = time.monotonic()
        already = len(inbox.messages)
        switch.touch()
        wait_until(lambda: is_offline(inbox.messages[already:]), "the last will", deadline_seconds=SLOWLY)
        report("inference hangs until killed", time.monotonic() - began)
        switch.unlink()
        wait_until(lambda: machine.restarts > before, "a restart", deadline_seconds=SLOWLY)
    assert re.search("[Ww]atchdog timeout", machine.box.run("journalctl", "--no-pager", f"--unit={UNIT}").stdout)
    with subscriber(machine.broker.host, machine.broker.port) as inbox:
        inbox.wait_for(is_healthy, "healthy source")


def test_a_killed_service_comes_back(machine: Machine) -> None:
    machine.configure()
    with hearing(machine):
        before = machine.restarts
        machine.box.run("systemctl", "kill", "--signal=KILL", UNIT)
        wait_until(lambda: machine.restarts > before and machine.shows("ActiveState") == "active", "a restart")
    with subscriber(machine.broker.host, machine.broker.port) as inbox:
        inbox.wait_for(is_healthy, "healthy source")


def test_a_reload_applies_thresholds_without_a_gap(machine: Machine) -> None:
    slug, pcm = one_event()
    machine.configure()
    with hearing(machine) as inbox:
        pid = machine.shows("MainPID")
        inbox.wait_for(lambda item: item.topic.endswith("/probabilities"), "first window")
        machine.configure(f"[class.{slug}]\non = 0.9999\n")
        machine.systemctl("reload")
        heard = len(inbox.json("probabilities"))
        wait_until(lambda: len(inbox.json("probabilities")) > heard + 1, "windows after the reload")
        machine.microphone.play(pcm, latency_milliseconds=200).wait(SLOWLY)
        heard = len(inbox.json("probabilities"))
        wait_until(lambda: len(inbox.json("probabilities")) > heard + 4, "windows after the sound")
        windows = inbox.json("probabilities")
        assert [item["seq"] for item in windows] == list(range(windows[0]["seq"], windows[-1]["seq"] + 1)), "without a hole"
        assert {item["lost_samples"] for item in windows} == {0}
        assert max(item["probabilities"][slug] for item in windows) > 0.5, "it was heard"
        assert slug not in {event["slug"] for event in inbox.json("event")}, "and not reported"
        assert machine.shows("MainPID") == pid
    since_start = machine.box.journal(UNIT, f"_SYSTEMD_INVOCATION_ID={machine.shows('InvocationID')}")
    (reloaded,) = (line for line in since_start.splitlines() if "the configuration was reloaded" in line)
    assert re.search(rf"applied: {slug} on 0\.\d\d -> (1\.00|0\.9999)", reloaded)
    assert " is valid" not in since_start, "the check before a reload says nothing of a valid file"


def test_a_reload_of_a_broken_configuration_changes_nothing(machine: Machine) -> None:
    machine.configure()
    with hearing(machine) as inbox:
        pid = machine.shows("MainPID")
        machine.configure("[nonsense]\n")
        with pytest.raises(RuntimeError, match="reload"):
            machine.systemctl("reload")
        wait_until(lambda: "nonsense" in machine.box.journal(UNIT), "the complaint")
        since_start = machine.box.journal(UNIT, f"_SYSTEMD_INVOCATION_ID={machine.shows('InvocationID')}")
        assert since_start.count("unknown key 'nonsense'") == 1, "the reason is there once"
        assert "the configuration was reloaded" not in since_start
        heard = len(inbox.json("probabilities"))
        wait_until(lambda: len(inbox.json("probabilities")) > heard + 2, "more windows")
        assert machine.shows("MainPID") == pid
    machine.configure()


def test_a_wrong_configuration_fails_once_and_says_why(machine: Machine) -> None:
    machine.configure("[nonsense]\n")
    machine.box.run("systemctl", "restart", UNIT, check=False)
    wait_until(lambda: machine.shows("ActiveState") == "failed", "failure")
    assert machine.shows("ExecMainStatus") == "2"
    assert "unknown key 'nonsense'" in machine.box.journal(UNIT)
    machine.configure()
    machine.systemctl("start")


def test_a_password_reaches_the_broker_from_a_file_that_only_root_can_read(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("broker")
    machine.box.run("mkdir", "-p", "-m", "0700", "/etc/edge-detector/secrets")
    secret = machine.box.root / "etc/edge-detector/secrets/mqtt-password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    passwords = folder / "passwords"
    machine.box.run("mosquitto_passwd", "-b", "-c", "/root/passwords", "ear", PASSWORD)
    passwords.write_bytes((machine.box.root / "root/passwords").read_bytes())
    try:
        with Broker(f"password_file {passwords}", anonymous=False) as closed:
            mqtt = 'username = "ear"\npassword_file = "/etc/edge-detector/secrets/mqtt-password"'
            machine.configure(port=closed.port, mqtt=mqtt)
            machine.systemctl("restart")
            wait_until(
                lambda: f"connected to the broker {closed.host}:{closed.port}" in machine.box.journal(UNIT), "a connection"
            )
            pid = machine.shows("MainPID")
            shown = machine.box.run("cat", f"/proc/{pid}/cmdline", f"/proc/{pid}/environ").stdout
            assert "hunter2" not in shown + machine.box.journal(UNIT)
            machine.systemctl("stop")
    finally:
        secret.unlink()
        machine.configure()


def test_the_page_is_served_in_the_sandbox_with_a_password_that_only_root_can_read(machine: Machine) -> None:
    secret = machine.box.root / "etc/edge-detector/secrets/web-password"
    machine.box.run("mkdir", "-p", "-m", "0700", "/etc/edge-detector/secrets")
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    port = free_port()
    machine.configure(f'[web]\nlisten = "0.0.0.0:{port}"\npassword_file = "/etc/edge-detector/secrets/web-password"\n')
    name = machine.box.run("hostname").stdout.strip()
    try:
        machine.systemctl("restart")
        wait_until(lambda: f"the page is served at http://0.0.0.0:{port}/" in machine.box.journal(UNIT), "the page")

        def answer(path: str, headers: Mapping[str, str], body: str | None = None) -> tuple[int, str, str | None]:
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("GET" if body is None else "POST", path, body, dict(headers))
                response = connection.getresponse()
                return response.status, response.read().decode(), response.getheader("Set-Cookie")
            finally:
                connection.close()

        at = {"Host": f"{name}.local:{port}"}
        status, page, _ = answer("/", at)
        assert (status, "<title>" in page) == (200, True), "under its name in the local network"
        assert answer("/", {"Host": f"another.local:{port}"})[0] == 421
        assert answer("/api/node", at)[0] == 401
        json_body = {"Content-Type": "application/json", "Origin": f"http://{at['Host']}"}
        assert answer("/api/login", at | json_body, json.dumps({"password": "wrong password"}))[0] == 403
        status, _, cookie = answer("/api/login", at | json_body, json.dumps({"password": PASSWORD}))
        assert status == 204
        assert cookie is not None
        status, node, _ = answer("/api/node", at | {"Cookie": cookie.partition(";")[0]})
        assert (status, json.loads(node)["node"]) == (200, "nursery")
        login = base64.b64encode(f"any:{PASSWORD}".encode()).decode()
        status, metrics, _ = answer("/metrics", at | {"Authorization": f"Basic {login}"})
        assert status == 200
        assert "edge_detector_" in metrics
        said = machine.box.run("edge-detector", "doctor", "--json", "--seconds", "1", check=False).stdout
        assert [json.loads(line)["verdict"] for line in said.splitlines() if json.loads(line)["about"] == "page"] == ["good"]
        assert PASSWORD not in machine.box.journal(UNIT)
    finally:
        secret.unlink()
        machine.configure()


def test_it_teaches_in_the_sandbox_and_switches_the_bundle_without_a_restart_of_the_unit(machine: Machine) -> None:
    sounds = machine.box.root / STATE.lstrip("/") / "sounds"
    port = free_port()
    machine.configure(f'[web]\nlisten = "127.0.0.1:{port}"\n')

    def ask(path: str, content: object = None) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            headers = {} if content is None else {"Content-Type": "application/json"}
            body = None if content is None else json.dumps(content)
            connection.request("GET" if body is None else "POST", path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def is_active(bundle: str) -> bool:
        try:
            status, found = ask("/api/teaching")
        except OSError:
            return False
        return status == 200 and found["bundle"]["active"] == bundle

    try:
        machine.systemctl("restart")
        wait_until(partial(is_active, "configured"), "the page", deadline_seconds=60.0)
        (sounds / "Beep").mkdir(parents=True)
        for take in range(5):
            soundfile.write(sounds / "Beep" / f"{take}.wav", sound("beep", take), RATE_HZ, subtype="PCM_16")
        user = machine.box.run("stat", "--format=%u", STATE).stdout.strip()
        machine.box.run("chown", "--recursive", f"{user}:{user}", f"{STATE}/sounds")
        process, restarts = machine.shows("MainPID"), machine.restarts
        assert ask("/api/teaching/start", {"classes": ["beep"]})[0] == 202
        wait_until(lambda: ask("/api/teaching")[1]["state"] != "running", "the end of the teaching", deadline_seconds=300.0)
        found = ask("/api/teaching")[1]
        assert found["state"] == "done", found["error"]
        for bundle in ("taught", "configured"):
            assert ask("/api/teaching/switch", {"to": bundle})[0] == 202
            wait_until(partial(is_active, bundle), f"the {bundle} bundle", deadline_seconds=60.0)
            # Longer than the watchdog's patience: it is fed again.
            time.sleep(WATCHDOG_SECONDS + 2)
            assert (machine.shows("MainPID"), machine.shows("ActiveState"), machine.restarts) == (process, "active", restarts)
    finally:
        machine.box.run("rm", "--recursive", "--force", f"{STATE}/sounds", f"{STATE}/bundles")
        machine.configure()


def test_the_journal_knows_which_lines_are_warnings(machine: Machine) -> None:
    machine.configure(port=1)
    machine.systemctl("restart")
    wait_until(lambda: "cannot be reached" in machine.box.journal(UNIT, "--priority=warning"), "the warning")
    assert "listening at" not in machine.box.journal(UNIT, "--priority=warning")
    wait_until(lambda: "listening at" in machine.box.journal(UNIT, "--priority=info"), "the news")
    machine.configure()
