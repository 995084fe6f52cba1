"""What the page's modules compute, in a browser: colours, lanes, the playhead, times, texts."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from edge_detector.web.app import STATIC
from tests.support.chromium import Chromium, needs_chromium
from tests.support.page_server import SmallApp, serving

pytestmark = needs_chromium

FIRST_LOAD_BYTES, ALL_BYTES = 120_000, 170_000
ALWAYS_LOADED = ("index.html", "style.css", "icon.svg", "app.js")
IMPORTED = re.compile(r"""from "\./([a-z_]+\.js)";""")
LOADED_LATER = re.compile(r"""import\("\./([a-z_]+\.js)"\)""")
NOW_MS = 1_795_953_600_000
"""2026-11-29T12:00Z."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """A browser at an empty page of the server that serves the modules."""
    with serving(SmallApp(STATIC)) as server, Chromium() as browser:
        browser.open(f"http://127.0.0.1:{server.address.port}/")
        yield browser


def evaluate(browser: Chromium, module: str, expression: str) -> Any:  # noqa: ANN401 -- whatever JavaScript returns
    """Return the value of an expression, in which the module's exports are `m`."""
    return browser.run(f"return import(`${{location.origin}}/static/{module}`).then((m) => {expression})")


def loaded_with(*names: str) -> set[str]:
    """Files of the page that a browser loads for these, their modules' imports included."""
    files = set(names)
    while more := {name for file in files for name in IMPORTED.findall((STATIC / file).read_text(encoding="utf-8"))} - files:
        files |= more
    return files


def total_bytes(names: Iterable[str]) -> int:
    return sum((STATIC / name).stat().st_size for name in names)


VIEWS = LOADED_LATER.findall((STATIC / "app.js").read_text(encoding="utf-8"))


@pytest.mark.parametrize("view", VIEWS)
def test_the_first_load_of_the_page_is_small_whatever_the_view(view: str) -> None:
    files = loaded_with(*ALWAYS_LOADED, view)
    assert total_bytes(files) <= FIRST_LOAD_BYTES, sorted(files)


def test_all_files_of_the_page_together_are_small() -> None:
    assert total_bytes(file.name for file in STATIC.iterdir()) <= ALL_BYTES


def test_a_view_that_is_not_shown_is_not_loaded() -> None:
    assert set(VIEWS) == {"live.js", "history.js", "review.js", "thresholds.js", "health.js"}
    assert {"review.js", "teach.js", "history.js", "health.js", "thresholds.js"}.isdisjoint(loaded_with("app.js", "live.js"))


def test_every_module_is_one_that_the_page_asks_for() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in STATIC.iterdir())
    unused = [file.name for file in STATIC.iterdir() if file.name != "index.html" and file.name not in text]
    assert unused == []


PLAYHEAD = """(() => {{
  const head = new m.Playhead();
  let newest = 0, last = 0;
  const steps = [];
  for (let frame = 1; frame <= 60 * {seconds}; frame += 1) {{
    newest = {group} * Math.floor((100 / {group}) * (frame / 60));
    head.advance(1 / 60, newest);
    steps.push(head.column - last);
    last = head.column;
  }}
  return {{ steps: steps.slice(-600), behind: newest - head.column }};
}})()"""


@pytest.mark.parametrize("group", [24, 48, 96])
def test_the_spectrogram_scrolls_evenly_whatever_the_size_of_the_groups(browser: Chromium, group: int) -> None:
    result = evaluate(browser, "spectrogram.js", PLAYHEAD.format(group=group, seconds=30))
    assert all(step == pytest.approx(100 / 60, rel=0.35) for step in result["steps"]), "it never stops, and never jumps"
    assert sum(result["steps"]) == pytest.approx(1_000, rel=0.05)
    assert 0 <= result["behind"] < 200


def test_the_spectrogram_jumps_after_a_gap_and_never_shows_what_has_not_arrived(browser: Chromium) -> None:
    script = """(() => {
      const head = new m.Playhead();
      head.advance(0.02, 5_000);
      const after = head.column;
      for (let n = 0; n < 500; n += 1) head.advance(0.02, 5_000);
      return [after, head.column];
    })()"""
    after, at_last = evaluate(browser, "spectrogram.js", script)
    assert after == 5_000 - 60
    assert after < at_last <= 5_000


def test_events_that_overlap_have_lanes_of_their_own_and_the_fourth_has_none(browser: Chromium) -> None:
    events = [(0, 10), (5, 20), (6, None), (7, 9), (10, 12), (30, 31)]
    listed = json.dumps([{"startMs": start, "endMs": end} for start, end in events]).replace("null", "Infinity")
    assert evaluate(browser, "spectrogram.js", f"m.lanesOf({listed})") == [0, 1, 2, -1, 0, 0]


HEIGHTS = """(async () => {
  const picture = new m.Spectrogram("cot");
  document.body.replaceChildren(picture.element);
  picture.start();
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const event = (start, end) => ({ label: "Rain", start, end, end_reason: end && "ended" });
  const heights = [];
  for (const events of [[], [event("2026-11-29T12:00:00Z", null)],
                        [event("2026-11-29T12:00:00Z", null), event("2026-11-29T12:00:05Z", null)], []]) {
    picture.setEvents(events);
    await frame();
    heights.push(document.querySelector("canvas").clientHeight);
  }
  picture.close();
  return heights;
})()"""


def test_the_spectrogram_makes_room_for_another_lane_only_when_events_overlap(browser: Chromium) -> None:
    without, one, two, later = evaluate(browser, "spectrogram.js", HEIGHTS)
    assert without == one < two == later


def test_frequencies_are_placed_by_the_mel_scale(browser: Chromium) -> None:
    heights = evaluate(browser, "spectrogram.js", "[125, 500, 1000, 2000, 4000, 7500].map(m.heightOf)")
    assert (heights[0], heights[-1]) == (pytest.approx(0), pytest.approx(1))
    assert heights[2] == pytest.approx((1000.0 - 185.2) / (2773.4 - 185.2), abs=1e-3)  # 1127 ln(1 + f / 700)
    assert heights == sorted(heights)


@pytest.mark.parametrize(("scheme", "first"), [("light", [251, 252, 253]), ("dark", [16, 22, 29])])
def test_colours_go_steadily_from_the_ground_to_the_loudest(browser: Chromium, scheme: str, first: list[int]) -> None:
    colours = evaluate(browser, "spectrogram.js", f"Array.from(m.colourMap('{scheme}'))")
    assert len(colours) == 4 * 256
    assert (colours[:3], set(colours[3::4])) == (first, {255})
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in zip(colours[::4], colours[1::4], colours[2::4], strict=True)]
    steps = [later - earlier for earlier, later in itertools.pairwise(light)]
    assert max(steps) < 1 if scheme == "light" else min(steps) > -1, "lightness tells the value, without hue"


def test_a_rare_class_is_seen_on_the_heat_map_beside_a_frequent_one(browser: Chromium) -> None:
    values = [(0, 100), (1, 100), (10, 100), (100, 100), (1, 1), (0, 1)]
    assert evaluate(browser, "history.js", f"{json.dumps(values)}.map(([v, most]) => m.heatLevel(v, most))") == [0, 1, 3, 5, 5, 0]


def test_the_value_of_a_date_field_is_local_time(browser: Chromium) -> None:
    back = evaluate(browser, "history.js", f"new Date(m.localValue({NOW_MS})).getTime()")
    assert back == NOW_MS


QUEUE = """(() => {{
  const clip = (id) => ({{ id: String(id) }});
  const queue = new m.ReviewQueue();
  queue.update([5, 4, 3, 2, 1].map(clip));
  const seen = () => [queue.current?.id ?? null, queue.following?.id ?? null, queue.position, queue.length];
  {steps}
  return seen();
}})()"""
STEPS = [
    ("", ["5", "4", 1, 5]),
    ("queue.take();", ["4", "3", 1, 4]),
    ("queue.move(1); queue.take();", ["3", "2", 2, 4]),
    ("queue.move(-1);", ["5", "4", 1, 5]),
    ("for (let n = 0; n < 9; n += 1) queue.move(1); queue.take();", ["2", None, 4, 4]),
    ("for (let n = 0; n < 9; n += 1) queue.take();", [None, None, 1, 0]),
    ("queue.putBack(queue.take());", ["5", "4", 1, 5]),
    ("const taken = queue.take(); queue.take(); queue.putBack(taken);", ["5", "3", 1, 4]),
    ("queue.move(1); queue.update([6, 5, 4].map(clip));", ["4", None, 3, 3]),
    ("queue.move(1); queue.update([7, 6].map(clip));", ["4", "6", 2, 3]),
    ("queue.move(1); queue.drop('5');", ["4", "3", 1, 4]),
    ("queue.drop('5'); queue.drop('unknown');", ["4", "3", 1, 4]),
    ("while (queue.take()); queue.update([9].map(clip));", ["9", None, 1, 1]),
]


@pytest.mark.parametrize(("steps", "seen"), STEPS)
def test_the_queue_of_reviews_stays_at_its_clip_whatever_comes(browser: Chromium, steps: str, seen: list[object]) -> None:
    assert evaluate(browser, "review_queue.js", QUEUE.format(steps=steps)) == seen


TOO_FEW = "it needs 3 originals; clips that begin within a minute of each other are one"
FACTS = [
    ({"recordings": 3, "originals": 3, "not": 0, "in_bundle": False}, "3 recordings"),
    ({"recordings": 12, "originals": 8, "not": 2, "in_bundle": False}, "12 recordings of 8 originals · 2 that are not it"),
    (
        {"recordings": 4, "originals": 2, "not": 1, "in_bundle": True},
        f"4 recordings of 2 originals · 1 that is not it · {TOO_FEW}",
    ),
    (
        {"recordings": 3, "originals": 3, "not": 0, "in_bundle": True},
        "3 recordings · the bundle knows it already: what is taught takes its place",
    ),
]


@pytest.mark.parametrize(("label", "text"), FACTS)
def test_the_teach_panel_says_what_a_label_has_and_lacks(browser: Chromium, label: dict[str, object], text: str) -> None:
    assert evaluate(browser, "teach.js", f"m.labelFacts({json.dumps(label)}, 3)") == text


DAY = {"on": 0.4, "events": 3, "on_now": 0.5, "events_now": 1, "hours": 5.0}
WOULD_HAVE = [
    ({1: DAY, 7: DAY | {"events": 9}}, "At 0.400: 3 events in 5 h of the last day; at 0.500: 1."),
    (
        {1: DAY, 7: DAY | {"hours": 29}},
        "At 0.400: 3 events in 5 h of the last day, 3 events in 29 h of the last 7 days; at 0.500: 1 and 1.",
    ),
    ({1: DAY | {"hours": 24, "events": 1, "on_now": 0.4}}, "At 0.400: 1 event in the last day."),
    ({1: DAY | {"hours": 0}, 7: DAY}, "At 0.400: 3 events in 5 h of the last 7 days; at 0.500: 1."),
    ({1: DAY | {"hours": 0}}, "No sound with this class is stored yet: a threshold can be tried once some minutes were heard."),
]


@pytest.mark.parametrize(("answers", "text"), WOULD_HAVE)
def test_the_line_below_a_slider_says_a_period_once(browser: Chromium, answers: dict[int, object], text: str) -> None:
    assert evaluate(browser, "would_have.js", f"m.sentenceOf({json.dumps(answers)})") == text


TEXTS = [
    ("m.sentence('the broker is away; look at it')", "The broker is away; look at it."),
    ("m.sentence('cot hears nothing', ['cot'])", "cot hears nothing."),
    ("m.sentence('is it?')", "Is it?"),
    ("m.duration(null)", "–"),
    ("m.duration(4.8)", "4.8 s"),
    ("m.duration(59.97)", "1 min 00 s"),
    ("m.duration(185)", "3 min 05 s"),
    ("m.duration(7800)", "2 h 10 min"),
    ("m.duration(443000)", "5 d 3 h"),
    ("m.probability(0.999)", "1.00"),
    ("m.probability(undefined)", "–"),
    ("m.threshold(0.3)", "0.300"),
    ("m.level(-54.2)", "−54 dBFS"),
    ("m.count(1234567)", "1,234,567"),
    ("m.count(null)", "–"),
    ("m.bytes(81300000)", "81 MB"),
    ("m.figure(12.34, 1, 'ms')", "12.3 ms"),
    ("m.figure(null, 1, 'ms')", "–"),
    ("m.time(null)", "unknown"),
    ("m.dateTime('soon')", "unknown"),
    ("m.endReason('ended')", ""),
    ("m.endReason('shutdown')", "service stopped"),
    ("m.endReason('of a later version')", "of a later version"),
    ("m.verdict(null)", ""),
    ("m.verdict({verdict: 'right', label: 'Rain'})", "right"),
    ("m.verdict({verdict: 'other', label: 'Doorbell'})", "it was Doorbell"),
    ("m.sourceState({state: 'healthy', signal: 'ok'}).words", "listening"),
    ("m.sourceState({state: 'healthy', signal: 'silent'}).words", "listening, but the signal is silent"),
    ("m.sourceState({state: 'healthy', signal: 'silent'}).kind", "bad"),
    ("m.sourceState({state: 'starting', signal: 'ok'}).kind", "neutral"),
    ("m.sourceState({state: 'stalled', signal: 'ok'}).words", "stalled: no sound arrives"),
]


@pytest.mark.parametrize(("expression", "text"), TEXTS)
def test_figures_and_states_are_said_in_words(browser: Chromium, expression: str, text: str) -> None:
    assert evaluate(browser, "format.js", expression) == text


def test_a_time_of_another_day_has_its_date(browser: Chromium) -> None:
    today, earlier = evaluate(
        browser, "format.js", f"['2026-11-29T11:00:00Z', '2026-11-26T11:00:00Z'].map((t) => m.time(t, {NOW_MS}))"
    )
    assert earlier.endswith(today)
    assert "26" in earlier.removesuffix(today)


def test_a_query_repeats_a_key_and_leaves_out_what_is_empty(browser: Chromium) -> None:
    made = evaluate(browser, "api.js", "m.withQuery('api/events', {source: ['a b', 'ü'], class: '', since: null, limit: 3})")
    assert made == "api/events?source=a+b&source=%C3%BC&limit=3"
    assert evaluate(browser, "api.js", "m.withQuery('api/hours', {source: ''})") == "api/hours"
