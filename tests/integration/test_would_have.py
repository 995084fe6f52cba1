"""What a threshold would have done, of the whole service: counted from disk, asked over HTTP, and seen below a slider."""

import json
import os
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge_detector.config import load_config
from edge_detector.history.probability_files import FOLDER_NAME, read_blocks
from edge_detector.history.would_have import count
from edge_detector.service.factory import load_networks
from tests.support.broker import Broker, free_port
from tests.support.chromium import Chromium, needs_chromium
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import subscriber
from tests.support.page_service import PageService
from tests.support.probabilities import blocks_of, store, with_events
from tests.support.soundscape_file import write_soundscape
from tests.unit.edge_detector.cli.test_run import BASE

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CONFIGURATION = """
[node]
name = "nursery"
[[source]]
name = "cot"
[mqtt]
host = "{broker.host}"
port = {broker.port}
"""
WATCH = """
window.asked = [];
const original = window.fetch;
window.fetch = (path, options) => {
  if (String(path).includes("would-have")) window.asked.push(String(path));
  return original(path, options);
};
window.said = [];
new MutationObserver((records) => {
  for (const { target } of records) {
    const line = (target.nodeType === 1 ? target : target.parentElement)?.closest(".would-have");
    if (line?.textContent) window.said.push(line.textContent);
  }
}).observe(document.querySelector(".thresholds"), { childList: true, characterData: true, subtree: true });
"""


def processed(folder: Path, broker: Broker, hop: str, page: str = "") -> tuple[Path, Counter[str]]:
    """Run the service on a recording, and return its configuration and the starts of events that it published, by class."""
    write_soundscape(folder / "recording.wav")
    config = folder / "edge.toml"
    config.write_text(
        f'[node]\nname = "nursery"\n[[source]]\nname = "cot"\nkind = "file"\ndevice = "{folder}/recording.wav"\nhop = {hop}\n'
        f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n{page}'
    )
    environment = {**os.environ, "STATE_DIRECTORY": str(folder), "NOTIFY_SOCKET": ""}
    command = [sys.executable, "-m", "edge_detector", "run", "--config", str(config)]
    with subscriber(broker.host, broker.port) as inbox:
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        inbox.wait_for(lambda item: item.topic == f"{BASE}/status" and item.payload == b"offline", "the end")
        return config, Counter(event["slug"] for event in inbox.json("cot/event") if event["event_type"] == "start")


@pytest.mark.parametrize("hop", ["0.96", "0.24"])
def test_the_events_of_a_recording_are_those_that_were_published(tmp_path: Path, broker: Broker, hop: str) -> None:
    config, published = processed(tmp_path, broker, hop, f'[web]\nlisten = "127.0.0.1:{free_port()}"\n')
    assert sum(published.values()) >= 3
    networks = load_networks(None, load_config(config))
    now_ms = round(time.time() * 1e3)
    since_ms, until_ms = now_ms - DAY_MS, now_ms + DAY_MS
    counted: Counter[str] = Counter()
    for sound, rule in zip(networks.classes, networks.rules[round(0.96 / float(hop))], strict=True):
        if rule.enabled:
            blocks = read_blocks(tmp_path / FOLDER_NAME, "cot", since_ms, until_ms)
            found = count(blocks, sound.slug, [rule], since_ms, until_ms)
            counted[sound.slug] += found.events[0]
            assert found.hours > 0
    assert +counted == published


def test_no_probabilities_are_stored_for_a_page_that_is_not_there(tmp_path: Path, broker: Broker) -> None:
    _, published = processed(tmp_path, broker, "0.96")
    assert published
    assert not (tmp_path / FOLDER_NAME).exists()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageService]:
    """A service whose microphone has heard rain six times in an hour of the last day, and six times the day before."""
    state = tmp_path_factory.mktemp("state")
    now_ms = round(time.time() * 1e3)
    for hours_ago in (30, 3):
        probabilities = with_events(["rain"], 3_600.0, 600.0, [0.55, 0.75, 0.95])
        store(state / FOLDER_NAME, blocks_of(probabilities, ["rain"], now_ms - hours_ago * HOUR_MS))
    with ExitStack() as stack:
        broker, microphone = stack.enter_context(Broker()), stack.enter_context(FakeMicrophone())
        yield stack.enter_context(PageService(CONFIGURATION.format(broker=broker), microphone.environment, state=state))


def asked(service: PageService, **query: object) -> tuple[int, Any]:
    status, text = service.ask("GET", f"/api/would-have?{urllib.parse.urlencode({'source': 'cot', 'class': 'rain'} | query)}")
    return status, json.loads(text)


def test_the_page_answers_with_both_counts(service: PageService) -> None:
    status, answer = asked(service, on=0.5, now=0.9)
    assert (status, answer) == (200, {"on": 0.5, "events": 6, "on_now": 0.9, "events_now": 2, "hours": 1.0})
    (source,) = json.loads(service.ask("GET", "/api/node")[1])["sources"]
    (rain,) = (sound for sound in source["classes"] if sound["slug"] == "rain")
    in_force = {"on": rain["on"], "events": 12, "on_now": rain["on"], "events_now": 12, "hours": 2.0}
    assert asked(service, on=rain["on"], days=7) == (200, in_force)
    assert asked(service, on=7)[0] == 400


@needs_chromium
def test_a_slider_that_is_moved_by_keyboard_says_once_what_it_would_have_done(service: PageService) -> None:
    with Chromium() as browser:
        browser.open(f"{service.url}/#thresholds")
        browser.find(".thresholds li")
        slider = next(each for each in browser.all(".thresholds input") if "Rain," in (each.get_attribute("aria-label") or ""))
        browser.run(WATCH)
        assert not browser.all(".would-have"), "nothing is said while nothing is moved"
        before = slider.get_attribute("aria-valuetext")
        browser.run("arguments[0].focus()", slider)
        browser.press(*["ARROW_LEFT"] * 5)
        low = browser.wait(lambda: browser.run("return window.said.at(-1)"), "the line")
        value = float(slider.get_attribute("value") or "")
        assert low.startswith(f"At {value:.3f}: ")
        assert f"; at {before}: " in low
        assert "in 60 min of the last day" in low or "in 1 h of the last day" in low
        assert "of the last 7 days" in low
        assert len(browser.run("return window.said")) == 1
        assert len(browser.run("return window.asked")) == 2, "one question a period, however often a key is pressed"

        browser.press("END")
        highest = browser.wait(lambda: (said := browser.run("return window.said"))[1:] and said[-1], "another line")
        assert highest.startswith("At 1.000: 0 events in ")
        assert f"; at {before}: " in highest, "what was in force before it was moved"
        assert len(browser.run("return window.said")) == 2
        line = browser.find(".would-have")
        assert line.get_attribute("role") == "status"
        assert browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert browser.errors() == []
