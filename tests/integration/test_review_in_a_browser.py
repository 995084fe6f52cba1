"""Reviews of clips on the page, in a headless Chromium: by keys and by buttons, undone, corrected, and what they amount to."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.cutter import ClipHead
from edge_detector.clips.names import clip_id, clip_name
from edge_detector.clips.store import ClipStore
from edge_detector.files import SOUNDS_FOLDER
from edge_detector.history.store import FILE_NAME
from edge_detector.web.page import Page
from edge_detector.web.views import ClassView
from tests.support.chromium import Chromium, needs_chromium
from tests.support.clip_page import KEPT, clip_page
from tests.support.clips import DAYS, MOST_BYTES, RATE_HZ, event_id, noise, pieces
from tests.support.history import open_store, recorded
from tests.support.node_view import COT, VIEW

pytestmark = needs_chromium

LABEL = "<img src=x onerror=document.title='taken'>"
"""Label of the class that is heard: markup, which is text like any other."""
CLIPS = 6
LEAD_SECONDS, SECONDS = 5.0, 8.0
NOW_MS = round(1e3 * time.time()) - 3_600_000
AUDIO = "const audio = document.querySelector('.review audio'); return audio && audio[arguments[0]]"
WIDE = """
return [...document.querySelectorAll("main *:not(.scroll *)")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth)
  .map((each) => `${each.tagName}.${each.className} ${each.getBoundingClientRect().right}`).slice(0, 12);
"""
HEADING = "return document.querySelector('#review-title').textContent"
FACTS = "return document.querySelector('.review .soft').textContent"
FOCUSED = "return document.activeElement.id"


def write_clip(store: ClipStore, number: int) -> None:
    """Store the clip of an event whose label is markup; louder from the event on."""
    store.prepare()
    start_ms = NOW_MS + 60_000 * number
    name = clip_name(event_id(number), start_ms / 1e3, "cot", "rain")
    file = ClipFile(store, ClipHead(event_id(number), name, LABEL, RATE_HZ, lead_seconds=LEAD_SECONDS))
    sound = noise(SECONDS, number) // 64
    sound[round(LEAD_SECONDS * RATE_HZ) :] *= 16
    for piece in pieces(number, sound.astype(np.int16)):
        file.write(piece)
    assert file.finish(start_ms, days=DAYS, most_bytes=MOST_BYTES)


@dataclass(frozen=True, slots=True)
class Node:
    page: Page
    state: Path
    browser: Chromium

    def open(self, view: str = "review") -> None:
        self.browser.open("about:blank")
        self.browser.open(f"http://127.0.0.1:{self.page.server.address.port}/#{view}")
        self.browser.find("#connection.good")

    def begin(self) -> None:
        """Open the review, and wait until the newest clip can be heard and seen."""
        self.open()
        self.wait_for_sound()

    def wait_for_sound(self) -> None:
        self.browser.wait(lambda: self.browser.run(AUDIO, "readyState") == 4, "the sound")
        self.browser.find(".review canvas")

    def press(self, *keys: str, says: str = "") -> None:
        """Press keys, and wait for what the page says of it."""
        self.browser.press(*keys)
        if says:
            self.browser.wait(lambda: says in self.said, says)

    @property
    def said(self) -> str:
        return self.browser.find(".saved [role=status]").text

    @property
    def waiting(self) -> set[str]:
        return ids(self.state / "clips")

    def has_waiting(self, number: int) -> bool:
        return len(self.waiting) == number

    def filed(self, *parts: str) -> set[str]:
        return ids(self.state.joinpath(SOUNDS_FOLDER, *parts))


def ids(folder: Path) -> set[str]:
    return {file.stem[-16:] for file in folder.glob("*.flac")}


def numbered(*numbers: int) -> set[str]:
    return {clip_id(event_id(number)) for number in numbers}


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium(arguments=["--autoplay-policy=no-user-gesture-required"]) as browser:
        yield browser


@pytest.fixture
def node(tmp_path: Path, browser: Chromium) -> Iterator[Node]:
    """A node with the events 1 to 6, and their clips; the newest is 6."""
    path, store = tmp_path / FILE_NAME, ClipStore(tmp_path / "clips")
    with closing(open_store(path)) as history:
        history.apply([recorded(number, start_ms=NOW_MS + 60_000 * number) for number in range(1, CLIPS + 1)])
    for number in range(1, CLIPS + 1):
        write_clip(store, number)
    with clip_page(path, store) as page:
        yield Node(page, tmp_path, browser)
        browser.open("about:blank")


@pytest.fixture(autouse=True)
def _no_errors(browser: Chromium) -> Iterator[None]:
    """No test leaves an error in the console that it has not looked for, and no markup is taken as such."""
    yield
    assert unexpected(browser) == []
    assert browser.run("return document.title") != "taken"


def unexpected(browser: Chromium, *statuses: HTTPStatus) -> list[str]:
    """The console's errors, but for refusals of these kinds; a page without the service teaches nothing."""
    allowed = [f"the server responded with a status of {status.value}" for status in statuses]
    return [error for error in browser.errors() if "/api/teaching" not in error and not any(each in error for each in allowed)]


def test_clips_are_reviewed_by_keys_alone_and_each_is_filed_where_its_verdict_says(node: Node) -> None:
    node.begin()
    browser = node.browser
    assert browser.run(HEADING) == f"{LABEL}?"
    assert "1 of 6" in browser.find(".review header").text
    node.press("r", says="right")
    node.press("w", says="wrong")
    node.press("i")
    browser.press(*"Doorbell", "ENTER")
    browser.wait(lambda: "it was Doorbell" in node.said, "the label")
    assert node.waiting == numbered(1, 2, 3)
    assert node.filed("rain") == numbered(6), "a label that cannot be a folder's name gives way to the class's own"
    assert node.filed("not", "rain") == numbered(5)
    assert node.filed("Doorbell") == numbered(4)
    assert "1 of 3" in browser.find(".review header").text


def test_after_a_review_the_next_clip_plays_by_itself_from_just_before_its_event(node: Node) -> None:
    node.begin()
    browser = node.browser
    assert browser.run(AUDIO, "paused"), "no sound begins because a view is opened"
    first = browser.run(FACTS)
    node.press("r", says="right")
    browser.wait(lambda: browser.run(AUDIO, "currentTime") > LEAD_SECONDS, "the next clip to play")
    assert browser.run(FACTS) != first
    assert browser.run(FOCUSED) == "review-title", "a screen reader reads the next clip"
    node.press(" ")
    browser.wait(lambda: browser.run(AUDIO, "paused"), "the pause")
    label = browser.find(".review canvas").get_attribute("aria-label") or ""
    assert label.endswith("; the event begins at 5.0 seconds")


def test_the_last_review_is_undone_by_one_key_and_then_the_one_before(node: Node) -> None:
    node.begin()
    newest = node.browser.run(FACTS)
    node.press("r", says="right")
    node.press("w", says="wrong")
    assert node.waiting == numbered(1, 2, 3, 4)
    node.press("u", says="Undone")
    node.browser.wait(lambda: node.waiting == numbered(1, 2, 3, 4, 5), "the second clip to wait again")
    node.press("u")
    node.browser.wait(lambda: node.waiting == numbered(1, 2, 3, 4, 5, 6), "the first clip to wait again")
    assert node.browser.run(FACTS) == newest
    node.press("u", says="There is nothing to undo")


def test_keys_go_on_and_back_without_a_review(node: Node) -> None:
    node.begin()
    browser = node.browser
    seen = []
    for key in ("j", "ARROW_RIGHT", "k", "ARROW_LEFT"):
        node.press(key)
        seen.append(browser.find(".review header .chip").text)
    assert seen == ["2 of 6", "3 of 6", "2 of 6", "1 of 6"]
    node.press("k", says="There is no other one this way.")
    assert node.waiting == numbered(1, 2, 3, 4, 5, 6)


def test_keys_do_nothing_while_a_label_is_typed_or_they_are_switched_off(node: Node) -> None:
    node.begin()
    browser = node.browser
    node.press("i")
    browser.press(*"jwurk ", "ESCAPE")
    assert browser.run(FOCUSED) == "review-title"
    assert not browser.find(".review .verdicts button").get_attribute("disabled")
    browser.find(".keys input").click()
    browser.run("document.querySelector('#review-title').focus()")
    browser.press("r", "w", "j")
    assert "1 of 6" in browser.find(".review header").text
    assert node.waiting == numbered(1, 2, 3, 4, 5, 6)


def test_all_is_done_by_buttons_too_and_a_label_of_before_is_one_of_them(node: Node) -> None:
    node.begin()
    browser = node.browser
    right, wrong, other = browser.all(".verdicts button")
    other.click()
    browser.find("#label-field").send_keys("Kettle")
    browser.find(".other .primary").click()
    browser.wait(lambda: "it was Kettle" in node.said, "the label")
    wrong.click()
    browser.wait(lambda: "wrong" in node.said, "the review")
    other.click()
    browser.find(".other .quiet").click()
    browser.wait(lambda: node.filed("Kettle") == numbered(6, 4), "the label of before")
    right.click()
    browser.wait(lambda: "right" in node.said, "the review")
    browser.find(".saved button").click()
    browser.wait(lambda: "Undone" in node.said, "the review to be undone")
    assert node.waiting == numbered(1, 2, 3)


def test_a_sound_that_was_another_class_is_filed_with_that_class_whatever_its_label(node: Node) -> None:
    bark = ClassView("dog_bark", "Dog barking", on=0.5, off=0.25, default_on=0.5)
    node.page.feed.put_view(replace(VIEW, clips=KEPT, sources=(replace(COT, classes=(bark,)),)))
    node.begin()
    node.press("i")
    node.browser.press(*"dog barking", "ENTER")
    node.browser.wait(lambda: node.filed("dog_bark") == numbered(6), "the review")


def test_a_label_that_cannot_be_one_is_refused_beside_its_field(node: Node) -> None:
    node.begin()
    browser = node.browser
    node.press("i")
    browser.press(*"background", "ENTER")
    problem = browser.find(".other .problem")
    assert "background" in problem.text
    assert problem.text[-1] == "."
    assert browser.find("#label-field").get_attribute("value") == "background"
    assert node.waiting == numbered(1, 2, 3, 4, 5, 6)
    assert unexpected(browser, HTTPStatus.BAD_REQUEST) == []


def test_a_review_that_the_disk_refuses_comes_back_with_its_sentence(node: Node) -> None:
    node.begin()
    browser = node.browser
    newest = browser.run(FACTS)
    (node.state / SOUNDS_FOLDER).write_text("a file where the folder should be")
    node.press("w")
    problem = browser.find(".review > .problem")
    assert "sounds" in problem.text
    assert browser.run(FACTS) == newest
    assert node.waiting == numbered(1, 2, 3, 4, 5, 6)
    (node.state / SOUNDS_FOLDER).unlink()
    node.press("w", says="wrong")
    assert not any(each.text for each in browser.all(".review > .problem"))
    assert unexpected(browser, HTTPStatus.SERVICE_UNAVAILABLE) == []


def test_a_clip_that_was_deleted_meanwhile_is_passed_over_with_a_sentence(node: Node) -> None:
    node.begin()
    browser = node.browser
    (newest,) = (node.state / "clips").glob(f"*{clip_id(event_id(6))}.flac")
    newest.unlink()
    node.press("r")
    assert "there is no such clip" in browser.find(".review > .problem").text
    browser.wait(lambda: "1 of 5" in browser.find(".review header").text, "the others")
    assert unexpected(browser, HTTPStatus.NOT_FOUND) == []


def test_a_mistake_is_corrected_from_the_history(node: Node) -> None:
    node.begin()
    browser = node.browser
    node.press("w", says="wrong")
    node.open("history")
    links = browser.wait(lambda: [link for link in browser.all(".verdict") if link.is_displayed()], "the links")
    assert [link.text for link in links] == ["✗ wrong"] + ["Review"] * 5
    assert (links[0].get_attribute("aria-label") or "").startswith("Reviewed: wrong; change it")
    links[0].click()
    node.wait_for_sound()
    assert "Reviewed: wrong." in browser.find(".review").text
    node.press("r", says="right")
    assert node.filed("rain") == numbered(6)
    assert node.filed("not", "rain") == set()
    assert browser.run(AUDIO, "paused"), "who corrects one clip is not led on to the others"
    browser.find(".saved a").click()
    browser.wait(lambda: [link.text for link in browser.all(".verdict")][:2] == ["✓ right", "Review"], "the corrected row")


def test_a_review_is_taken_back_from_the_history(node: Node) -> None:
    node.begin()
    browser = node.browser
    node.press("i")
    browser.press(*"Doorbell", "ENTER")
    browser.wait(lambda: "it was Doorbell" in node.said, "the label")
    node.open("history")
    browser.wait(lambda: [link.text for link in browser.all(".verdict")][:1] == ["→ it was Doorbell"], "the verdict")
    browser.all(".verdict")[0].click()
    browser.find(".review p button.quiet").click()
    browser.wait(lambda: "not reviewed" in node.said, "the review to be taken back")
    assert node.waiting == numbered(1, 2, 3, 4, 5, 6)


def test_figures_and_labels_are_counted_and_a_label_is_deleted_after_a_question(node: Node) -> None:
    node.begin()
    browser = node.browser
    node.press("r", says="right")
    node.press("r")
    node.press("w", says="wrong")
    node.press("i")
    browser.press(*"Doorbell", "ENTER")
    figures = '[aria-labelledby="figures-title"] tbody tr'
    browser.wait(lambda: cells(browser, figures) == [["Rain", "2", "1", "1", "50 %"]], "the figures")
    labels = '[aria-labelledby="labels-title"] tbody tr'
    assert [row[:3] for row in cells(browser, labels)] == [["Doorbell", "1", "0"], ["Rain", "2", "1"]]
    browser.find(f"{labels}:last-child .quiet").click()
    group = browser.find(f"{labels} .confirm")
    assert group.get_attribute("aria-label") == "Delete all recordings of “Rain” for good?"
    assert len(node.filed("rain")) == 2
    browser.find(f"{labels} .danger").click()
    browser.wait(lambda: [row[0] for row in cells(browser, labels)] == ["Doorbell"], "the label to be gone")
    assert node.filed("rain") == node.filed("not", "rain") == set()
    assert node.filed("Doorbell") == numbered(3)
    assert browser.run(FOCUSED) == "labels-title"


def cells(browser: Chromium, rows: str) -> list[list[str]]:
    found: list[list[str]] = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((row) => [...row.cells].map((cell) => cell.textContent))", rows
    )
    return found


def test_reviewed_recordings_stay_when_all_others_are_deleted(node: Node) -> None:
    node.begin()
    browser = node.browser
    node.press("r", says="right")
    node.open("health")
    section = browser.find('[aria-labelledby="health-clips"]')
    browser.wait(lambda: "5 recordings," in section.text and "Reviewed: 1 recording, 0.2 MB" in section.text, "both numbers")
    browser.find('[aria-labelledby="health-clips"] .quiet').click()
    browser.find('[aria-labelledby="health-clips"] .danger').click()
    browser.wait(lambda: "0 recordings," in section.text, "no others")
    assert node.filed("rain") == numbered(6)


def test_a_recording_is_deleted_from_its_review_after_a_question(node: Node) -> None:
    node.begin()
    browser = node.browser
    browser.find(".review .asks .quiet").click()
    browser.press("r", "w")
    assert node.waiting == numbered(1, 2, 3, 4, 5, 6), "keys do nothing while a question is asked"
    browser.find(".review .danger").click()
    browser.wait(lambda: node.said.startswith("Deleted"), "the deletion")
    assert node.waiting == numbered(1, 2, 3, 4, 5)
    assert browser.run(FOCUSED) == "review-title"


def test_where_sound_is_stored_and_until_when_is_said_and_the_keys_are_listed(node: Node) -> None:
    node.begin()
    text = node.browser.find(".review").text
    assert f"Until it is reviewed, {KEPT}." in text
    assert "stays there until you delete it" in text
    assert [key.text for key in node.browser.all(".keys kbd")] == ["r", "w", "i", "u", "→ or j", "← or k", "space"]


def test_a_screen_for_fingers_has_no_list_of_keys(node: Node) -> None:
    browser = node.browser
    browser.touch(enabled=True)
    try:
        node.begin()
        assert not any(key.is_displayed() for key in browser.all("kbd"))
        browser.find(".verdicts button").click()
        browser.wait(lambda: "right" in node.said, "the review")
    finally:
        browser.touch(enabled=False)


def test_an_empty_queue_says_that_there_is_nothing_to_review_and_the_last_one_can_be_undone(node: Node) -> None:
    node.begin()
    browser = node.browser
    for waiting in reversed(range(CLIPS)):
        node.press("r")
        browser.wait(partial(node.has_waiting, waiting), "the review")
    assert browser.find(".review .lead").text.startswith("Nothing to review.")
    assert not browser.all(".review audio")
    node.press("u", says="Undone")
    assert len(node.waiting) == 1


def test_without_clips_the_view_says_how_to_switch_them_on(tmp_path: Path, browser: Chromium) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as history:
        history.apply([recorded(1, start_ms=NOW_MS)])
    with clip_page(path, None) as page:
        Node(page, tmp_path, browser).open()
        assert "Set enabled = true in the table [clips]" in browser.find(".review .lead").text
        assert unexpected(browser, HTTPStatus.NOT_FOUND) == []
        browser.open("about:blank")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_review_fits_into_every_width(node: Node, width: int) -> None:
    browser = node.browser
    browser.resize(width, 800)
    try:
        node.begin()
        node.press("r", says="right")
        node.press("i")
        browser.press(*"Doorbell with a name that is as long as people make them", "ENTER")
        browser.wait(lambda: "it was Doorbell" in node.said, "the label")
        node.press("i")
        browser.find('[aria-labelledby="labels-title"] .quiet').click()
        assert browser.run("return document.documentElement.scrollWidth") <= width, browser.run(WIDE)
        bottom = browser.run("return document.querySelector('.verdicts').getBoundingClientRect().bottom")
        assert width > 640 or bottom <= 800, "on a phone the verdicts are where the thumb is"
    finally:
        browser.resize(1280, 900)
