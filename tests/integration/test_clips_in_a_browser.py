"""Clips of sound on the page, in a headless Chromium: played, seen, deleted; and nothing of them where there are none."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import FOLDER_NAME, ClipStore
from edge_detector.history.store import FILE_NAME
from edge_detector.types import EventEnd, EventStart, Message
from edge_detector.web.page import Page
from tests.support.broker import Broker
from tests.support.chromium import Chromium, needs_chromium
from tests.support.clip_page import KEPT, clip_page
from tests.support.clips import event_id, head, noise, pieces, write
from tests.support.fake_microphone import FakeMicrophone
from tests.support.history import message_of, open_store, recorded
from tests.support.inbox import subscriber
from tests.support.nursery import one_event
from tests.support.page_service import PageService

pytestmark = needs_chromium

SECONDS = 3.0
SOUND = noise(SECONDS)
PLAY = ".event-table .play"
NOW_MS = round(1e3 * time.time()) - 60_000

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
after_seconds = 2
"""

PICTURE = """
const canvas = document.querySelector(".clip canvas");
const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
copy.drawImage(canvas, 0, 0);
const { data } = copy.getImageData(60, 10, canvas.width - 120, 150);
const colours = new Set();
for (let at = 0; at < data.length; at += 4) colours.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
return colours.size;
"""
DECODED = """
// Without a change of rate. Chromium divides positive samples by 32,767 and negative ones by 32,768.
const context = new OfflineAudioContext(1, 1, 16_000);
const bytes = fetch(arguments[0]).then((answer) => answer.arrayBuffer());
return bytes.then((buffer) => context.decodeAudioData(buffer)).then((sound) =>
  Array.from(sound.getChannelData(0), (value) => Math.round((value > 0 ? 32_767 : 32_768) * value)));
"""
IS_GONE = """
return new Promise((done) => {
  const audio = new Audio(arguments[0]);
  audio.onerror = () => done(true);
  audio.onloadeddata = () => done(false);
});
"""
AUDIO = "const audio = document.querySelector('.clip audio'); return audio && audio[arguments[0]]"
WIDE = """
return [...document.querySelectorAll("main *:not(.heat, .heat *)")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth)
  .map((each) => `${each.tagName}.${each.className} ${each.getBoundingClientRect().right}`).slice(0, 12);
"""
FOCUSED = "return document.activeElement.textContent"


def live_message(number: int, *, ended: bool) -> Message:
    """The message of an event's start or end, as a node with clips publishes it."""
    message = message_of(EventEnd(0, number, 80_000, 0.875, "ended") if ended else EventStart(0, number, 0.5))
    payload = {**json.loads(message.payload), "clip": clip_id(event_id(number))}
    assert payload["id"] == event_id(number)
    return replace(message, payload=json.dumps(payload).encode())


@dataclass(frozen=True, slots=True)
class Node:
    page: Page
    store: ClipStore
    browser: Chromium

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.page.server.address.port}"

    def open(self, view: str) -> None:
        self.browser.open("about:blank")
        self.browser.open(f"{self.url}/#{view}")
        self.browser.find("#connection.good")

    def play(self) -> None:
        """Open the newest clip of the history, and wait until its sound and picture are there."""
        self.open("history")
        self.browser.find(PLAY).click()
        self.browser.wait(lambda: self.browser.run(AUDIO, "readyState") == 4, "the sound")
        self.browser.find(".clip canvas")


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@pytest.fixture
def node(tmp_path: Path, browser: Chromium) -> Iterator[Node]:
    """Events 1, 2 and 3; the clips of 1 and 2."""
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(number, start_ms=NOW_MS + 1_000 * number) for number in (1, 2, 3)])
    store = ClipStore(tmp_path / "clips")
    for number in (1, 2):
        write(store, number, SOUND)
    with clip_page(path, store) as page:
        yield Node(page, store, browser)
        browser.open("about:blank")


@pytest.fixture(autouse=True)
def _no_errors(browser: Chromium) -> Iterator[None]:
    """No test leaves an error in the console that it has not looked for."""
    yield
    assert browser.errors() == []


def test_a_clip_plays_with_the_samples_that_were_recorded(node: Node) -> None:
    node.play()
    browser = node.browser
    assert browser.run(AUDIO, "duration") == pytest.approx(SECONDS, abs=1e-3)
    browser.run("document.querySelector('.clip audio').play()")
    first = browser.run(AUDIO, "currentTime")
    browser.wait(lambda: browser.run(AUDIO, "currentTime") > first + 0.2, "the sound to go on")
    assert browser.run("return document.querySelector('.clip audio').error") is None
    samples = browser.run(DECODED, f"/api/clips/{clip_id(event_id(2))}")
    np.testing.assert_array_equal(samples, SOUND)


def test_the_spectrogram_shows_the_sound_and_a_click_in_it_moves_the_playhead(node: Node) -> None:
    node.play()
    browser = node.browser
    browser.run("document.querySelector('.clip audio').pause()")
    assert browser.wait(lambda: browser.run(PICTURE), "the picture") > 50
    label = browser.find(".clip canvas").get_attribute("aria-label")
    assert label == "Spectrogram of Rain, 3.0 seconds, 125 Hz to 7.5 kHz"
    browser.find(".clip canvas").click()  # in its middle
    browser.wait(lambda: 1.3 < browser.run(AUDIO, "currentTime") < 1.6, "the playhead in the middle")


def test_only_events_with_a_clip_can_be_played(node: Node) -> None:
    node.open("history")
    node.browser.find(PLAY)
    rows = node.browser.all(".event-table tbody tr")
    shown = [row.find_element("css selector", ".play").is_displayed() for row in rows]
    assert shown == [False, True, True]


def test_one_clip_is_open_at_a_time_and_its_sound_is_let_go(node: Node) -> None:
    node.play()
    browser = node.browser
    address = browser.run(AUDIO, "src")
    assert address.startswith("blob:")
    first, second = (button for button in browser.all(PLAY) if button.is_displayed())
    second.click()
    browser.wait(lambda: browser.run(AUDIO, "src") not in {None, address}, "the other clip")
    assert len(browser.all(".clip audio")) == 1
    assert [button.get_attribute("aria-expanded") for button in (first, second)] == ["false", "true"]
    second.click()
    assert browser.all(".clip") == []
    assert browser.run(IS_GONE, address), "its bytes are kept no longer"
    assert all("ERR_FILE_NOT_FOUND" in error for error in browser.errors())


def test_a_clip_is_played_closed_and_kept_by_the_keyboard_alone(node: Node) -> None:
    node.open("history")
    browser = node.browser
    browser.find(PLAY)
    browser.run("document.querySelector('.event-table .play:not([hidden])').focus()")
    browser.press("ENTER")
    browser.find(".clip canvas")
    for _ in range(20):
        browser.press("TAB")
        if browser.run(FOCUSED) == "Delete":
            break
    browser.press("ENTER")
    assert browser.run(FOCUSED) == "Keep", "the safe answer has the focus"
    browser.press("ESCAPE")
    assert browser.run(FOCUSED) == "Delete"
    browser.press("ESCAPE")
    assert browser.all(".clip") == []
    assert browser.run("return document.activeElement.className") == "play"
    assert len(node.store.ids()) == 2


def test_a_clip_is_deleted_after_a_question(node: Node) -> None:
    node.play()
    browser = node.browser
    browser.find(".clip .quiet").click()
    group = browser.find(".clip .confirm")
    assert group.get_attribute("aria-label") == "Delete this recording for good?"
    browser.find(".clip .confirm button:not(.danger)").click()
    assert len(node.store.ids()) == 2
    browser.find(".clip .quiet").click()
    browser.find(".clip .danger").click()
    browser.wait(lambda: not browser.all(".clip"), "the clip to be closed")
    assert node.store.ids() == {clip_id(event_id(1))}
    assert [button.is_displayed() for button in browser.all(PLAY)] == [False, False, True]
    assert browser.run("return document.activeElement.tagName") == "A", "the focus stays in the row"


def test_all_recordings_are_counted_and_deleted_in_health(node: Node) -> None:
    node.open("health")
    browser = node.browser
    section = browser.find('[aria-labelledby="health-clips"]')
    browser.wait(lambda: "2 recordings, 0.2 MB." in section.text, "the number of recordings")
    assert KEPT[1:] in section.text
    browser.find('[aria-labelledby="health-clips"] .quiet').click()
    assert len(node.store.ids()) == 2
    browser.find('[aria-labelledby="health-clips"] .danger').click()
    browser.wait(lambda: "0 recordings, 0.0 MB." in section.text, "no recordings")
    assert node.store.ids() == frozenset()
    node.open("history")
    browser.find(".event-table tbody tr")
    assert not any(button.is_displayed() for button in browser.all(PLAY))


def test_a_clip_that_is_gone_is_said_to_be(node: Node) -> None:
    node.open("history")
    browser = node.browser
    browser.find(PLAY)
    node.store.delete_all()
    button = browser.find(PLAY)
    button.click()
    problem = browser.find(".clip .problem")
    assert problem.text == "There is no such clip; it may have been deleted: choose another one."
    button.click()
    assert not button.is_displayed()
    assert len(browser.errors()) == 1, "the browser's own line on an answer of 404"


def test_a_clip_that_is_still_recorded_is_played_as_soon_as_it_is_complete(node: Node) -> None:
    file = ClipFile(node.store, head(3))
    *begun, last = pieces(3, SOUND)
    for piece in begun:
        file.write(piece)
    node.open("history")
    browser = node.browser
    browser.find(PLAY).click()
    browser.wait(lambda: "still being recorded" in browser.find(".clip").text, "the page to say so")
    file.write(last)
    assert file.finish(NOW_MS, days=36_500, most_bytes=1 << 30)
    browser.wait(lambda: browser.run(AUDIO, "duration") == pytest.approx(SECONDS, abs=1e-3), "the sound")
    assert all(str(HTTPStatus.CONFLICT.value) in error for error in browser.errors())


def test_recent_events_of_the_live_view_can_be_played(node: Node) -> None:
    node.page.feed.put_event(live_message(1, ended=False))
    node.open("live")
    browser = node.browser
    browser.wait(lambda: "sound is being recorded" in browser.find(".events li").text, "the recording")
    assert not any(button.is_displayed() for button in browser.all(".events .play"))
    node.page.feed.put_event(live_message(1, ended=True))
    browser.find(".events .play").click()
    browser.find(".events .clip canvas")
    browser.wait(lambda: browser.run(AUDIO, "duration") == pytest.approx(SECONDS, abs=1e-3), "the sound")
    browser.run("location.hash = '#health'")
    browser.find('[aria-labelledby="health-clips"]')
    browser.run("location.hash = '#live'")
    browser.find(".events .play")
    assert browser.all(".clip") == [], "the sound ends where the view is left"


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_an_open_clip_fits_into_every_width(node: Node, width: int) -> None:
    node.browser.resize(width, 800)
    try:
        node.play()
        node.browser.find(".clip .quiet").click()
        assert node.browser.run("return document.documentElement.scrollWidth") <= width, node.browser.run(WIDE)
    finally:
        node.browser.resize(1280, 900)


def test_without_clips_the_page_has_nothing_of_them(tmp_path: Path, browser: Chromium) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(1, start_ms=NOW_MS)])
    with clip_page(path, None) as page:
        node = Node(page, ClipStore(tmp_path), browser)
        for view, ready in (("history", ".event-table tbody tr"), ("health", ".facts")):
            node.open(view)
            browser.find(ready)
            assert not any(shown.is_displayed() for shown in browser.all(".play, .clip, [aria-labelledby='health-clips']"))
            assert "Sound" not in browser.find("main").text
        names = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert not any("api/clips" in name for name in names)
        browser.open("about:blank")


def test_the_sound_of_an_event_is_played_on_the_page_of_the_service_that_heard_it(tmp_path: Path, browser: Chromium) -> None:
    _, sound = one_event()
    store = ClipStore(tmp_path / FOLDER_NAME)
    with Broker() as broker, FakeMicrophone() as microphone, subscriber(broker.host, broker.port) as inbox:
        configuration = CONFIGURATION.format(broker=broker)
        with PageService(configuration, microphone.environment, state=tmp_path) as service:
            inbox.wait_for_payload("edge_detector/nursery/cot/availability", b"online")
            browser.open(f"{service.url}/#live")
            browser.find("#connection.good")
            microphone.play(sound, latency_milliseconds=200)
            browser.wait(lambda: "sound is being recorded" in browser.find(".events").text, "an event", deadline_seconds=60.0)
            browser.wait(lambda: browser.find(".events .play"), "its end", deadline_seconds=60.0).click()
            browser.wait(lambda: browser.run(AUDIO, "duration"), "its sound", deadline_seconds=60.0)
            browser.find(".events .clip canvas")
            lengths = [store.head(clip).seconds for clip in store.newest(9)]
            assert browser.run(AUDIO, "duration") in [pytest.approx(seconds, abs=1e-3) for seconds in lengths]
            browser.run("location.hash = '#health'")
            section = browser.find('[aria-labelledby="health-clips"]')
            kept = f"The sound of each event is stored in {store.folder}, for 30 days and in 500 MB at most."
            browser.wait(lambda: kept in section.text, "where sound is stored")
            browser.open("about:blank")
    assert all(str(HTTPStatus.CONFLICT.value) in error for error in browser.errors())
