"""What the HTTP interface answers from a history: pages, CSV, hours; and which queries it refuses."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_detector.errors import EdgeDetectorError
from edge_detector.history.records import RecordedEvent
from edge_detector.history.store import FILE_NAME
from edge_detector.web.history_api import (
    MOST_ROWS,
    MOST_VALUES,
    BadRequest,
    events_csv,
    events_page,
    hours,
    kinds,
)
from tests.support.command import edge_detector
from tests.support.history import MINUTE_MS, NOON_MS, fill, open_store, recorded
from tests.support.time_zone import time_zone

PARAMETERS = ("source", "class", "since", "until", "id", "limit", "before", "format")
EVENTS = [
    recorded(0, slug="rain"),
    recorded(1, start_ms=NOON_MS + MINUTE_MS, slug="siren", source="kitchen"),
    recorded(2, start_ms=NOON_MS + MINUTE_MS, slug="siren"),
    recorded(3, start_ms=NOON_MS + 2 * MINUTE_MS, ended=False),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("few") / FILE_NAME
    with closing(open_store(path)) as store:
        store.apply(EVENTS)
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / FILE_NAME
    with closing(open_store(path)) as store:
        fill(store, 5_500)
    return path


def numbers(path: Path, **query: list[str]) -> list[int]:
    """The numbers in the ids of the events that a query gives, newest first."""
    page = events_page(path, {key.removesuffix("_"): values for key, values in query.items()})
    return [int(event.id.split("/")[3]) for event in page.events]


def rows_of(chunks: Iterator[bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))


def test_events_come_newest_first_and_each_parameter_narrows_them(path: Path) -> None:
    assert numbers(path) == [3, 2, 1, 0]
    assert numbers(path, source=["kitchen"]) == [1]
    assert numbers(path, source=["kitchen", "cot"], class_=["siren"]) == [2, 1]
    assert numbers(path, class_=["owl"]) == []
    assert numbers(path, since=["2026-11-29T12:01:00Z"], until=["2026-11-29T13:02:00.000+01:00"]) == [2, 1]
    assert numbers(path, limit=["1"]) == [3]
    assert numbers(path, id=[EVENTS[1].id]) == [1]
    assert numbers(path, id=["nursery/cot/0/0/rain"]) == []


def test_empty_fields_of_a_form_are_as_if_they_were_absent(path: Path) -> None:
    assert numbers(path, **{key.replace("class", "class_"): [""] for key in PARAMETERS}) == [3, 2, 1, 0]


def test_an_event_has_the_keys_and_values_that_the_command_prints(path: Path) -> None:
    printed = [json.loads(line) for line in edge_detector("events", "--database", path, "--json").splitlines()]
    answer = events_page(path, {}).as_json()
    assert json.loads(json.dumps(answer)) == {"events": printed[::-1], "next": None}


def test_pages_follow_each_other_also_between_events_of_the_same_millisecond(path: Path) -> None:
    found: list[RecordedEvent] = []
    before = ""
    for _ in EVENTS:
        page = events_page(path, {"limit": ["1"], "before": [before]})
        found += page.events
        before = page.next or ""
    assert found == EVENTS[::-1]
    assert page.next is None, "the last page says that it is the last"


def test_csv_is_that_of_the_command_newest_first(long: Path) -> None:
    printed = edge_detector("events", "--database", long, "--csv", "--limit", "3000").splitlines()
    (header, *rows) = b"".join(events_csv(long, {"limit": ["3000"]})).decode().splitlines()
    assert [header, *rows[::-1]] == printed


def test_csv_has_every_event_in_chunks_or_as_many_as_are_asked_for(long: Path) -> None:
    assert len(list(events_csv(long, {}))) > 1
    assert [len(rows_of(events_csv(long, {"limit": [str(limit)]}))) for limit in (1, 999, 1_000, 1_001, 2_000, 5_500)] == [
        *(1, 999, 1_000, 1_001, 2_000, 5_500)
    ]
    every = rows_of(events_csv(long, {}))
    assert len({row["id"] for row in every}) == len(every) == 5_500
    first = events_page(long, {"limit": ["500"]})
    assert rows_of(events_csv(long, {"before": [first.next or ""]})) == every[500:]
    assert [row["id"] for row in rows_of(events_csv(long, {"id": [every[7]["id"]], "limit": [str(MOST_ROWS)]}))] == [
        every[7]["id"]
    ]


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path, beginning: str) -> None:
    label = f'{beginning}HYPERLINK("http://example.org";"a, b")'
    with closing(open_store(tmp_path / FILE_NAME)) as store:
        store.apply([replace(recorded(0), label=label), replace(recorded(1), label="a=b")])
    second, first = rows_of(events_csv(tmp_path / FILE_NAME, {}))
    assert first["label"] == f"'{label}"
    assert second["label"] == "a=b"


def test_a_half_read_csv_keeps_the_log_from_growing_for_no_moment(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as store:
        fill(store, 3_000)
        chunks = events_csv(path, {})
        read = [next(chunks)]
        # On another thread, as a server may read it.
        reading = threading.Thread(target=lambda: read.append(next(chunks)))
        reading.start()
        reading.join()
        store.apply([recorded(3_001, start_ms=NOON_MS + MINUTE_MS)])
        with closing(sqlite3.connect(path)) as database:
            (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy
        assert path.with_name(f"{FILE_NAME}-wal").stat().st_size == 0
        assert len(rows_of(iter([*read, *chunks]))) == 3_000


def test_reading_gives_up_no_lock_of_the_process_that_writes(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as store:
        store.apply(EVENTS)
        assert len(events_page(path, {}).events) == len(EVENTS)
        script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM event').fetchone()"
        subprocess.run([sys.executable, "-c", script, path], check=True)
        assert path.with_name(f"{FILE_NAME}-wal").exists(), "the other process did not take itself for the last one"
        store.apply([recorded(9)])
        assert len(events_page(path, {}).events) == len(EVENTS) + 1


def test_hours_are_those_of_the_node_most_events_first(path: Path) -> None:
    with time_zone("Asia/Kolkata"):
        found = hours(path, {"until": ["2026-11-29T12:02:00Z"]})
    assert json.loads(json.dumps(found.as_json())) == {
        "utc_offset_seconds": 19_800,
        "classes": [
            {"slug": "siren", "label": "Siren", "hours": [*[0] * 17, 2, *[0] * 6]},
            {"slug": "rain", "label": "Rain", "hours": [*[0] * 17, 1, *[0] * 6]},
        ],
    }
    assert [each.slug for each in hours(path, {"source": ["kitchen"]}).classes] == ["siren"]


def test_the_choices_are_the_sources_and_classes_by_name(path: Path) -> None:
    assert json.loads(json.dumps(kinds(path).as_json())) == {
        "sources": ["cot", "kitchen"],
        "classes": [{"slug": "rain", "label": "Rain"}, {"slug": "siren", "label": "Siren"}],
    }


def test_a_class_that_was_renamed_has_its_newest_label(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / FILE_NAME)) as store:
        store.apply([recorded(0), replace(recorded(1), label="Heavy rain")])
    assert [each.label for each in kinds(tmp_path / FILE_NAME).classes] == ["Heavy rain"]
    assert [(each.label, sum(each.hours)) for each in hours(tmp_path / FILE_NAME, {}).classes] == [("Heavy rain", 2)]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"sorce": ["cot"]}, 'there is no parameter "sorce" here; known: source, class, since, until, id, limit, before, format'),
        ({"limit": ["0"]}, 'limit = "0" is no number of events; give 1 to 1000'),
        ({"limit": ["1001"]}, "give 1 to 1000"),
        ({"limit": ["-1"]}, "give 1 to 1000"),
        ({"limit": ["\u0661"]}, "give 1 to 1000"),
        ({"limit": ["9" * 5_000]}, "limit has 5000 characters; give 1000 at most"),
        ({"limit": ["1", "2"]}, "there are 2 values of limit; give one"),
        ({"since": ["yesterday"]}, 'since = "yesterday" is no time; give one like 2026-11-28T21:30:00Z'),
        ({"since": ["2026-11-28T21:30:00"]}, "is no time"),
        ({"since": ["2026-11-28T21:30:00 01:00"]}, "with %2B for +"),
        ({"until": ["1969-12-31T23:59:59Z"]}, "of 1970 to 9999"),
        ({"until": ["2026-13-01T00:00:00Z"]}, "is no time"),
        ({"until": ["2026-11-28T21:30:00+99:99"]}, "is no time"),
        ({"before": ["7"]}, 'before = "7" is no place in the history; give the value of next of the page before'),
        ({"before": ["1-2-3"]}, "is no place"),
        ({"before": ["1-" + "9" * 30]}, "is no place"),
        ({"source": ["cot"] * (MOST_VALUES + 1)}, "there are 101 values of source; give 100 at most"),
        ({"class": ["a" * 1_001]}, "a value of class has 1001 characters; give 1000 at most"),
        ({"format": ["xml"]}, 'format = "xml" is not known; give json or csv'),
        ({"id": ["a"], "source": ["cot"]}, "an id names one event; leave out source, class, since, until and before, or"),
        ({"id": ["a"], "before": ["1-1"]}, "an id names one event"),
        ({"a\n\x1b[31m": ["b"]}, "there is no parameter \"'a\\n\\x1b[31m'\" here"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused_with_a_sentence(
    path: Path, query: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        events_page(path, query)
    assert sentence in str(caught.value)
    if "limit" not in query:
        with pytest.raises(BadRequest):
            events_csv(path, query)


def test_hours_have_no_pages(path: Path) -> None:
    with pytest.raises(BadRequest, match='no parameter "limit" here; known: source, since, until'):
        hours(path, {"limit": ["1"]})


@given(st.dictionaries(st.sampled_from(PARAMETERS), st.lists(st.text() | st.from_regex(r"\d+-\d+|\d{4}-\d\d-\d\dT\d\d:\d\dZ"))))
@example({"since": ["0001-01-01T00:00:00+23:59"]})
@example({"until": ["9999-12-31T23:59:59-23:59"]})
@example({"id": ["\0'; DROP TABLE event"]})
def test_no_query_breaks_anything(path: Path, query: dict[str, list[str]]) -> None:
    for answer in (events_page, events_csv, hours):
        try:
            answer(path, query)
        except BadRequest as error:
            assert "; " in str(error)  # noqa: PT017 - each sentence has a remedy


def test_without_a_file_the_error_comes_before_the_first_chunk(tmp_path: Path) -> None:
    for answer in (events_page, events_csv, hours):
        with pytest.raises(EdgeDetectorError, match="there is no history"):
            answer(tmp_path / FILE_NAME, {})
    with pytest.raises(EdgeDetectorError, match="there is no history"):
        kinds(tmp_path / FILE_NAME)
