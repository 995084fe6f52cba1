"""Clips of the whole service: each is the source's own sound around its event, and a disk costs clips alone."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from edge_detector.audio.microphone import Microphone
from edge_detector.audio.microphone.portaudio import Stream
from edge_detector.audio.source import Source
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import FOLDER_NAME, ClipStore
from edge_detector.config import SourceConfig, load_config
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.mqtt.credentials import broker_of
from edge_detector.service.factory import load_networks
from edge_detector.service.service import Service
from edge_detector.service.state import open_state
from edge_detector.types import Int16
from tests.support.broker import Broker
from tests.support.clips import stored
from tests.support.disks import small_disk
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import Inbox, subscriber
from tests.support.nursery import one_event, service
from tests.support.waiting import wait_until
from tests.unit.edge_detector.cli.test_run import BASE

BEFORE_SECONDS, AFTER_SECONDS = 3, 2
CLIPS = f"[clips]\nenabled = true\nbefore_seconds = {BEFORE_SECONDS}\nafter_seconds = {AFTER_SECONDS}\n"


def at_rate(samples: Int16, rate_hz: int) -> Int16:
    if rate_hz == 16_000:
        return samples
    resampled: Int16 = soxr.resample(samples, 16_000, rate_hz)
    return resampled


def ended(inbox: Inbox) -> dict[str, dict[str, Any]]:
    """The end of each event, by id."""
    return {payload["id"]: payload for payload in inbox.json("cot/event") if payload["event_type"] == "end"}


def run_on(recording: Path, broker: Broker, state: Path, tables: str) -> list[dict[str, Any]]:
    """Let the service process a recording; all event messages."""
    state.mkdir(exist_ok=True)
    config = state / "edge.toml"
    config.write_text(
        f'[node]\nname = "nursery"\n[[source]]\nname = "cot"\nkind = "file"\ndevice = "{recording}"\n'
        f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n{tables}'
    )
    environment = {**os.environ, "STATE_DIRECTORY": str(state), "NOTIFY_SOCKET": ""}
    with subscriber(broker.host, broker.port) as inbox:
        subprocess.run([sys.executable, "-m", "edge_detector", "run", "--config", str(config)], env=environment, check=True)
        inbox.wait_for(lambda item: item.topic == f"{BASE}/status" and item.payload == b"offline", "the end")
        return inbox.json("cot/event")


def span_of(event: dict[str, Any], rate_hz: int, count: int) -> tuple[int, int]:
    """Samples of a recording of `count` samples that belong into the clip of an event; its end to a millisecond."""
    start = int(event["id"].split("/")[3]) * rate_hz // 16_000
    end = start + round(event["duration_seconds"] * rate_hz) + AFTER_SECONDS * rate_hz
    return max(0, start - BEFORE_SECONDS * rate_hz), min(end, count)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_clip_of_a_recording_is_its_sound_from_before_the_event_to_after_it(
    tmp_path: Path, broker: Broker, rate_hz: int
) -> None:
    sound = at_rate(make_soundscape().samples, rate_hz)
    soundfile.write(tmp_path / "recording.wav", sound, rate_hz)
    messages = run_on(tmp_path / "recording.wav", broker, tmp_path / "state", CLIPS)
    events = [message for message in messages if message["event_type"] == "end"]
    store = ClipStore(tmp_path / "state" / FOLDER_NAME)
    assert len(events) >= 3
    assert {message["clip"] for message in messages} == {clip.name.id for clip in store.newest(99)}
    for event in events:
        assert event["clip"] == clip_id(event["id"])
        clip = store.find(event["clip"])
        assert clip is not None
        assert (clip.name.source, clip.name.slug) == (event["source"], event["slug"])
        assert store.head(clip).comments["TITLE"] == event["label"]
        samples, found_hz = stored(clip.path)
        first, end = span_of(event, rate_hz, len(sound))
        assert found_hz == rate_hz
        assert abs(len(samples) - (end - first)) <= rate_hz // 1_000
        assert np.array_equal(samples, sound[first : first + len(samples)])


def test_without_the_table_no_sound_is_stored_and_no_message_names_a_clip(tmp_path: Path, broker: Broker) -> None:
    soundfile.write(tmp_path / "recording.wav", make_soundscape().samples, 16_000)
    messages = run_on(tmp_path / "recording.wav", broker, tmp_path / "state", "")
    assert messages
    assert not any("clip" in message for message in messages)
    assert FOLDER_NAME not in {path.name for path in (tmp_path / "state").iterdir()}


def from_first_sound(samples: Int16) -> Int16:
    return samples[np.flatnonzero(samples)[0] :]


class Microphone48(Microphone):
    """A microphone that does not support 16 kHz, as many do; ALSA converts the rate of the fake one otherwise."""

    def _open_at(self, rate_hz: int, device_index: int) -> Stream:
        if rate_hz == 16_000:
            raise OSError(-9997, "Invalid sample rate")
        return super()._open_at(48_000, device_index)


@contextmanager
def serving(state: Path, broker: Broker, open_source: Callable[[SourceConfig], Source]) -> Iterator[None]:
    """The service in this process, on a source that is made here."""
    path = state / "edge.toml"
    path.write_text(
        f'[node]\nname = "nursery"\n[[source]]\nname = "cot"\nhop = 0.48\n'
        f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n{CLIPS}'
    )
    config, stop = load_config(path), threading.Event()
    address = broker_of(config.mqtt, "clips")
    opened = open_state(state, config.outbox, config.history, config.clips)
    service = Service(config, load_networks(None, config), address, opened, open_source=open_source)
    thread = threading.Thread(target=service.run, args=(stop, lambda: None))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20.0)
    assert not thread.is_alive()


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_clip_of_a_microphone_is_what_was_played_into_the_room_with_the_time_around_it(
    tmp_path: Path, broker: Broker, rate_hz: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug, pcm = one_event()
    played = at_rate(np.frombuffer(pcm, np.int16), rate_hz)
    store = ClipStore(tmp_path / FOLDER_NAME)
    with (
        FakeMicrophone(rate_hz) as microphone,
        monkeypatch.context() as patch,
        subscriber(broker.host, broker.port) as inbox,
        ExitStack() as stack,
    ):
        for name, value in microphone.environment.items():
            patch.setenv(name, value)
        kind = Microphone48 if rate_hz == 48_000 else Microphone
        stack.enter_context(serving(tmp_path, broker, lambda _: kind(None)))
        wait_until(lambda: bool(inbox.json("cot/probabilities")[9:]), "some quiet before it")
        microphone.play(played.astype("<i2").tobytes(), latency_milliseconds=200)
        inbox.wait_for(lambda item: b'"event_type":"end"' in item.payload and slug.encode() in item.payload, "the event")
        (event, *_) = (event for event in ended(inbox).values() if event["slug"] == slug)
        wait_until(lambda: store.find(event["clip"]) is not None, "its clip")
    clip = store.find(event["clip"])
    assert clip is not None
    samples, found_hz = stored(clip.path)
    assert found_hz == rate_hz
    seconds = BEFORE_SECONDS + event["duration_seconds"] + AFTER_SECONDS
    assert abs(len(samples) / rate_hz - seconds) <= 0.001
    heard, wanted = from_first_sound(samples), from_first_sound(played)
    assert len(heard) > rate_hz
    both = min(len(heard), len(wanted))
    assert np.array_equal(heard[:both], wanted[:both]), "not a sample is missing or changed"
    assert not heard[both:].any(), "the room is silent after it"


def test_after_a_kill_during_an_event_there_is_no_half_clip(tmp_path: Path, broker: Broker, microphone: FakeMicrophone) -> None:
    state = tmp_path / "state"
    store = ClipStore(state / FOLDER_NAME)
    with subscriber(broker.host, broker.port) as inbox:
        with service(tmp_path, broker, microphone, state=str(state), extra=CLIPS) as process:
            inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
            microphone.play(one_event()[1], latency_milliseconds=200)
            wait_until(lambda: any(store.folder.glob("*.part")), "a clip that is being written", deadline_seconds=60.0)
            process.kill()
            process.wait()
        assert store.newest(9) == ()
        with service(tmp_path, broker, microphone, state=str(state), extra=CLIPS):
            inbox.wait_for(lambda item: b'"end_reason":"interrupted"' in item.payload, "its end")
            wait_until(lambda: not any(store.folder.glob("*.part")), "what it left to be removed")


def troubles(inbox: Inbox) -> Sequence[str] | None:
    return next((payload["troubles"] for payload in reversed(inbox.json("cot/health"))), None)


def test_a_disk_without_room_to_spare_costs_clips_and_no_event(
    tmp_path: Path, broker: Broker, microphone: FakeMicrophone
) -> None:
    with small_disk(tmp_path / "state"), subscriber(broker.host, broker.port) as inbox:
        folder = tmp_path / "state" / FOLDER_NAME
        sentence = (
            f"clips are not stored: the disk of {folder} has 0 MB left, which are for events; make room, or lower megabytes in "
            "[clips]"
        )
        with service(tmp_path, broker, microphone, state=str(tmp_path / "state"), extra=CLIPS) as process:
            wait_until(lambda: troubles(inbox) == [sentence], "the trouble in health")
            inbox.wait_for_payload(f"{BASE}/cot/availability", b"online")
            microphone.play(one_event()[1], latency_milliseconds=200)
            inbox.wait_for(lambda item: b'"event_type":"end"' in item.payload, "an event")
            process.terminate()
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read().count(sentence) == 1
        shown = subprocess.run(
            [sys.executable, "-m", "edge_detector", "events", "--json", "--database", tmp_path / "state" / "history.sqlite"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert {json.loads(line)["id"] for line in shown.stdout.splitlines()} == {each["id"] for each in inbox.json("cot/event")}
        assert list(folder.iterdir()) == []
