"""Classes that are on and off in the service and in `listen`: with the networks that ship, and a real broker."""

import json
import logging
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest

from edge_detector.config import Config, OutboxConfig, load_config
from edge_detector.demo.soundscape import PlannedEvent, make_soundscape
from edge_detector.detection.hysteresis import RuleOverride
from edge_detector.mqtt.address import Broker as Address
from edge_detector.service.factory import load_networks
from edge_detector.service.service import Service
from edge_detector.service.settings_file import parse_settings
from edge_detector.service.state import State, open_state
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.command import edge_detector
from tests.support.inbox import Inbox, subscriber
from tests.support.labelled_bundle import TWELVE, labelled_bundle
from tests.support.soundscape_file import write_soundscape
from tests.support.waiting import wait_until

BASE, DEVICE = "edge_detector/nursery", "homeassistant/device/nursery/cot/config"


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_soundscape(tmp_path_factory.mktemp("tape") / "tape.wav")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_bundle(tmp_path_factory.mktemp("labelled") / "bundle")


def config_of(folder: Path, tape: Path, broker: Broker, bundle: Path | None, classes: str) -> Config:
    path = folder / "edge.toml"
    models = f'[bundle]\npath = "{bundle}"\n' if bundle is not None else ""
    mqtt = f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\ncommands = true\n'
    path.write_text(
        f'[node]\nname = "nursery"\n[[source]]\nname = "cot"\nkind = "file"\ndevice = "{tape}"\n{models}{mqtt}{classes}'
    )
    return load_config(path)


def serve(config: Config, broker: Broker, state: State, reload: Callable[[Service], Config | None]) -> None:
    """The service over the whole tape."""
    service = Service(config, load_networks(config.bundle, config), Address(broker.host, broker.port, "test-service"), state)
    assert service.run(threading.Event(), lambda: reload(service)) == 0


def slugs_in(inbox: Inbox, leaf: str) -> set[str]:
    begin = f"{BASE}/cot/{leaf}/"
    return {item.topic.removeprefix(begin) for item in inbox.messages if item.topic.startswith(begin)}


def entities(message: Message) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(message.payload)["cmps"]
    return found


def require_kept(broker: Broker, slugs: set[str]) -> dict[str, dict[str, object]]:
    """Require that the broker keeps states and thresholds of these classes only. Returns the entities that it keeps."""
    with subscriber(broker.host, broker.port) as later:
        device = later.wait_for(lambda item: item.topic == DEVICE, "discovery")
        later.wait_for_payload(f"{BASE}/status", b"offline")
        wait_until(lambda: slugs <= slugs_in(later, "class") and slugs <= slugs_in(later, "threshold"), "every class")
        assert slugs_in(later, "class") == slugs_in(later, "threshold") == slugs
    return entities(device)


def planned(slug: str) -> PlannedEvent:
    return next(event for event in make_soundscape().events if event.slug == slug)


def test_a_configuration_without_a_class_list_is_served_as_before(
    tmp_path: Path, tape: Path, broker: Broker, bundle: Path
) -> None:
    config = config_of(tmp_path, tape, broker, bundle, "")
    with subscriber(broker.host, broker.port) as inbox:
        serve(config, broker, State(outbox=None, settings=None), lambda _: None)
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
    assert slugs_in(inbox, "class") == slugs_in(inbox, "threshold") == set(TWELVE)
    assert {frozenset(item["probabilities"]) for item in inbox.json("probabilities")} == {frozenset(TWELVE)}
    assert {event["slug"] for event in inbox.json("event")} <= set(TWELVE)
    for name in ("animal", "engine"):
        assert not any(name in item.topic or name.encode() in item.payload for item in inbox.messages)


def at(sample: int, config: Config) -> Callable[[Service], Iterator[Config | None]]:
    """Rereads this configuration once the service has had so many samples."""

    def wait(service: Service) -> Iterator[Config | None]:
        while service.telemetry_of("cot").heard_samples < sample:
            yield None
        yield config

    return wait


def announced(inbox: Inbox) -> Callable[[Service], Iterator[Config | None]]:
    """Rereads nothing, but waits until the device is announced: the tape may be over before a slow broker answers."""

    def wait(_service: Service) -> Iterator[Config | None]:
        inbox.wait_for(lambda item: item.topic == DEVICE, "discovery")
        yield None

    return wait


def one_after_another(
    steps: Sequence[Callable[[Service], Iterator[Config | None]]],
) -> Callable[[Service], Config | None]:
    begun: list[Iterator[Config | None]] = []

    def reload(service: Service) -> Config | None:
        if not begun:
            begun.append(chain(chain.from_iterable(step(service) for step in steps), repeat(None)))
        return next(begun[0])

    return reload


def test_a_class_that_a_reload_switches_off_ends_its_event_and_leaves_nothing_with_the_broker(
    tmp_path: Path, tape: Path, broker: Broker
) -> None:
    rain = planned("rain")
    before = config_of(tmp_path, tape, broker, None, "")
    after = replace(before, overrides={"rain": RuleOverride(enabled=False)})
    state = open_state(tmp_path, OutboxConfig())
    with subscriber(broker.host, broker.port) as inbox:
        serve(before, broker, state, one_after_another([at(rain.end_sample - 16_000, after)]))
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
    *_, start, end = (event for event in inbox.json("event") if event["slug"] == "rain")
    assert (start["event_type"], end["event_type"], end["end_reason"], end["id"]) == ("start", "end", "ended", start["id"])
    of_rain = [(place, item.payload) for place, item in enumerate(inbox.messages) if item.topic == f"{BASE}/cot/class/rain"]
    gone = next(place for place, payload in of_rain if payload == b"")
    told = [entities(item) for item in inbox.messages[:gone] if item.topic == DEVICE][-1]
    assert told["cot-class-rain"] == {"p": "binary_sensor"}, "Home Assistant was told before that its entity is gone"
    assert told["cot-threshold-rain"] == {"p": "number"}
    # It may be emptied twice, which changes nothing, but has no value again.
    assert {payload for place, payload in of_rain if place > gone} <= {b""}
    assert "rain" not in inbox.json("probabilities")[-1]["probabilities"]
    assert inbox.json("probabilities")[0]["probabilities"].keys() == inbox.json("probabilities")[-1]["probabilities"].keys() | {
        "rain"
    }
    left = slugs_in(inbox, "class") - {"rain"}
    require_kept(broker, left)
    saved = parse_settings((tmp_path / "settings.json").read_bytes(), "settings")
    assert set(saved.announced["cot"]) == left, "the broker has forgotten the class, and so has the service"


def test_a_class_that_a_reload_switches_on_is_there_at_once(tmp_path: Path, tape: Path, broker: Broker, bundle: Path) -> None:
    before = config_of(tmp_path, tape, broker, bundle, "")
    after = config_of(tmp_path, tape, broker, bundle, "[class.engine]\non = 0.35\n")
    with subscriber(broker.host, broker.port) as inbox:
        steps = [announced(inbox), at(160_000, after)]
        serve(before, broker, State(outbox=None, settings=None), one_after_another(steps))
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
    inbox.wait_for_payload(f"{BASE}/cot/class/engine", b"OFF")
    inbox.wait_for_payload(f"{BASE}/cot/threshold/engine", b"0.35")
    assert "engine" in inbox.json("probabilities")[-1]["probabilities"]
    devices = [entities(item) for item in inbox.messages if item.topic == DEVICE]
    assert "cot-class-engine" not in devices[0]
    assert devices[-1]["cot-class-engine"]["name"] == "Engine"


def test_classes_and_lists_that_a_reload_changes_wait_for_the_restart_and_all_else_is_taken_over(
    tmp_path: Path, tape: Path, broker: Broker, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = config_of(tmp_path, tape, broker, bundle, '[class.cry]\naudioset = ["Baby cry, infant cry"]\n')
    own = '[class.kettle]\naudioset = ["Tick-tock"]\non = 0.4\n[class.cry]\naudioset = ["Bark"]\non = 0.6\n'
    after = config_of(tmp_path, tape, broker, bundle, f"[detection]\nclass_list = 2\n{own}[class.rain]\non = 0.77\n")
    caplog.set_level(logging.INFO)
    with subscriber(broker.host, broker.port) as inbox:
        serve(before, broker, State(outbox=None, settings=None), one_after_another([at(160_000, after)]))
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
    assert re.search(r"applied: cry on 0\.\d\d -> 0\.60, .*rain on 0\.\d\d -> 0\.77", caplog.text)
    assert (
        "at the next restart: [detection] class_list 1 -> 2, what [class.cry] is made of, what [class.kettle] is made of"
        in caplog.text
    )
    assert "was not reloaded" not in caplog.text
    inbox.wait_for_payload(f"{BASE}/cot/threshold/rain", b"0.77")
    inbox.wait_for_payload(f"{BASE}/cot/threshold/cry", b"0.6")
    assert slugs_in(inbox, "class") == {*TWELVE, "cry"}
    told = inbox.json("telemetry")[-1]
    assert (told["configuration_sha256"], told["restart_needed"]) == (after.sha256, True)


def test_a_command_for_a_class_that_is_off_is_refused_and_the_log_tells_how_it_is_switched_on(
    tmp_path: Path, tape: Path, broker: Broker, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(tmp_path, tape, broker, bundle, "")
    slow = replace(config, sources=(replace(config.sources[0], real_time=True),))
    stop = threading.Event()
    service = Service(
        slow,
        load_networks(slow.bundle, slow),
        Address(broker.host, broker.port, "test-service"),
        State(outbox=None, settings=None),
    )

    def poll() -> None:
        if "was refused" in caplog.text:
            stop.set()

    with subscriber(broker.host, broker.port) as inbox:
        knob = threading.Thread(target=_turn, args=(inbox, broker))
        knob.start()
        service.run(stop, poll)
        knob.join()
    assert "threshold/engine/set was refused: the class is off" in caplog.text
    assert "[class.engine] enabled = true" in caplog.text


def _turn(inbox: Inbox, broker: Broker) -> None:
    inbox.wait_for_payload(f"{BASE}/status", b"online")
    broker.publish(f"{BASE}/cot/threshold/engine/set", "0.5")


def test_what_an_earlier_run_told_of_a_class_that_is_off_now_is_taken_back(
    tmp_path: Path, tape: Path, broker: Broker, bundle: Path
) -> None:
    for class_list, extra in ((2, {"animal"}), (1, set[str]())):
        config = config_of(tmp_path, tape, broker, bundle, f"[detection]\nclass_list = {class_list}\n")
        serve(config, broker, open_state(tmp_path, OutboxConfig()), lambda _: None)
        device = require_kept(broker, {*TWELVE} | extra)
    assert device["cot-class-animal"] == {"p": "binary_sensor"}


def lines_of(*arguments: str | Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in edge_detector("listen", *arguments, "--json").splitlines()]


def test_listen_shows_the_classes_of_a_configuration(tmp_path: Path, tape: Path, bundle: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[bundle]\npath = "{bundle}"\n[[source]]\nname = "nothing"\nkind = "file"\ndevice = "/no/such/file"\n'
        '[class.infant]\naudioset = ["Baby cry, infant cry"]\non = 0.01\n[class.rain]\nenabled = false\n'
    )
    lines = lines_of(tape, "--config", config)
    (slugs,) = {frozenset(dict(line["probabilities"])) for line in lines if line["type"] == "probabilities"}  # type: ignore[call-overload]
    assert slugs == {*TWELVE, "infant"} - {"rain"}
    events = {line["slug"] for line in lines if line["type"] == "event"}
    assert "infant" in events
    assert "rain" not in events
    assert "Infant" in edge_detector("listen", tape, "--config", config)


def test_the_bundle_that_is_named_is_taken_rather_than_the_configuration_s(tmp_path: Path, tape: Path, bundle: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text('[bundle]\npath = "/no/such/bundle"\n[class.engine]\n')
    lines = lines_of(tape, "--seconds", "3", "--config", config, "--bundle", bundle)
    assert any("engine" in str(line) for line in lines)


def test_listen_without_a_configuration_shows_what_the_bundle_enables(tape: Path, bundle: Path) -> None:
    lines = lines_of(tape, "--seconds", "3", "--bundle", bundle)
    (slugs,) = {frozenset(dict(line["probabilities"])) for line in lines if line["type"] == "probabilities"}  # type: ignore[call-overload]
    assert slugs == {*TWELVE, "animal"}


def test_listen_shows_no_class_where_all_are_off(tmp_path: Path, tape: Path, bundle: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text("".join(f"[class.{slug}]\nenabled = false\n" for slug in TWELVE))
    output = edge_detector("listen", tape, "--seconds", "3", "--config", config, "--bundle", bundle)
    assert output.rstrip().endswith("0 events; every class is off")


def test_a_wrong_label_in_a_configuration_is_a_sentence(tmp_path: Path, tape: Path, bundle: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(f'[bundle]\npath = "{bundle}"\n[class.kettle]\naudioset = ["Tick-tok"]\n')
    for command in (("check-config", config), ("run", "--config", config), ("listen", tape, "--config", config)):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            edge_detector(*command)
        assert (caught.value.returncode, caught.value.stdout) == (2, "")


def test_check_config_lists_what_is_detected_with_its_thresholds(tmp_path: Path, bundle: Path) -> None:
    config = tmp_path / "edge.toml"
    own = '[class.kettle]\naudioset = ["Tick-tock"]\n[class.rain]\nenabled = false\n'
    config.write_text(f'[bundle]\npath = "{bundle}"\n[detection]\nclass_list = 2\n{own}')
    expected = ", ".join(slug for slug in (*TWELVE, "animal", "kettle") if slug != "rain")
    output = edge_detector("check-config", config)
    assert f"source mic: mic default, hop 0.96 s, detects {expected}\n" in re.sub(r" \d\.\d\d(?=[,\n])", "", output)
    assert ", kettle 0.30\n" in output
    config.write_text("".join(f"[class.{slug}]\nenabled = false\n" for slug in TWELVE))
    assert "detects nothing: every class is off\n" in edge_detector("check-config", config)
