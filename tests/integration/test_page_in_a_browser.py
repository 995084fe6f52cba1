"""The page in a headless Chromium, served by the whole service: microphone, networks, broker, history."""

import json
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import pytest

from edge_detector.history.store import FILE_NAME
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.types import Message
from tests.support.broker import HOST, Broker, free_port
from tests.support.chromium import Chromium, needs_chromium
from tests.support.fake_microphone import FakeMicrophone
from tests.support.history import one_a_minute, open_store
from tests.support.inbox import Inbox, subscriber
from tests.support.nursery import one_event
from tests.support.page_service import PageService
from tests.support.waiting import wait_until

pytestmark = needs_chromium

SLUG, (_, SOUND) = "hound", one_event()
LABEL = "<img src=x onerror=document.title='taken'>"
"""Label of the class that is heard: markup, which is text like any other."""
CONFIGURATION = """
[node]
name = "nursery"
[[source]]
name = "cot"
hop = 0.48
[mqtt]
host = "{broker.host}"
port = {broker.port}
[clips]
enabled = true
"""
OWN_CLASS = f"""
[class.{SLUG}]
label = "{LABEL}"
audioset = ["Dog", "Bark"]
on = 0.3
off = 0.15
"""
BASE = "edge_detector/nursery/cot"
PASSWORD = "correct horse"  # noqa: S105 - of tests alone
OLD_EVENTS = 250
HOUR_MS = 3_600_000
EVENT_SECONDS = 1.0
"""Longest time from an event's MQTT message to its row on the page."""
READY = {
    "live": ".events li",
    "history": ".heat",
    "review": ".review :is(.lead, canvas)",
    "thresholds": ".thresholds li",
    "health": ".facts div",
}
VIEWS = tuple(READY)

WATCH_EVENTS = """
window.seen = [];
new MutationObserver(() => {
  for (const row of document.querySelectorAll(".events li")) {
    const text = row.querySelector(".label").textContent;
    if (!window.seen.some((other) => other.text === text)) window.seen.push({ text, ms: Date.now() });
  }
}).observe(document.querySelector(".newest"), { childList: true, subtree: true });
window.said = [];
new MutationObserver(() => window.said.push(document.querySelector("[aria-live=polite]").textContent))
  .observe(document.querySelector("[aria-live=polite]"), { childList: true, characterData: true, subtree: true });
"""
PICTURE = """
const canvas = document.querySelector(".spectrogram canvas");
// A copy, since Chromium warns of a canvas that is read often.
const copy = new OffscreenCanvas(canvas.width, 150).getContext("2d", { willReadFrequently: true });
copy.drawImage(canvas, 0, -60);
const { data } = copy.getImageData(0, 0, canvas.width, 150);
const colours = new Set();
let sum = 0;
for (let at = 0; at < data.length; at += 4) {
  const colour = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  colours.add(colour);
  sum = (sum * 31 + colour) | 0;
}
return { sum, colours: colours.size };
"""


@dataclass(slots=True)
class Arrivals:
    """Events' messages, with the Unix times of their arrival in ms."""

    events: list[tuple[dict[str, Any], float]] = field(default_factory=list)

    def receive(self, message: Message) -> None:
        self.events.append((json.loads(message.payload), time.time() * 1e3))

    def of(self, event_type: str) -> list[tuple[dict[str, Any], float]]:
        return [(event, at_ms) for event, at_ms in self.events if (event["event_type"], event["slug"]) == (event_type, SLUG)]


@dataclass(frozen=True, slots=True)
class Home:
    """Everything that the tests share."""

    broker: Broker
    microphone: FakeMicrophone
    service: PageService
    browser: Chromium
    inbox: Inbox
    arrivals: Arrivals

    def open(self, view: str = "live") -> None:
        """Load the page anew, at a view, and wait until that is loaded and the page connected."""
        self.browser.open("about:blank")
        self.browser.open(f"{self.service.url}/#{view}")
        self.browser.find("main > div")
        self.browser.find("#connection.good")

    def slider(self, slug: str) -> str:
        """CSS selector of the slider of a class."""
        (source,) = json.loads(_get(self, "/api/node"))["sources"]
        (label,) = (sound["label"] for sound in source["classes"] if sound["slug"] == slug)
        return f'input[aria-label="Threshold of {label}, cot"]'


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that the page has shown: its first message, and what the page did meanwhile."""

    event: dict[str, Any]
    published_ms: float
    seen: list[dict[str, Any]]
    said: list[str]
    pictures: list[dict[str, int]]
    levels: list[int]
    bars: list[str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    state, arrivals = tmp_path_factory.mktemp("state"), Arrivals()
    store = open_store(state / FILE_NAME)
    store.apply(list(one_a_minute(OLD_EVENTS, int(time.time() * 1e3) - HOUR_MS)))
    store.close()
    with ExitStack() as stack:
        broker, microphone = stack.enter_context(Broker()), stack.enter_context(FakeMicrophone())
        inbox = stack.enter_context(subscriber(broker.host, broker.port))
        address = Address(broker.host, broker.port, "test-arrivals")
        stack.enter_context(subscription(address, f"{BASE}/event", arrivals.receive))
        configuration = CONFIGURATION.format(broker=broker) + OWN_CLASS
        service = stack.enter_context(PageService(configuration, microphone.environment, state=state))
        browser = stack.enter_context(Chromium())
        inbox.wait_for_payload(f"{BASE}/availability", b"online")
        yield Home(broker, microphone, service, browser, inbox, arrivals)


@pytest.fixture(autouse=True)
def _no_errors(home: Home) -> Iterator[None]:
    """No test leaves an error in the console that it has not looked for, or asks another host for anything."""
    yield
    assert home.browser.errors() == []
    names = home.browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith("http://127.0.0.1:") for name in names), names
    assert home.browser.run("return document.title") != "taken", "markup from the configuration was taken as such"


@pytest.fixture(scope="module")
def heard(home: Home) -> Heard:
    """One sound from its beginning to its end, with the page in view."""
    browser = home.browser
    home.open()
    browser.run(WATCH_EVENTS)
    browser.find(".spectrogram canvas")
    pictures, levels, bars = [], [], []
    home.microphone.play(SOUND, latency_milliseconds=200)

    def ended() -> bool:
        pictures.append(browser.run(PICTURE))
        levels.append(int(browser.find('[role="meter"]').get_attribute("aria-valuenow") or ""))
        bars.append(browser.run("return document.querySelector('.classes .bar-fill').style.transform"))
        return bool(home.arrivals.of("end"))

    wait_until(ended, "the event's end", deadline_seconds=60.0)
    (event, published_ms), *_ = home.arrivals.of("start")
    seen = browser.wait(lambda: browser.run("return window.seen"), "the event on the page")
    return Heard(event, published_ms, seen, browser.run("return window.said"), pictures, levels, bars)


def test_spectrogram_level_and_bars_follow_the_sound(heard: Heard) -> None:
    assert len({picture["sum"] for picture in heard.pictures}) > len(heard.pictures) / 2, "the picture moves"
    assert max(picture["colours"] for picture in heard.pictures) > 50
    assert max(heard.levels) > -40
    assert max(heard.levels) - min(heard.levels) > 20
    assert len(set(heard.bars)) > 3


def test_an_event_is_on_the_page_within_a_second_of_its_message(heard: Heard) -> None:
    (at_ms,) = (row["ms"] for row in heard.seen if row["text"] == LABEL)
    assert at_ms - heard.published_ms < EVENT_SECONDS * 1e3


def test_a_label_with_markup_is_shown_as_text_everywhere(home: Home, heard: Heard) -> None:
    del heard
    for view in VIEWS:
        home.open(view)
        home.browser.find("main h1, main h1.unseen")
    assert home.browser.all("img[src=x]") == []


def test_a_screen_reader_is_told_of_the_event(heard: Heard) -> None:
    assert f"{LABEL}, cot, begins" in heard.said


def test_a_refused_threshold_says_why_and_the_slider_goes_back(home: Home) -> None:
    browser, slider = home.browser, home.slider("rain")
    home.open("thresholds")
    usual = browser.find(slider).get_attribute("value")
    # The page offers only what the service takes; a page of another version may not.
    browser.run("arguments[0].min = 0; arguments[0].focus()", browser.find(slider))
    browser.press("HOME")
    problem = browser.find(f"li:has({slider}) .problem")
    assert "was refused" in problem.text
    assert problem.get_attribute("role") == "alert"
    assert browser.find(slider).get_attribute("value") == usual
    assert all("400" in error for error in browser.errors())


def test_a_held_arrow_key_is_not_refused_as_too_many_commands(home: Home) -> None:
    browser, slider, topic = home.browser, home.slider("sea_waves"), f"{BASE}/threshold/sea_waves"
    home.open("thresholds")
    before = len(_payloads(home, topic))
    browser.run("arguments[0].focus()", browser.find(slider))
    browser.press(*["ARROW_LEFT"] * 100)
    home.inbox.wait_for_payload(topic, b"0.01")
    browser.wait(lambda: not browser.all(".thresholds .sending"), "the answer")
    assert browser.find(slider).get_attribute("value") == "0.01"
    assert [problem.text for problem in browser.all(".problem") if problem.text] == []
    assert len(_payloads(home, topic)) - before < 20
    browser.find(f"li:has({slider}) button").click()
    browser.wait(lambda: not browser.all(f"li:has({slider}) button:not([hidden])"), "the default")


def _payloads(home: Home, topic: str) -> list[bytes]:
    return [message.payload for message in home.inbox.messages if message.topic == topic]


def test_the_history_has_the_event_and_can_be_filtered_loaded_on_and_downloaded(home: Home, heard: Heard) -> None:
    browser = home.browser
    # It is written each 5 s.
    wait_until(lambda: heard.event["id"] in _get(home, "/api/events?limit=1000"), "the event in the history")
    home.open("history")
    browser.wait(lambda: len(_rows(browser)) == 100, "the first hundred events")
    assert LABEL in [row[1] for row in _rows(browser)]
    (heat,) = (row for row in browser.all(".heat tbody tr") if row.text.startswith(LABEL))
    *hours, total = map(int, heat.text.removeprefix(LABEL).split())
    assert sum(hours) == total >= 1
    more = "//button[text()='Load more']"
    for shown in (100, 200):
        browser.run("document.evaluate(arguments[0], document, null, 9).singleNodeValue.click()", more)
        wait_until(partial(_has_more_rows, browser, shown), "more events")
    assert len(_rows(browser)) > OLD_EVENTS
    assert len(_rows(browser)) == len({tuple(row) for row in _rows(browser)}), "no event comes twice"

    _choose(browser, "#filter-class", SLUG)
    browser.wait(lambda: {row[1] for row in _rows(browser)} == {LABEL}, "events of the class alone")
    link = browser.run("return document.querySelector('a[download=\"events.csv\"]').href")
    header, *rows = _get(home, link.removeprefix(home.service.url)).splitlines()
    assert "end_reason" in header
    assert len(rows) == len(_rows(browser))
    assert any(heard.event["id"] in row for row in rows)
    _choose(browser, "#filter-source", "kitchen")
    browser.wait(lambda: not _rows(browser), "no such event in the kitchen")
    _choose(browser, "#filter-class", "")
    browser.wait(lambda: {row[2] for row in _rows(browser)} == {"kitchen"}, "events of the kitchen alone")


def test_a_link_to_an_event_opens_it_highlighted(home: Home, heard: Heard) -> None:
    browser = home.browser
    wait_until(lambda: heard.event["id"] in _get(home, "/api/events?limit=1000"), "the event in the history")
    home.open(f"event={urllib.parse.quote(heard.event['id'], safe='')}")
    row = browser.find("tr.wanted")
    assert LABEL in row.text
    assert browser.run("return document.activeElement === arguments[0]", row)
    top, bottom = browser.run("const box = arguments[0].getBoundingClientRect(); return [box.top, box.bottom]", row)
    assert 0 <= top < bottom <= browser.run("return innerHeight")
    home.open("event=nursery%2Fcot%2Funknown")
    assert "not in the history" in browser.find("main .problem").text


def _rows(browser: Chromium) -> list[list[str]]:
    rows: list[list[str]] = browser.run(
        "return [...document.querySelectorAll('.event-table tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return rows


def _has_more_rows(browser: Chromium, number: int) -> bool:
    return len(_rows(browser)) > number


def _get(home: Home, path: str) -> str:
    status, text = home.service.ask("GET", path)
    assert status == HTTPStatus.OK, text
    return text


def _choose(browser: Chromium, select: str, value: str) -> None:
    browser.run(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', { bubbles: true }))",
        browser.find(select),
        value,
    )


@pytest.mark.parametrize(("width", "colours"), [(320, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_no_view_scrolls_sideways_on_a_phone_or_a_desktop(
    home: Home, heard: Heard, width: int, colours: Literal["dark", "light"]
) -> None:
    del heard
    browser = home.browser
    browser.resize(width, 844)
    browser.prefer(colours=colours)
    try:
        for view in VIEWS:
            home.open(view)
            browser.find(READY[view])
            page, seen = browser.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert page <= seen, view
            ground = browser.run("return getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(244, 246, 247)", "dark": "rgb(14, 19, 23)"}[colours]
    finally:
        browser.resize(1280, 900)
        browser.prefer(colours="light")


def test_everything_is_reached_by_the_keyboard_alone(home: Home) -> None:
    browser = home.browser
    home.open("live")
    reached = _tab(browser, 6)
    assert reached == ["Skip to content", "Live", "History", "Review", "Thresholds", "Health"]
    home.open("live")
    browser.press(*["TAB"] * 3, "ENTER")
    browser.wait(lambda: browser.run("return location.hash") == "#history", "the history")
    browser.find("#filter-period")
    assert _tab(browser, 3) == ["filter-period", "filter-source", "filter-class"], "the focus is at the view's beginning"
    home.open("thresholds")
    browser.find(".thresholds li")
    sliders = browser.run("return document.querySelectorAll('main input[type=range]').length")
    browser.press("TAB", "ENTER")
    reached = _tab(browser, sliders + 1)
    assert reached[0] == "Mute cot"
    assert sum(name.startswith("Threshold of ") for name in reached) == sliders > 5


def _tab(browser: Chromium, times: int) -> list[str]:
    """Press Tab so often; what has the focus after each."""
    names = []
    for _ in range(times):
        browser.press("TAB")
        names.append(
            browser.run(
                "const e = document.activeElement; return e.id.startsWith('filter') ? e.id : e.ariaLabel || e.textContent.trim()"
            )
        )
    return names


def test_health_says_in_a_sentence_that_the_broker_is_away(home: Home) -> None:
    browser = home.browser
    home.broker.kill()
    try:
        home.open("health")
        browser.wait(lambda: [text for text in _troubles(browser) if "broker" in text], "the trouble")
    finally:
        home.broker.start()
    (trouble,) = (text for text in _troubles(browser) if "broker" in text)
    assert trouble[-1] in ".?"
    assert home.broker.host in trouble
    browser.wait(lambda: not [text for text in _troubles(browser) if "broker" in text], "its end", deadline_seconds=60.0)


def _troubles(browser: Chromium) -> list[str]:
    return [item.text for item in browser.all(".notice li")]


def test_a_page_that_is_left_takes_no_connection_and_goes_on_when_one_comes_back(home: Home) -> None:
    browser = home.browser
    for _ in range(8):
        home.open("live")
    wait_until(lambda: json.loads(_get(home, "/api/health"))["page"]["browsers"] == 1, "the pages that were left to let go")
    browser.open("about:blank")
    wait_until(lambda: json.loads(_get(home, "/api/health"))["page"]["browsers"] == 0, "the last page to let go")
    browser.driver.back()
    browser.find("#connection.good")
    wait_until(lambda: json.loads(_get(home, "/api/health"))["page"]["browsers"] == 1, "the page to go on")


def test_a_page_with_a_password_opens_to_those_who_know_it(home: Home) -> None:
    away = CONFIGURATION.replace("{broker.host}", HOST).replace("{broker.port}", str(free_port()))
    browser = home.browser
    with PageService(away, home.microphone.environment, password=PASSWORD) as service:
        browser.open(f"{service.url}/#thresholds")
        browser.find("#password").send_keys("wrong horse")
        browser.press("ENTER")
        assert "wrong" in browser.find("form .problem").text.lower()
        assert not browser.find("form button").get_attribute("disabled")
        browser.run("arguments[0].value = ''", browser.find("#password"))
        browser.find("#password").send_keys(PASSWORD)
        browser.press("ENTER")
        browser.find("#connection.good")
        browser.find(".thresholds li")
        assert browser.run("return document.cookie") == "", "no script can read the session"
        browser.find("#logout").click()
        browser.find("#password")
        assert not browser.all("nav:not([hidden])")
        assert all("40" in error for error in browser.errors())
        browser.open("about:blank")


def test_a_threshold_and_a_mute_are_published_and_kept(home: Home) -> None:
    # The last test: after the restart the page knows of no event any more.
    browser, topic = home.browser, f"{BASE}/threshold/rain"
    slider, mute = home.slider("rain"), 'main [role="switch"]'
    home.open("thresholds")
    usual = float(browser.find(slider).get_attribute("value") or "")
    browser.run("arguments[0].focus()", browser.find(slider))
    browser.press(*["ARROW_RIGHT"] * 3)
    browser.wait(lambda: not browser.all(".thresholds .sending"), "the answer")
    value = float(browser.find(slider).get_attribute("value") or "")
    assert value == pytest.approx(usual + 0.03, abs=0.0101)
    message = home.inbox.wait_for_payload(topic, f"{value:g}".encode())
    browser.find(mute).click()
    home.inbox.wait_for_payload(f"{BASE}/mute", b"ON")
    with subscriber(home.broker.host, home.broker.port, topics=topic) as later:
        later.wait_for_payload(topic, message.payload)

    def kept() -> bool:
        shown = float(browser.find(slider).get_attribute("value") or "")
        return shown == value and browser.find(mute).get_attribute("aria-checked") == "true"

    home.open("thresholds")
    browser.wait(kept, "both after a reload")
    home.service.kill()
    browser.find("#connection.bad")
    assert "connection to the node is lost" in browser.find("#banner").text
    home.service.start()
    browser.wait(lambda: browser.all("#connection.good"), "the page to find the service again")
    assert browser.all("#banner[hidden]")
    browser.wait(kept, "both after a restart")
    assert all("ERR_" in error for error in browser.errors()), "connections that failed, and nothing else"

    browser.find(f"li:has({slider}) button").click()
    browser.find(mute).click()
    browser.wait(lambda: not browser.all(f"li:has({slider}) button:not([hidden])"), "the default")
    assert float(browser.find(slider).get_attribute("value") or "") == usual
    browser.wait(lambda: browser.find(mute).get_attribute("aria-checked") == "false", "the mute to end")
    assert browser.run("return document.activeElement.matches(arguments[0])", mute)
    wait_until(lambda: _payloads(home, f"{BASE}/mute")[-1] == b"OFF", "the mute to end over MQTT")
    wait_until(lambda: float(_payloads(home, topic)[-1]) == pytest.approx(usual, abs=5e-3), "the default over MQTT")
