"""Thresholds of the running service: from the configuration, over MQTT, and reread at a hangup."""

import hashlib
import re
import signal
from pathlib import Path

from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.hysteresis import STRICTNESS_LOG_ODDS, shifted
from edge_detector.service.factory import DEFAULT_BUNDLE
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import subscriber
from tests.support.nursery import one_event, service
from tests.support.waiting import wait_until
from tests.unit.edge_detector.cli.test_run import BASE


def test_a_threshold_set_over_mqtt_holds_and_survives_a_restart(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    state, topic = str(tmp_path / "state"), f"{BASE}/cot/threshold/rain"
    with subscriber(broker.host, broker.port) as inbox:
        with service(tmp_path, broker, microphone, state=state, extra="commands = true\n") as process:
            inbox.wait_for(lambda item: item.topic == topic, "the threshold in force")
            broker.publish(f"{topic}/set", "0.83")
            inbox.wait_for_payload(topic, b"0.83")
            broker.publish(f"{topic}/set", "loud")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        with service(tmp_path, broker, microphone, state=state, extra="commands = true\n") as process:
            wait_until(lambda: [item.payload for item in inbox.messages if item.topic == topic].count(b"0.83") == 2, "0.83 again")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_a_hangup_rereads_thresholds_without_a_gap(tmp_path: Path, broker: Broker, microphone: FakeMicrophone) -> None:
    thresholds = f"{BASE}/cot/threshold"
    (speech,) = (sound.rules[2] for sound in load_bundle(DEFAULT_BUNDLE).manifest.classes if sound.slug == "speech")
    stricter = shifted(speech, STRICTNESS_LOG_ODDS["strict"]).on
    with (
        subscriber(broker.host, broker.port) as inbox,
        service(tmp_path, broker, microphone, extra="commands = true\n") as process,
    ):
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        inbox.wait_for_payload(f"{thresholds}/speech", f"{speech.on:g}".encode())
        broker.publish(f"{thresholds}/dog_bark/set", "0.83")
        inbox.wait_for_payload(f"{thresholds}/dog_bark", b"0.83")
        config = tmp_path / "edge.toml"
        right = config.read_text()
        config.write_text(right + '[class.rain]\non = 0.77\n[detection]\nstrictness = "strict"\n')
        accepted = hashlib.sha256(config.read_bytes()).hexdigest()
        process.send_signal(signal.SIGHUP)
        inbox.wait_for_payload(f"{thresholds}/speech", f"{stricter:g}".encode())
        inbox.wait_for_payload(f"{thresholds}/rain", b"0.77")
        of_dog = [item.payload for item in inbox.messages if item.topic == f"{thresholds}/dog_bark"]
        assert set(of_dog[1:]) == {b"0.83"}, "what is set over MQTT stays in force"
        config.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/health" and b"was not reloaded" in item.payload, "the refusal")
        seen = len(inbox.json("probabilities"))
        wait_until(lambda: len(inbox.json("probabilities")) > seen + 1, "more probabilities")
        config.write_text(right + "[class.dog]\non = 0.5\n")
        process.send_signal(signal.SIGHUP)
        inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/health" and b"[class.dog]" in item.payload, "the second refusal")
        seen = len(inbox.json("probabilities"))
        wait_until(lambda: len(inbox.json("probabilities")) > seen + 1, "more probabilities")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        said = process.stderr.read()
        assert re.search(r"was reloaded; applied: strictness balanced -> strict, rain on 0\.\d\d -> 0\.77", said)
        assert said.count("was not reloaded") == 2
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
        told = inbox.json("telemetry")[-1]
        assert (told["configuration_sha256"], told["restart_needed"]) == (accepted, False), "not that of a refused file"
    assert {item["lost_samples"] for item in inbox.json("probabilities")} == {0}
    assert [item["seq"] for item in inbox.json("probabilities")] == list(range(len(inbox.json("probabilities"))))


def test_a_class_that_is_switched_off_is_nowhere(tmp_path: Path, broker: Broker, microphone: FakeMicrophone) -> None:
    slug, pcm = one_event()
    extra = f"[class.{slug}]\nenabled = false\n"
    with subscriber(broker.host, broker.port) as inbox, service(tmp_path, broker, microphone, extra=extra) as process:
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        microphone.play(pcm, latency_milliseconds=200).wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
        assert not [item for item in inbox.json("event") if item["slug"] == slug]
        assert inbox.json("probabilities"), "sound was there"
        assert not any(slug in item["probabilities"] for item in inbox.json("probabilities"))
        assert not any(slug in item.topic for item in inbox.messages)
        (device,) = (item for item in inbox.messages if item.topic == "homeassistant/device/nursery/cot/config")
        assert slug.encode() not in device.payload
