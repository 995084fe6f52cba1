"""What the service does not keep to itself, and what it does not leave behind."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import Inbox, subscriber
from tests.support.nursery import one_event, service
from tests.support.waiting import wait_until
from tests.unit.edge_detector.cli.test_run import BASE, SLUGS

PASSWORD = "hunter2-of-the-broker"  # noqa: S105 - opens nothing
RAIN = f"{BASE}/cot/threshold/rain"


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def kept(broker: Broker, topics: str = f"{BASE}/#") -> dict[str, bytes]:
    """What the broker keeps; the last message of all is our own, and comes after it."""
    marker = f"{topics.removesuffix('/#')}/that_is_all"
    with subscriber(broker.host, broker.port, topics=topics) as inbox:
        broker.publish(marker, "")
        inbox.wait_for_payload(marker, b"")
        return {item.topic: item.payload for item in inbox.messages if item.topic != marker}


def test_a_topic_that_the_broker_refuses_stands_in_health_and_telemetry_and_no_secret_does(
    tmp_path: Path, microphone: FakeMicrophone
) -> None:
    passwords, rules, secret = tmp_path / "passwords", tmp_path / "acl", tmp_path / "mqtt-password"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "ear", PASSWORD], check=True)
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    allowed = ("edge_detector/nursery/+", "edge_detector/nursery/cot/+", "homeassistant/#")
    rules.write_text("topic read #\nuser ear\n" + "".join(f"topic readwrite {topic}\n" for topic in allowed))
    refused = [f"{BASE}/cot/{leaf}/{slug}" for leaf in ("class", "threshold") for slug in sorted(SLUGS)]
    sentence = f"the broker refuses {', '.join(refused[:3])} and {len(refused) - 3} more (Not authorized); check its access rules"
    extra = f'username = "ear"\npassword_file = "{secret}"\n'
    with (
        Broker(f"password_file {passwords}", f"acl_file {rules}") as broker,
        subscriber(broker.host, broker.port) as inbox,
        service(tmp_path, broker, microphone, extra=extra, state=str(tmp_path / "state")) as process,
    ):
        wait_until(lambda: [item["troubles"] for item in inbox.json("cot/health")[-1:]] == [[sentence]], "trouble in health")
        stop(process)
        inbox.wait_for_payload(f"{BASE}/status", b"offline")
        telemetry = inbox.json("telemetry")[-1]
        assert telemetry["troubles"] == [sentence]
        assert telemetry["refused_messages"] >= len(refused)
        everything = b"\n".join(item.payload for item in inbox.messages).decode()
        assert PASSWORD not in everything
        assert str(secret) not in everything


def test_without_a_state_directory_health_and_log_say_what_does_not_survive_a_restart(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    words = (
        "there is no state directory, so events that wait for the broker and thresholds and mutes set over MQTT do not survive a "
        "restart, and no history of events is kept"
    )
    with subscriber(broker.host, broker.port) as inbox, service(tmp_path, broker, microphone) as process:
        inbox.wait_for(lambda item: item.topic == f"{BASE}/cot/health" and words.encode() in item.payload, "the trouble")
        stop(process)
        assert process.stderr is not None
        assert process.stderr.read().count(words) == 1


def test_where_commands_are_no_longer_taken_what_they_set_is_kept_and_shown_to_be_out_of_force(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    state = tmp_path / "state"
    taken, refused = "commands = true\n", "[home_assistant]\nenabled = false\n"
    with subscriber(broker.host, broker.port) as inbox:
        with service(tmp_path, broker, microphone, state=str(state), extra=taken) as process:
            default = inbox.wait_for(lambda item: item.topic == RAIN, "the threshold in force").payload
            broker.publish(f"{RAIN}/set", "loud")
            broker.publish(f"{RAIN}/set", "0.83")
            broker.publish(f"{BASE}/cot/mute/set", "ON")
            inbox.wait_for_payload(RAIN, b"0.83")
            inbox.wait_for_payload(f"{BASE}/cot/mute", b"ON")
            stop(process)
        entities = settings(state)["entities"]
        assert inbox.json("telemetry")[-1]["refused_commands"] == 1
        with service(tmp_path, broker, microphone, state=str(state), extra=refused) as process:
            wait_until(lambda: last(inbox, RAIN) == default, "the threshold in force now")
            wait_until(lambda: last(inbox, f"{BASE}/cot/mute") == b"OFF", "the mute to be off")
            stop(process)
        assert (bool(entities), settings(state)["entities"]) == (True, {}), "other settings have been saved meanwhile"
        with service(tmp_path, broker, microphone, state=str(state), extra=taken) as process:
            wait_until(lambda: last(inbox, RAIN) == b"0.83", "what was set at first")
            wait_until(lambda: last(inbox, f"{BASE}/cot/mute") == b"ON", "the mute to be on")
            stop(process)


def last(inbox: Inbox, topic: str) -> bytes:
    return [item.payload for item in inbox.messages if item.topic == topic][-1]


def settings(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "settings.json").read_text())
    return found


def test_a_source_that_is_taken_out_leaves_nothing_behind_even_after_a_crash_in_the_midst_of_an_event(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    state = tmp_path / "state"
    slug, pcm = one_event()
    with subscriber(broker.host, broker.port) as inbox:
        with service(tmp_path, broker, microphone, state=str(state), extra="commands = true\n") as process:
            inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
            broker.publish(f"{RAIN}/set", "0.83")
            inbox.wait_for_payload(RAIN, b"0.83")
            microphone.play(pcm, latency_milliseconds=200)
            inbox.wait_for_payload(f"{BASE}/cot/class/{slug}", b"ON")
            process.kill()
        assert kept(broker)[f"{BASE}/cot/class/{slug}"] == b"ON"
        with service(tmp_path, broker, microphone, state=str(state), source="crib") as process:
            inbox.wait_for_payload(f"{BASE}/crib/availability", b"online")
            inbox.wait_for(lambda item: b'"end_reason":"interrupted"' in item.payload, "interrupted end")
            wait_until(lambda: not any("/cot/" in topic for topic in kept(broker)), "nothing to be left of the cot")
            stop(process)
    assert set(settings(state)["announced"]) == {"crib"}
    assert settings(state)["thresholds"] == {"cot": {"rain": 0.83}}, "should it ever return"
    assert kept(broker)[f"{BASE}/crib/class/{slug}"] == b"OFF"
