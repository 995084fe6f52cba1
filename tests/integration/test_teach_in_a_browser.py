"""Teaching from the page of the whole service, in a headless Chromium: choice, progress, report, the switch and the way back."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.broker import HOST, free_port
from tests.support.chromium import Chromium, needs_chromium
from tests.support.fake_microphone import FakeMicrophone
from tests.support.page_service import PageService
from tests.support.reviewed import review

pytestmark = needs_chromium

LABEL, FEW, KNOWN = "Garden rooster", "Kettle", "Rain"
CONFIGURATION = """
[node]
name = "nursery"
[[source]]
name = "cot"
[mqtt]
host = "{host}"
port = {port}
[clips]
enabled = true
"""
CLICK = """
const button = [...document.querySelectorAll(".teach button")]
  .find((each) => each.checkVisibility() && each.textContent.startsWith(arguments[0]));
button?.click();
return button !== undefined;
"""
TEACH_SECONDS, SWITCH_SECONDS = 240.0, 60.0
"""Longest waits, not what it takes."""


@dataclass(frozen=True, slots=True)
class Home:
    service: PageService
    browser: Chromium
    state: Path

    def open(self) -> None:
        self.browser.open("about:blank")
        self.browser.open(f"{self.service.url}/#review")
        self.browser.find("#connection.good")
        self.browser.find(".teach")

    def click(self, button: str) -> None:
        """Click the button that begins so, once it is there."""
        self.browser.wait(lambda: self.browser.run(CLICK, button), button)

    def wait_for(self, text: str, deadline_seconds: float = SWITCH_SECONDS) -> None:
        self.browser.wait(lambda: text in self.browser.find(".teach").text, text, deadline_seconds=deadline_seconds)

    @property
    def choices(self) -> dict[str, tuple[bool, bool]]:
        """Whether each label can be chosen, and is."""
        found = self.browser.wait(lambda: self.browser.all(".teach-labels li"), "the labels")
        boxes = {each.find_element("css selector", ".name").text: each.find_element("css selector", "input") for each in found}
        return {name: (box.is_enabled(), box.is_selected()) for name, box in boxes.items()}


@pytest.fixture
def home(tmp_path: Path, data: Path, microphone: FakeMicrophone) -> Iterator[Home]:
    """A node with reviews: enough of a new sound and of one that the bundle knows, and too few of a third."""
    roosters = sorted((data / "esc10" / "rooster").iterdir())
    review(tmp_path / "sounds" / LABEL, roosters[:4], "rooster")
    review(tmp_path / "sounds" / KNOWN, sorted((data / "esc10" / "rain").iterdir())[:3], "rain")
    review(tmp_path / "sounds" / FEW, roosters[4:6], "kettle")
    configuration = CONFIGURATION.format(host=HOST, port=free_port())
    with ExitStack() as stack:
        service = stack.enter_context(PageService(configuration, microphone.environment, state=tmp_path))
        browser = stack.enter_context(Chromium())
        yield Home(service, browser, tmp_path)


def test_a_sound_is_taught_reported_switched_to_and_left_again(home: Home) -> None:
    browser = home.browser
    home.open()
    assert home.choices == {LABEL: (True, True), KNOWN: (True, False), FEW: (False, False)}
    text = browser.find(".teach").text
    assert "2 recordings · it needs 3 originals" in text
    assert "the bundle knows it already: what is taught takes its place" in text
    assert "In use: default" in text
    home.click("Start")
    home.wait_for("Stage ")
    browser.wait(lambda: browser.all(".progress progress[value]"), "how much of it is done")
    home.click("Cancel")
    home.wait_for("Sounds to teach")
    assert not list(home.state.glob("bundles/taught-*"))

    home.click("Start")
    home.open()  # it goes on without the page, and is found again
    home.wait_for("What was taught on", TEACH_SECONDS)
    (_, name), (_, on_top), (_, events), *alarms, (_, threshold) = browser.run(
        "return [...document.querySelectorAll('.report tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert name == LABEL
    assert all(title.startswith("False events in ") and int(number) >= 0 for title, number in alarms)
    assert 0.0 < float(threshold) < 1.0
    assert on_top.endswith(" of 4")
    assert events.endswith(" of 4")
    assert "Each recording was left out once" in browser.find(".report").text
    for width in (320, 390, 1280):
        browser.resize(width, 800)
        assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.errors() == []

    home.click("Switch to the taught bundle")
    home.wait_for("The taught bundle is in use now.")
    browser.find("#connection.good")
    assert "In use: the bundle that was taught on" in browser.find(".teach").text
    browser.run("location.hash = '#thresholds'")
    browser.wait(lambda: LABEL in browser.find(".thresholds").text, "the new class among the thresholds")
    browser.run("location.hash = '#review'")
    home.click("Back to default")
    home.wait_for("is in use again.")
    assert "In use: default" in browser.find(".teach").text
    assert all("ERR_" in error for error in browser.errors()), "connections that failed, and nothing else"


def test_a_teaching_that_fails_says_why_and_can_be_started_again(home: Home) -> None:
    home.open()
    for file in home.state.glob(f"sounds/{LABEL}/*.flac"):
        file.write_bytes(b"no sound")
    home.click("Start")
    problem = home.browser.wait(
        lambda: next((each.text for each in home.browser.all(".teach .problem") if each.text), None),
        "the failure",
        deadline_seconds=TEACH_SECONDS,
    )
    assert LABEL in problem
    assert problem.endswith(".")
    home.wait_for("Start teaching")
