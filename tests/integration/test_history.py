"""The history of the whole service is what it has published over MQTT, through a crash too."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_detector.errors import EdgeDetectorError
from edge_detector.history.queries import HistoryReader, Selection
from edge_detector.history.store import FILE_NAME
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import Inbox, subscriber
from tests.support.nursery import one_event, service
from tests.support.soundscape_file import write_soundscape
from tests.support.waiting import wait_until
from tests.unit.edge_detector.cli.test_run import BASE

KEYS = ("id", "source", "slug", "label", "start", "end", "peak_probability", "end_reason", "clock")


def shown(folder: Path) -> list[dict[str, Any]]:
    """What `events --json` prints."""
    command = [sys.executable, "-m", "edge_detector", "events", "--json", "--database", str(folder / FILE_NAME)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def published(inbox: Inbox) -> list[dict[str, Any]]:
    """The newest message of each event, by start."""
    newest = {payload["id"]: payload for payload in inbox.json("cot/event")}
    return sorted(newest.values(), key=lambda payload: str(payload["start"]))


def told(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: event[key] for key in KEYS} for event in events]


def test_the_history_of_a_recording_is_what_was_published(tmp_path: Path, broker: Broker) -> None:
    write_soundscape(tmp_path / "recording.wav")
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[node]\nname = "nursery"\n[[source]]\nname = "cot"\nkind = "file"\ndevice = "{tmp_path}/recording.wav"\n'
        f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n'
    )
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "NOTIFY_SOCKET": ""}
    command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
    with subscriber(broker.host, broker.port) as inbox:
        for _again in range(2):  # the same recording has the same events
            result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            assert "the history" not in result.stderr
            inbox.wait_for(lambda item: item.topic == f"{BASE}/status" and item.payload == b"offline", "the end")
        messages = published(inbox)
    assert len(messages) >= 3
    assert all(payload["event_type"] == "end" for payload in messages)
    assert told(shown(tmp_path)) == told(messages)


def test_the_history_agrees_with_mqtt_after_a_crash_and_is_read_while_it_is_written(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    state = tmp_path / "state"
    with subscriber(broker.host, broker.port) as inbox:
        with service(tmp_path, broker, microphone, state=str(state)) as process:
            inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
            microphone.play(one_event()[1], latency_milliseconds=200)
            inbox.wait_for(lambda item: b'"event_type":"start"' in item.payload, "an event")
            process.kill()
            process.wait()
        with service(tmp_path, broker, microphone, state=str(state)):
            inbox.wait_for(lambda item: b'"end_reason":"interrupted"' in item.payload, "its end")
            # The rest of the sound may be a second event.
            wait_until(lambda: is_there(state) and told(shown(state)) == told(published(inbox)), "the same events in the history")
            assert shown(state)[0]["end_reason"] == "interrupted"


def test_a_history_that_cannot_be_written_is_a_trouble_until_it_can_and_costs_no_event(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    state = tmp_path / "state"
    (state / FILE_NAME).mkdir(parents=True)
    sentence = f"the history is not written: {state / FILE_NAME} is a folder, and the history needs a file; move it away"
    with subscriber(broker.host, broker.port) as inbox, service(tmp_path, broker, microphone, state=str(state)) as process:
        wait_until(lambda: troubles(inbox) == [sentence], "the trouble in health")
        inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
        microphone.play(one_event()[1], latency_milliseconds=200)
        inbox.wait_for(lambda item: b'"event_type":"end"' in item.payload, "an event")
        (state / FILE_NAME).rmdir()
        wait_until(lambda: troubles(inbox) == [], "the end of the trouble", deadline_seconds=30.0)
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr is not None
        said = process.stderr.read()
    assert said.count(sentence) == 1
    assert "the history is written again; 0 events are missing from it" in said
    assert told(shown(state)) == told(published(inbox))


def troubles(inbox: Inbox) -> list[str] | None:
    """What the source's health says now; None before its first message."""
    return next((payload["troubles"] for payload in reversed(inbox.json("cot/health"))), None)


def is_there(folder: Path) -> bool:
    try:
        with HistoryReader(folder / FILE_NAME) as reader:
            return bool(reader.newest(Selection(), 1))
    except EdgeDetectorError:  # not made yet
        return False
