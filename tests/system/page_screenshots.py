"""Pictures of the page: python -m tests.system.page_screenshots FOLDER.

Needs Debian's chromium, chromium-driver, fonts-dejavu-core and pngquant, those of the fake microphone, and the recordings of
ESC-10 in ../shared/data or EDGE_DETECTOR_DATA. Takes three minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile
import soxr

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.cutter import ClipHead, ClipPiece
from edge_detector.clips.names import clip_name
from edge_detector.clips.store import FOLDER_NAME, ClipStore
from edge_detector.demo.soundscape import BACKGROUND_DBFS, INT16_SCALE
from edge_detector.demo.synthesis import RATE_HZ, Signal, at_rms, band, noise, samples, tilted
from edge_detector.history.probability_files import FOLDER_NAME as PROBABILITIES
from edge_detector.history.records import RecordedEvent
from edge_detector.history.store import FILE_NAME
from tests.conftest import DATA
from tests.support.broker import Broker
from tests.support.chromium import Chromium
from tests.support.clip_page import clip_page
from tests.support.fake_microphone import FakeMicrophone
from tests.support.history import open_store
from tests.support.page_service import PageService
from tests.support.probabilities import blocks_of, with_events
from tests.support.probabilities import store as store_blocks
from tests.support.waiting import wait_until

CONFIGURATION = """
[node]
name = "home"
[[source]]
name = "nursery"
[[source]]
name = "kitchen"
channel = 1
[detection]
class_list = 2
[mqtt]
host = "{broker.host}"
port = {broker.port}
"""
NURSERY_NAME, BARKING = "nursery", "dog_bark"
THRESHOLD = {"source": NURSERY_NAME, "class": BARKING, "on": 0.75}
"""Moved away from the default before the pictures."""
BARKS = (0.97, 0.66, 0.81, 0.72, 0.92, 0.7)
"""Peaks of the barks of the last week, one each two hours."""
TRIED = """
const row = [...document.querySelectorAll(".thresholds li")]
  .find((each) => each.querySelector(".name").textContent === "Dog barking");
const slider = row.querySelector("input");
slider.value = 0.65;
slider.dispatchEvent(new Event("input"));
"""
"""Moves the slider of THRESHOLD without letting it go."""

PAUSE_SECONDS = 6.0
BABY = ("baby_cry/1-211527-C", "baby_cry/1-22694-A", "baby_cry/1-22694-B", "baby_cry/1-211527-A")
DOGS = ("dog_bark/1-30344-A", "dog_bark/1-32318-A", "dog_bark/1-59513-A")
NURSERY = (("person_sneeze/1-47273-A",), DOGS[:1], ("clock_tick/1-21934-A",), BABY * 6)
KITCHEN = (("rooster/1-26806-A",), ("rain/1-17367-A", "rain/1-21189-A", "rain/1-26222-A"), DOGS * 9)
"""Recordings of ESC-10 that follow each other, with a pause before and after each group."""
SHOWN = (("nursery", "Baby crying"), ("kitchen", "Dog barking"))
"""Events that last while the pictures are taken."""

VERDICTS = (*"rrwrr", ("i", *"Fox", "ENTER"), *"rwr")
"""Keys of the reviews before the pictures are taken."""
WAITING = 7

QUIETER = 0.35
"""So that the sum of both rooms is not clipped."""

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
DAYS = 15


@dataclass(frozen=True, slots=True)
class Habit:
    """A sound of the past weeks: how often a day, when in the day (UTC hours, and their spread), and how long (seconds)."""

    source: str
    slug: str
    label: str
    a_day: float
    hours: tuple[float, ...]
    spread_hours: float
    seconds: float


HABITS = (
    Habit("nursery", "baby_cry", "Baby crying", 5.0, (1.0, 5.5, 12.5, 19.5), 1.0, 40.0),
    Habit("nursery", "speech", "Speech", 9.0, (7.0, 12.0, 18.5), 1.5, 15.0),
    Habit("kitchen", "speech", "Speech", 14.0, (7.0, 12.5, 18.5, 20.0), 1.2, 25.0),
    Habit("kitchen", "dog_bark", "Dog barking", 6.0, (8.0, 13.0, 17.0), 2.5, 6.0),
    Habit("kitchen", "music", "Music", 3.0, (8.0, 19.0), 1.5, 600.0),
    Habit("kitchen", "smoke_alarm", "Smoke alarm", 0.15, (18.0,), 0.7, 25.0),
    Habit("kitchen", "glass_breaking", "Glass breaking", 0.2, (19.0,), 2.0, 1.5),
    Habit("kitchen", "doorbell", "Doorbell", 1.2, (10.0, 16.5), 2.0, 3.0),
    Habit("nursery", "person_sneeze", "Sneeze", 1.5, (7.5, 20.0), 2.0, 1.0),
    Habit("nursery", "rain", "Rain", 0.8, (3.0, 15.0), 4.0, 300.0),
)

MOST_BYTES = 200_000
SCREENS = ((1280, 900, 1), (390, 844, 2))
"""Width and height in CSS pixels, and pixels for one of them."""
SETTLE_SECONDS = 2.0
WINDOW_SECONDS = 11.0
"""How long it takes until the spectrogram is full."""
POLL_SECONDS = 6.0
"""How long it takes until the health is asked for again."""
OPEN = """
return [...document.querySelectorAll(".source")].flatMap((card) => [...card.querySelectorAll(".open .name")]
  .map((name) => [card.querySelector("h2").textContent, name.textContent]));
"""
FONT = "document.documentElement.style.setProperty('--font', 'Liberation Sans')"


def past_events(now_ms: int) -> Iterator[RecordedEvent]:
    """Yield two weeks of events, the same at each call but for the day."""
    random = np.random.default_rng(7)
    midnight_ms = now_ms - now_ms % DAY_MS
    for day in range(DAYS):
        for habit in HABITS:
            for number in range(random.poisson(habit.a_day)):
                hour = random.choice(habit.hours) + habit.spread_hours * random.standard_normal()
                start_ms = int(midnight_ms - day * DAY_MS + (hour % 24) * HOUR_MS)
                end_ms = start_ms + int(1e3 * habit.seconds * random.lognormal(sigma=0.6))
                peak = 1.0 - 0.35 * random.random() ** 1.5
                identity = f"home/{habit.source}/0123456789ab/{day}-{number}/{habit.slug}"
                if end_ms < now_ms - HOUR_MS:
                    yield RecordedEvent(
                        identity, habit.source, habit.slug, habit.label, start_ms, end_ms, peak, "ended", "system"
                    )


def sound(groups: Sequence[Sequence[str]], seed: int) -> Signal:
    """Samples of the recordings in a quiet room."""
    pause = np.zeros(samples(PAUSE_SECONDS))
    mix = np.concatenate([pause, *(part for group in groups for part in (*map(recording, group), pause))])
    background = at_rms(noise(np.random.default_rng(seed), len(mix), tilted(band(20, 8_000), -3.0)), BACKGROUND_DBFS)
    heard: Signal = mix + background
    return heard


def recording(name: str) -> Signal:
    channels, rate_hz = soundfile.read(DATA / "esc10" / f"{name}.ogg", always_2d=True)
    resampled: Signal = soxr.resample(channels.mean(axis=1), rate_hz, RATE_HZ)
    return resampled


def both_rooms() -> bytes:
    """Raw samples of two channels, for the sources of CONFIGURATION.

    PulseAudio gives to the source with one channel the mean of both. So the first is such that this mean is the nursery.
    """
    rooms = [QUIETER * sound(NURSERY, 0), QUIETER * sound(KITCHEN, 1)]
    count = min(map(len, rooms))
    nursery, kitchen = (room[:count] for room in rooms)
    mix = np.stack([2 * nursery - kitchen, kitchen], axis=1)
    return np.round(mix * INT16_SCALE).clip(-INT16_SCALE, INT16_SCALE - 1).astype("<i2").tobytes()


def capture(browser: Chromium, file: Path) -> None:
    """Save what is seen as a PNG with a palette."""
    time.sleep(SETTLE_SECONDS)
    browser.screenshot(file)
    for colours in (256, 128, 64):
        command = ["pngquant", "--speed=1", "--strip", str(colours), "-"]
        small = subprocess.run(command, input=file.read_bytes(), stdout=subprocess.PIPE, check=True).stdout
        if len(small) <= MOST_BYTES:
            break
    file.write_bytes(small)
    sys.stdout.write(f"{file} {len(small)} bytes, {colours} colours\n")


def take(folder: Path, service: PageService, browser: Chromium) -> None:
    """Take the pictures while both sounds of SHOWN last."""
    browser.open(service.url)
    wait_until(lambda: lasting(browser) == set(SHOWN), "both events to last", deadline_seconds=120.0)
    for views in (("live",), ("history", "thresholds"), ("health",)):
        if views == ("health",):
            wait_until(lambda: has_figures(service), "the figures, which take a minute", deadline_seconds=120.0)
        for width, height, ratio in SCREENS:
            browser.pixel_ratio = ratio
            for view in views:
                browser.resize(width, height)
                browser.open("about:blank")
                browser.open(f"{service.url}/#{view}")
                browser.run(FONT)
                browser.prefer(colours="dark")  # and perhaps back, so that the canvas takes the font
                if view == "thresholds":
                    browser.find(".thresholds li")
                    browser.run(TRIED)
                time.sleep(WINDOW_SECONDS if view == "live" else POLL_SECONDS)
                crop(browser, width, height)
                if (view, width) == ("live", 1280):
                    capture(browser, folder / "page-live-dark-1280.png")
                browser.prefer(colours="light")
                capture(browser, folder / f"page-{view}-{width}.png")


def take_clip(folder: Path, browser: Chromium) -> None:
    """Take the picture of a clip in the history, on a page without the service: the other pictures have no clips."""
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        events = list(past_events(int(time.time() * 1e3)))
        with closing(open_store(state / FILE_NAME)) as history:
            history.apply(events)
        store = ClipStore(state / FOLDER_NAME)
        barks = [event for event in events if event.slug == "dog_bark"][:1]
        for event in barks:
            write_clip(store, event, QUIETER * sound([DOGS[:1]], 2))
        page = stack.enter_context(clip_page(state / FILE_NAME, store))
        browser.pixel_ratio = 1
        browser.resize(1280, 620)
        browser.prefer(colours="light")
        browser.open(f"http://127.0.0.1:{page.server.address.port}/#event={quote(barks[0].id, safe='')}")
        browser.run(FONT)
        browser.find(".play").click()
        browser.find(".clip canvas")
        browser.run("const audio = document.querySelector('.clip audio'); audio.pause(); audio.currentTime = 5.5;")
        browser.run("document.querySelector('.clip').scrollIntoView({ block: 'center' })")
        capture(browser, folder / "page-clip-1280.png")


def take_review(folder: Path, browser: Chromium) -> None:
    """Take the pictures of the review, with some clips that are reviewed and some that wait."""
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = ClipStore(state / FOLDER_NAME)
        barks = [event for event in past_events(int(time.time() * 1e3)) if event.slug == "dog_bark"][: len(VERDICTS) + WAITING]
        for number, event in enumerate(barks):
            write_clip(store, event, QUIETER * sound([DOGS[number % len(DOGS) :][:1]], number))
        page = stack.enter_context(clip_page(None, store))
        url = f"http://127.0.0.1:{page.server.address.port}/#review"
        browser.open(url)
        for keys in VERDICTS:
            browser.find(".review canvas")
            was = browser.find(".review .soft").text
            browser.press(*keys)
            browser.wait(partial(is_another, browser, was), "the next clip")
        browser.wait(lambda: browser.find(".saved [role=status]").text.startswith("Saved"), "the last review")
        for width, height, ratio in SCREENS:
            browser.pixel_ratio = ratio
            browser.resize(width, height)
            browser.touch(enabled=width < SCREENS[0][0])
            browser.prefer(colours="light")
            browser.open("about:blank")
            browser.open(url)
            browser.run(FONT)
            browser.find(".review canvas")
            browser.run("document.querySelector('.review audio').currentTime = 5.5")
            capture(browser, folder / f"page-review-{width}.png")


def is_another(browser: Chromium, clip: str) -> bool:
    """Whether the review shows another clip than the one of this time."""
    return browser.find(".review .soft").text != clip


def write_clip(store: ClipStore, event: RecordedEvent, heard: Signal) -> None:
    """Store a sound as the clip of an event."""
    store.prepare()
    name = clip_name(event.id, event.start_ms / 1e3, event.source, event.slug)
    clip = ClipFile(store, ClipHead(event.id, name, event.label, RATE_HZ, lead_seconds=5.0))
    scaled = np.round(heard * INT16_SCALE).clip(-INT16_SCALE, INT16_SCALE - 1).astype(np.int16)
    clip.write(ClipPiece(event.id, (scaled,), 0, is_last=True, is_early=False))
    clip.finish(event.start_ms, days=DAYS, most_bytes=1 << 30)


def crop(browser: Chromium, width: int, height: int) -> None:
    """Leave out what is empty below the page."""
    bottom = browser.run("return document.querySelector('main').getBoundingClientRect().bottom")
    browser.resize(width, min(height, int(bottom)))


def lasting(browser: Chromium) -> set[tuple[str, str]]:
    """Sources and classes of the events that last."""
    cards = browser.run(OPEN)
    return {(source, label) for source, label in cards}


def has_figures(service: PageService) -> bool:
    _, text = service.ask("GET", "/api/health")
    return json.loads(text)["figures"]["latency_ms_p50"] is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        now_ms = int(time.time() * 1e3)
        with closing(open_store(state / FILE_NAME)) as history:
            history.apply(list(past_events(now_ms)))
        barks = with_events([BARKING], 7 * DAY_MS / 1e3, 7_200.0, BARKS)
        store_blocks(state / PROBABILITIES, blocks_of(barks, [BARKING], now_ms - 7 * DAY_MS, source=NURSERY_NAME))
        broker, microphone = stack.enter_context(Broker()), stack.enter_context(FakeMicrophone(channels=2))
        service = stack.enter_context(PageService(CONFIGURATION.format(broker=broker), microphone.environment, state=state))
        browser = stack.enter_context(Chromium(arguments=("--hide-scrollbars",)))
        microphone.play(both_rooms(), latency_milliseconds=200)
        service.ask("POST", "/api/threshold", THRESHOLD)
        take(folder, service, browser)
        take_clip(folder, browser)
        take_review(folder, browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
