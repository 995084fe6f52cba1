"""What the service does with its sources, its state and its broker, without sound or network."""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_detector.audio.programs.ffmpeg import STALL_SECONDS
from edge_detector.audio.source import Source
from edge_detector.config import ClipsConfig, Config, HistoryConfig, OutboxConfig, SourceConfig, parse_config
from edge_detector.errors import BrokerError, SourceError
from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.client import Network
from edge_detector.mqtt.credentials import stable_client_id
from edge_detector.mqtt.runtime_settings import RuntimeSettings, Settings
from edge_detector.service import factory, service
from edge_detector.service.discovery import Discovery
from edge_detector.service.factory import load_networks
from edge_detector.service.service import SHARED_POLL_SECONDS, Service
from edge_detector.service.source_worker import SourceWorker
from edge_detector.service.state import State, open_state
from edge_detector.service.supervisor import SupervisorTimeouts
from edge_detector.types import Message
from tests.support.odd_broker import WELCOME, Guest, OddBroker


def absent(_config: SourceConfig) -> Source:
    raise SourceError("nothing is plugged in")


def test_several_sources_together_wait_no_longer_than_one_microphone_block(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, waits = threading.Event(), list[float]()

    def step(_worker: SourceWorker, wait_seconds: float) -> None:
        waits.append(wait_seconds)
        if len(waits) == 3:
            stop.set()

    monkeypatch.setattr(SourceWorker, "step", step)
    config = parse_config({"source": [{"name": name, "kind": "arecord"} for name in "abc"]}, "three")
    nobody = Broker("127.0.0.1", 9, "test")
    Service(config, load_networks(None), nobody, State(outbox=None, settings=None), open_source=absent).run(stop, lambda: None)
    assert sum(waits) == pytest.approx(SHARED_POLL_SECONDS)
    assert sum(waits) < 0.03, "what PortAudio gives at each turn"


def test_a_stream_may_pause_up_to_the_time_limit_of_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[SupervisorTimeouts] = []
    monkeypatch.setattr(factory, "SourceSupervisor", lambda *_arguments, times, **_more: given.append(times))
    for kind in ("url", "mic"):
        config = SourceConfig("cot", kind, "https://radio.example/playlist.m3u8")
        factory.build_supervisor(config, lambda: absent(SourceConfig("cot", "mic", None)))
    stream, microphone = given
    assert STALL_SECONDS < stream.stall < stream.lost
    assert microphone.stall == 1.0


def test_the_client_id_is_stable_and_unique_to_a_node_on_a_machine(tmp_path: Path) -> None:
    machine, other = tmp_path / "machine-id", tmp_path / "other-id"
    machine.write_text("0123456789abcdef\n")
    other.write_text("fedcba9876543210\n")
    found = [
        stable_client_id(node, folder, identity)
        for node, folder, identity in (
            ("cot", tmp_path, machine),
            ("cot", tmp_path, machine),
            ("shed", tmp_path, machine),
            ("cot", tmp_path / "by hand", machine),
            ("cot", tmp_path, other),
            ("cot", tmp_path, tmp_path / "absent"),
        )
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 5
    assert not any("0123456789" in each for each in found)


def test_an_event_with_a_damaged_start_is_deleted_and_the_others_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = open_state(tmp_path, OutboxConfig())
    assert state.outbox is not None
    events = [Message("t", f'{{"id": "{name}"}}'.encode(), 1, retained=False, message_id=f"{name}/start") for name in "ab"]
    state.outbox.commit(events)
    state.outbox.close()
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as database:
        damaged = database.execute("UPDATE open_event SET payload = ? WHERE event = 'a'", (b'z"id": "a"}',))
        assert damaged.rowcount == 1
        database.commit()
    for attempt in range(2):
        again = open_state(tmp_path, OutboxConfig())
        assert [message.message_id for message in again.interrupted(0.0)] == ["b/end"]
        assert ("a/start cannot be read" in caplog.text) is (attempt == 0)
        caplog.clear()
        assert again.outbox is not None
        again.outbox.close()


def test_clips_are_stored_only_where_they_are_asked_for_and_without_a_folder_that_is_a_trouble(tmp_path: Path) -> None:
    without = open_state(tmp_path, OutboxConfig(), None, ClipsConfig())
    assert without.clips is None
    lacking = open_state(None, OutboxConfig(), HistoryConfig(), ClipsConfig(enabled=True))
    assert lacking.clips is None
    assert ", and no history of events is kept, and no clips are stored; run the service" in (lacking.persistence_trouble or "")
    stored = open_state(tmp_path, OutboxConfig(), None, ClipsConfig(enabled=True))
    assert stored.clips is not None
    assert stored.clips.store.folder == tmp_path / "clips"
    stored.close_records()
    assert stored.clips.wait_closed(20.0)


@pytest.fixture
def published() -> list[Message]:
    return []


def without_home_assistant(published: list[Message], saved: Settings) -> Discovery:
    config: Config = parse_config({"home_assistant": {"enabled": False}}, "without")
    controls = RuntimeSettings("base", {}, saved, commands=False)
    return Discovery(
        config,
        load_networks(None),
        controls,
        page_url=None,
        publish=published.append,
        save=lambda: None,
        published=lambda _topics: True,
    )


def test_the_removal_from_home_assistant_is_repeated_until_the_broker_has_it(published: list[Message]) -> None:
    saved = Settings(entities={"cot-class-rain": "binary_sensor"}, discovered=("cot",))
    for _start in range(2):
        without_home_assistant(published, saved).announce()
    assert {(message.topic, message.payload) for message in published} == {("homeassistant/device/edge/cot/config", b"")}
    told = len(published)
    discovery = without_home_assistant(published, saved)
    assert discovery.forget_removed()
    assert not discovery.forget_removed()
    discovery.announce()
    assert len(published) == told


def service_at(port: int) -> Service:
    config = parse_config({"source": [{"name": "cot", "kind": "arecord"}]}, "one")
    broker = Broker("127.0.0.1", port, "test")
    return Service(config, load_networks(None), broker, State(outbox=None, settings=None), open_source=absent)


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What systemd is told by a service whose sources do nothing."""
    told: list[str] = []
    monkeypatch.setattr(service, "notify", lambda *lines: told.extend(lines))
    monkeypatch.setattr(SourceWorker, "step", lambda _worker, _wait_seconds: time.sleep(0.02))
    return told


def test_a_service_whose_network_thread_has_ended_exits_for_a_restart(
    monkeypatch: pytest.MonkeyPatch, notified: list[str]
) -> None:
    monkeypatch.setattr(Network, "_run", lambda _network: None)
    with pytest.raises(BrokerError, match="a thread of the publisher has ended"):
        service_at(9).run(threading.Event(), lambda: None)
    assert notified[-1] != "WATCHDOG=1"


def test_a_hanging_network_thread_stops_the_watchdog_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, notified: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def hang(network: Network) -> None:
        network._heartbeat.beat("exchange with the broker", -1.0)  # noqa: SLF001 - overdue from the first moment on
        network._stopping.wait()  # noqa: SLF001 - as above

    monkeypatch.setattr(Network, "_run", hang)
    stop, turns = threading.Event(), list[int]()

    def reload() -> None:
        turns.append(1)
        if len(turns) == 20:
            stop.set()

    service_at(9).run(stop, reload)
    assert "WATCHDOG=1" not in notified[notified.index("READY=1") :][3:], "at most before the thread had come to hang"
    assert caplog.text.count("the network thread hangs in its exchange with the broker") == 1


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda guest, _number: guest.serve(acknowledges=False), id="acknowledges nothing"),
        pytest.param(lambda _guest, _number: threading.Event().wait(30), id="never answers"),
        pytest.param(lambda guest, _number: (guest.read(), guest.send(WELCOME), threading.Event().wait(30)), id="reads nothing"),
        pytest.param(lambda guest, _number: (guest.read(), guest.send(WELCOME), guest.read()), id="hangs up again and again"),
    ],
)
def test_no_broker_delays_a_stop_for_more_than_five_seconds(script: Callable[[Guest, int], None], notified: list[str]) -> None:
    stop, stopped_at = threading.Event(), list[float]()
    with OddBroker(script) as odd:
        met_at = list[float]()

        def reload() -> None:
            if odd.connections and not met_at:
                met_at.append(time.monotonic())
            if met_at and not stopped_at and time.monotonic() - met_at[0] > 1.0:
                stopped_at.append(time.monotonic())
                stop.set()

        service_at(odd.port).run(stop, reload)
    assert time.monotonic() - stopped_at[0] < 5.0
    assert "STOPPING=1" in notified
