"""The page as the whole service serves it, with a microphone, a broker and a browser's requests."""

import csv
import io
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_detector.history.store import FILE_NAME
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from tests.support.attacked_service import Attacked, TimedInbox, require_unharmed
from tests.support.broker import Broker, free_port
from tests.support.disks import fill, small_disk
from tests.support.fake_microphone import FakeMicrophone
from tests.support.history import fill as fill_history
from tests.support.history import open_store
from tests.support.inbox import subscriber
from tests.support.nursery import service, short_event
from tests.support.page_client import Live, PageClient, basic
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
BASE = "edge_detector/nursery"
PASSWORD = "correct horse"  # noqa: S105 - of tests alone
URL = "https://sounds.example.org"
MOST_DELAY_SECONDS = 1.0
MOST_LINES = 40
EAGER_HISTORY = """
from edge_detector.history import recorder
recorder.RETRY_SECONDS = 0.5
recorder.Recorder.__init__.__kwdefaults__["batch_seconds"] = 0.2
"""
SHORT_RETRY = "from edge_detector.web.server import PageServer\nPageServer.__init__.__kwdefaults__['retry_seconds'] = 0.1\n"
WITHOUT = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == {!r} else find_spec(name, *more)
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A service with a page, and what its broker delivers."""

    state: Path
    broker: Broker
    microphone: FakeMicrophone
    inbox: TimedInbox
    page: PageClient
    process: Popen[str]

    def play_event(self) -> str:
        """Play a sound; its class."""
        slug, pcm = short_event()
        self.microphone.play(pcm, latency_milliseconds=200)
        return slug

    @property
    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.get("/api/health")
        return found


def web(port: int, folder: Path | None = None, *, commands: bool = True, more: str = "") -> str:
    """The configuration after the broker's address; with a folder the page has a password and a public URL."""
    password = ""
    if folder is not None:
        file = folder / "password"
        file.write_text(f"{PASSWORD}\n")
        file.chmod(0o600)
        password = f'password_file = "{file}"\nurl = "{URL}"\n'
    return f'commands = {str(commands).lower()}\n{more}[web]\nlisten = "127.0.0.1:{port}"\n{password}'


def stop(process: Popen[str]) -> str:
    """End it in good order; its log."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert process.stderr is not None
    said = process.stderr.read()
    assert "Traceback" not in said
    assert "ERROR" not in said
    return said


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One service for all tests that leave it as it was."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("node")
        at_start(folder, monkeypatch, EAGER_HISTORY)
        yield from running_node(folder)


def works(health: dict[str, Any]) -> bool:
    """Whether the page shows the source as healthy and the broker as connected."""
    return health["broker_error"] is None and all(source["state"] == "healthy" for source in health["sources"])


def running_node(folder: Path) -> Iterator[Node]:
    port, inbox = free_port(), TimedInbox()
    state = folder / "state"
    with (
        Broker() as broker,
        FakeMicrophone() as microphone,
        subscription(Address(broker.host, broker.port, "test-page"), "#", inbox.receive),
        service(folder, broker, microphone, state=str(state), extra=web(port, folder)) as process,
    ):
        page = PageClient(port, basic(PASSWORD)).wait()
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        # The page shows the state of the node once a second.
        page.wait_for("/api/health", works, "the page to show that the service works")
        yield Node(state, broker, microphone, inbox, page, process)
        stop(process)


def test_an_event_is_on_the_page_as_soon_as_it_is_published_and_then_in_its_history(node: Node) -> None:
    with Live(node.page) as live:
        slug = node.play_event()
        live.wait_for("event", lambda event: event["event_type"] == "end", "the end of an event")
        ended = node.inbox.wait_for(lambda item: b'"event_type":"end"' in item.payload, "its end over MQTT")
        assert live.of("event") == node.inbox.json("cot/event")
        require_no_delay(node.inbox, live)
        assert [each["slug"] for each in live.of("event")] == [slug, slug]
        assert {each["source"] for each in live.of("frames")} == {each["source"] for each in live.of("hop")} == {"cot"}
    with Live(node.page) as later:
        assert later.wait_for("recent", lambda _: True, "what came before").data == {"events": live.of("event")}
    payload = json.loads(ended.payload)
    node.page.wait_for("/api/events", lambda page: [each["end"] for each in page["events"]] == [payload["end"]], "the history")
    assert node.page.get(f"/api/events?id={payload['id']}")["events"][0]["id"] == payload["id"]
    command = [sys.executable, "-m", "edge_detector", "events", "--csv", "--database", str(node.state / FILE_NAME)]
    shown = subprocess.run(command, capture_output=True, check=True)
    assert node.page.ask("GET", "/api/events?format=csv").body == shown.stdout
    assert len(list(csv.DictReader(io.StringIO(shown.stdout.decode())))) == 1


def require_no_delay(inbox: TimedInbox, live: Live) -> None:
    """Require that each event came to the browser when it came over MQTT."""
    published = {
        json.loads(item.payload)["message_id"]: at_seconds
        for item, at_seconds in zip(inbox.messages, inbox.at_seconds, strict=False)
        if item.topic == f"{BASE}/cot/event"
    }
    seen = {each.data["message_id"]: each.at_seconds for each in live.received if each.name == "event"}
    assert seen.keys() == published.keys()
    assert all(at_seconds - published[identity] < MOST_DELAY_SECONDS for identity, at_seconds in seen.items())


def test_home_assistant_gets_the_address_of_the_page(node: Node) -> None:
    topic = "homeassistant/device/nursery/cot/config"
    message = node.inbox.wait_for(lambda item: item.topic == topic, "the discovery")
    assert json.loads(message.payload)["dev"]["cu"] == URL


def test_without_the_password_only_the_page_itself_is_served(node: Node) -> None:
    stranger = PageClient(node.page.port, {})
    assert stranger.ask("GET", "/").status == 200
    assert stranger.ask("GET", "/static/app.js").status == 200
    for path in ("/api/node", "/api/live", "/api/events", "/api/kinds", "/api/hours", "/api/health", "/api/classes", "/metrics"):
        assert stranger.ask("GET", path).status == 401
    assert stranger.post("/api/mute", {"source": "cot", "muted": True}).status == 401
    assert PageClient(node.page.port, basic("a guess, and no good one")).ask("GET", "/api/node").status == 401


def test_a_login_opens_everything_by_its_cookie(node: Node) -> None:
    stranger = PageClient(node.page.port, {})
    assert stranger.get("/api/session") == {"password_needed": True, "signed_in": False}
    assert stranger.post("/api/login", {"password": "a guess, and no good one"}).status == 403
    answer = stranger.post("/api/login", {"password": PASSWORD})
    assert answer.status == 204
    user = PageClient(node.page.port, {"Cookie": answer.headers["set-cookie"].partition(";")[0]})
    assert user.get("/api/session")["signed_in"]
    assert user.get("/api/node")["node"] == "nursery"


def test_prometheus_reads_the_metrics(node: Node) -> None:
    answer = node.page.ask("GET", "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    assert [sample.value for sample in families["edge_detector_source_up"].samples] == [1.0]
    assert [sample.value for sample in families["edge_detector_broker_connected"].samples] == [1.0]
    assert families["edge_detector_source_heard_samples"].samples[0].value > 0.0


def test_a_threshold_set_over_mqtt_is_on_the_page_at_once(node: Node) -> None:
    with Live(node.page) as live:
        node.broker.publish(f"{BASE}/cot/threshold/rooster/set", "0.37")
        live.wait_for("node", lambda view: on(view, "rooster") == 0.37, "the threshold")
        assert node.page.threshold("rooster") == 0.37


def on(view: dict[str, Any], slug: str) -> float:
    (source,) = view["sources"]
    return next(float(each["on"]) for each in source["classes"] if each["slug"] == slug)


def test_a_head_of_the_live_stream_ends_and_counts_as_no_browser(node: Node) -> None:
    answer = node.page.ask("HEAD", "/api/live")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert node.health["page"]["browsers"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"source":"\\ud800","class":"rain","on":0.5}',
        b'{"source":"cot","class":"rain\\n/set","on":0.5}',
        b'{"source":"cot/mute/set#","class":"rain","on":0.5}',
        b'{"source":"cot","class":"rain","on":1e400}',
        b'{"source":"cot","class":"rain","on":' + b"9" * 4_000 + b"}",
        b'{"source":"cot","class":"rain","on":NaN}',
        b'{"source":"cot","class":"rain","on":true}',
        b'{"source":"cot","class":"rain","on":"0.5"}',
        b'{"source":["cot"],"class":{},"on":0.5}',
        b"[" * 4_000,
        b"\xff\xfe",
        b"null",
        b"",
    ],
)
def test_a_body_of_odd_values_is_refused_in_one_sentence(node: Node, body: bytes) -> None:
    answer = node.page.ask("POST", "/api/threshold", {"Content-Type": "application/json"}, body)
    assert answer.status == 400
    assert answer.error.isprintable()


def test_a_threshold_and_a_mute_set_on_the_page_are_published_kept_and_taken_back(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    port, state = free_port(), str(tmp_path / "state")
    page = PageClient(port, {})
    with subscriber(broker.host, broker.port) as inbox:
        # With commands = false MQTT sets nothing, and the page does.
        with service(tmp_path, broker, microphone, state=state, extra=web(port, commands=False)) as process:
            default = page.wait().threshold("rain")
            assert require_ok(page, "/api/threshold", {"source": "cot", "class": "rain", "on": 0.83})["on"] == 0.83
            assert require_ok(page, "/api/mute", {"source": "cot", "muted": True})["muted"] is True
            inbox.wait_for_payload(f"{BASE}/cot/threshold/rain", b"0.83")
            inbox.wait_for_payload(f"{BASE}/cot/mute", b"ON")
            assert (page.threshold("rain"), muted(page)) == (0.83, True)
            broker.publish(f"{BASE}/cot/threshold/rain/set", "0.21")
            broker.publish(f"{BASE}/cot/mute/set", "OFF")
            # A command that did arrive would be in force before this one of the page is answered.
            inbox.wait_for_payload(f"{BASE}/cot/mute/set", b"OFF")
            require_ok(page, "/api/threshold", {"source": "cot", "class": "rooster", "on": 0.5})
            assert (page.threshold("rain"), muted(page)) == (0.83, True)
            stop(process)
        with subscriber(broker.host, broker.port, topics=f"{BASE}/#") as later:
            later.wait_for_payload(f"{BASE}/cot/threshold/rain", b"0.83")
            later.wait_for_payload(f"{BASE}/cot/mute", b"ON")
        with service(tmp_path, broker, microphone, state=state, extra=web(port, commands=False)) as process:
            page.wait()
            assert (page.threshold("rain"), muted(page)) == (0.83, True)
            assert require_ok(page, "/api/threshold", {"source": "cot", "class": "rain", "on": None})["on"] == default
            assert require_ok(page, "/api/mute", {"source": "cot", "muted": None})["muted"] is False
            assert (page.threshold("rain"), muted(page)) == (default, False)
            stop(process)


def require_ok(page: PageClient, path: str, content: object) -> dict[str, Any]:
    answer = page.post(path, content)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def muted(page: PageClient) -> bool:
    (source,) = page.get("/api/node")["sources"]
    return bool(source["muted"])


def test_a_reload_that_enables_a_class_shows_it_in_an_open_browser(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    port = free_port()
    label = 'Kettle "🫖" <b>&\\\\'
    disabled = f"[class.kettle]\naudioset = [\"Boiling\"]\nlabel = '{label}'\nenabled = false\n"
    with service(tmp_path, broker, microphone, extra=web(port) + disabled) as process:
        page = PageClient(port, {}).wait()
        with Live(page) as live:
            live.wait_for("hop", lambda hop: "kettle" not in hop["probabilities"], "a hop without the class")
            config = tmp_path / "edge.toml"
            config.write_text(config.read_text().replace("enabled = false", "enabled = true"))
            process.send_signal(signal.SIGHUP)
            view = live.wait_for("node", lambda view: "kettle" in labels(view), "the class").data
            assert labels(view)["kettle"] == label
            live.wait_for("hop", lambda hop: "kettle" in hop["probabilities"], "its probability")
            microphone.unplug()
            live.wait_for("node", lambda view: view["sources"][0]["state"] == "reconnecting", "the state of the microphone")
            families = text_string_to_metric_families(page.ask("GET", "/metrics").body.decode())
            assert {"class": "kettle", "source": "cot"} in [sample.labels for family in families for sample in family.samples]
        with Live(page), Live(page), Live(page):
            stop(process)


def labels(view: dict[str, Any]) -> dict[str, str]:
    return {each["slug"]: each["label"] for source in view["sources"] for each in source["classes"]}


def test_a_stop_with_open_streams_takes_no_longer_and_logs_nothing(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    port = free_port()
    with service(tmp_path, broker, microphone, state=str(tmp_path / "state"), extra=web(port)) as process:
        page = PageClient(port, {}).wait()
        with Live(page) as one, Live(page) as other:
            one.wait_for("hop", lambda _: True, "a hop")
            said = stop(process)
            wait_until(lambda: one.ended and other.ended, "the end of the streams")
    assert "WARNING" not in said
    assert said.endswith("INFO: stopped\n")


def test_a_stop_during_a_download_that_nobody_reads_takes_no_longer_and_logs_nothing(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    port, state = free_port(), tmp_path / "state"
    state.mkdir()
    with closing(open_store(state / FILE_NAME)) as store:
        fill_history(store, 20_000)
    with service(tmp_path, broker, microphone, state=str(state), extra=web(port)) as process, ExitStack() as stack:
        page = PageClient(port, {}).wait()
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /api/events?format=csv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert page.get("/api/events")["next"] is not None
        assert "Exception" not in stop(process)


def test_a_port_that_is_taken_is_a_trouble_while_detection_goes_on_and_the_page_comes_once_it_is_free(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_start(tmp_path, monkeypatch, SHORT_RETRY)
    with socket.socket() as taken, subscriber(broker.host, broker.port) as inbox:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with service(tmp_path, broker, microphone, state=str(tmp_path / "state"), extra=web(port)) as process:
            inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/health" and b"cannot be served" in item.payload, "the trouble")
            inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/probabilities", "a window")
            taken.close()
            PageClient(port, {}).wait()
            wait_until(lambda: inbox.json("cot/health")[-1]["troubles"] == [], "the end of the trouble")
            stop(process)


def at_start(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let each Python that is started run this first."""
    own = folder / "at_start"
    own.mkdir()
    (own / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{own}:{ROOT}")


def test_a_full_disk_costs_the_history_and_the_page_stays_live_and_says_so(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_start(tmp_path, monkeypatch, EAGER_HISTORY)
    port, state = free_port(), tmp_path / "state"
    with small_disk(state), service(tmp_path, broker, microphone, state=str(state), extra=web(port)) as process:
        page = PageClient(port, {}).wait()
        wait_until((state / FILE_NAME).exists, "the history")
        fill(state)
        with Live(page) as live:
            live.wait_for("hop", lambda _: True, "a hop")
            microphone.play(short_event()[1], latency_milliseconds=200)
            live.wait_for("event", lambda _: True, "an event")
            live.wait_for("node", lambda view: "the history is not written" in " ".join(view["sentences"]), "the trouble")
        assert page.get("/api/health")["ok"] is False
        (state / "ballast").unlink()
        page.wait_for("/api/events", lambda found: len(found["events"]) == 1, "the event in the history")
        stop_whatever_it_says(process)


def stop_whatever_it_says(process: Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_service_that_is_killed_while_the_page_is_open_has_a_sound_history_and_its_page_back(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_start(tmp_path, monkeypatch, EAGER_HISTORY)
    port, state = free_port(), tmp_path / "state"
    page = PageClient(port, {})
    with service(tmp_path, broker, microphone, state=str(state), extra=web(port)) as process:
        page.wait()
        with Live(page) as live:
            live.wait_for("hop", lambda _: True, "a hop")
            microphone.play(short_event()[1], latency_milliseconds=200)
            started = live.wait_for("event", lambda _: True, "the start of an event").data
            page.wait_for("/api/events", lambda found: found["events"] != [], "its line in the history")
            process.kill()
            process.wait()
            wait_until(lambda: live.ended, "the end of the stream")
    with closing(sqlite3.connect(state / FILE_NAME)) as history:
        assert history.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with service(tmp_path, broker, microphone, state=str(state), extra=web(port)) as process:
        page.wait()
        path = f"/api/events?id={started['id']}"
        page.wait_for(path, lambda found: found["events"][0]["end_reason"] == "interrupted", "its end in the history")
        stop(process)


def test_no_attack_on_the_page_costs_a_window_an_event_or_memory_for_good(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    with Attacked(tmp_path, broker, microphone) as attacked_node:
        quiet = attacked_node.quiet()
        attack = attacked_node.attack()
        require_unharmed(attacked_node, quiet, attack)
        assert attack.refused > 0, "it was an attack"
        assert stop(attacked_node.process).count("\n") < MOST_LINES, "and it does not fill the log"


def test_an_address_of_other_machines_without_a_password_is_refused(tmp_path: Path, broker: Broker) -> None:
    done = refused(tmp_path, broker, '[web]\nlisten = "0.0.0.0:8080"\n')
    assert done.returncode == 2
    assert "can be reached by other machines, so the page needs a password" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "prometheus_client"])
def test_a_page_without_its_packages_names_the_extra(
    tmp_path: Path, broker: Broker, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_start(tmp_path, monkeypatch, WITHOUT.format(missing))
    done = refused(tmp_path, broker, '[web]\nlisten = "127.0.0.1:8080"\n')
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edge-detector: the page needs further packages, ")
    assert last.endswith("; install them: pip install -e '.[web]'")
    assert "Traceback" not in done.stderr


def refused(folder: Path, broker: Broker, table: str) -> subprocess.CompletedProcess[str]:
    """Run a service that ends by itself."""
    config = folder / "edge.toml"
    config.write_text(f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n{table}')
    command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60.0)
