"""What the history answers, and how fast with many events."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_detector.errors import EdgeDetectorError
from edge_detector.history.queries import Cursor, HistoryPage, HistoryReader, Selection
from edge_detector.history.records import RecordedEvent
from edge_detector.history.store import FILE_NAME, HOUR_MS
from tests.support.history import CLASSES, MINUTE_MS, NOON_MS, fill, one_a_minute, open_store, recorded

MANY = 100_000
MOST_SECONDS = 0.3
PATIENCE = 4.0
"""Other tests may run meanwhile."""
BERLIN = ZoneInfo("Europe/Berlin")


def in_berlin(utc_seconds: int) -> int:
    offset = datetime.fromtimestamp(utc_seconds, BERLIN).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HistoryReader]:
    path = tmp_path_factory.mktemp("many") / FILE_NAME
    with closing(open_store(path)) as store:
        fill(store, MANY)
    with HistoryReader(path) as reader:
        yield reader


def select(events: list[RecordedEvent], selection: Selection) -> list[RecordedEvent]:
    return [
        event
        for event in events
        if selection.since_ms <= event.start_ms < selection.until_ms
        and (not selection.sources or event.source in selection.sources)
        and (not selection.slugs or event.slug in selection.slugs)
    ]


def pages(reader: HistoryReader, selection: Selection, limit: int) -> Iterator[HistoryPage]:
    before = None
    while True:
        page = reader.page(selection, limit, before)
        yield page
        before = page.next
        if before is None:
            break


HALF_HOURS = st.integers(-3, 60).map(lambda number: NOON_MS + number * HOUR_MS // 2)
SELECTIONS = st.builds(
    Selection,
    st.lists(st.sampled_from(["cot", "kitchen"]), unique=True),
    st.lists(st.sampled_from(["rain", "siren", "owl"]), unique=True),
    HALF_HOURS,
    HALF_HOURS,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    starts=st.lists(st.integers(0, 50 * HOUR_MS) | st.integers(0, 2), max_size=30), selection=SELECTIONS, limit=st.integers(1, 12)
)
def test_any_selection_has_the_events_that_it_describes(
    tmp_path_factory: pytest.TempPathFactory, starts: list[int], selection: Selection, limit: int
) -> None:
    path = tmp_path_factory.mktemp("history") / FILE_NAME
    events = [
        recorded(
            number, start_ms=NOON_MS + ms, slug=("rain", "siren", "owl")[number % 3], source=("cot", "kitchen")[number // 3 % 2]
        )
        for number, ms in enumerate(starts)
    ]
    with closing(open_store(path)) as store:
        store.apply(events)
    with HistoryReader(path) as reader:
        found = list(reader.events(reader.newest(selection, limit)))
        hours = reader.by_hour_of_day(selection, in_berlin)
        paged = list(pages(reader, selection, limit))
        everything = list(reader.events(reader.newest(selection, len(starts) + 1)))
    assert [event for page in paged for event in page.events] == everything
    assert all(len(page.events) == limit for page in paged[:-1])
    expected = select(events, selection)
    assert [event.start_ms for event in found] == sorted((event.start_ms for event in expected), reverse=True)[:limit]
    assert set(found) <= set(expected)
    local = Counter((event.slug, datetime.fromtimestamp(event.start_ms / 1e3, BERLIN).hour) for event in expected)
    assert {(slug, hour): count for slug, of in hours.items() for hour, count in enumerate(of) if count} == local


def test_new_and_removed_events_move_no_page_and_repeat_no_event(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    old = [recorded(number) for number in range(6)]
    with closing(open_store(path)) as store, HistoryReader(path) as reader:
        store.apply(old)
        first = HistoryReader(path).page(Selection(), 2)
        store.apply([recorded(6)])
        store.trim(NOON_MS + 36_501 * 24 * HOUR_MS)
        assert not reader.page(Selection(), 2).events
        store.apply(old[:3])
        second = reader.page(Selection(), 9, first.next)
    assert [event.id for event in first.events] == [old[5].id, old[4].id]
    assert [event.id for event in second.events] == [event.id for event in old[2::-1]]


def test_an_event_is_found_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as store:
        store.apply([recorded(number, ended=number != 1) for number in range(3)])
    with HistoryReader(path) as reader:
        assert reader.by_id(recorded(1).id) == recorded(1, ended=False)
        assert reader.by_id("nursery/cot/0123456789ab/7/rain") is None


def test_local_hours_follow_the_change_to_winter_time(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    change = round(datetime(2026, 10, 25, 1, tzinfo=ZoneInfo("UTC")).timestamp()) * 1_000
    with closing(open_store(path)) as store:
        store.apply([recorded(number, start_ms=change + number * HOUR_MS) for number in (-2, -1, 0, 1)])
    with HistoryReader(path) as reader:
        (of_hours,) = reader.by_hour_of_day(Selection(), in_berlin).values()
    assert {hour: count for hour, count in enumerate(of_hours) if count} == {1: 1, 2: 2, 3: 1}


def test_an_empty_history_has_nothing(tmp_path: Path) -> None:
    open_store(tmp_path / FILE_NAME).close()
    with HistoryReader(tmp_path / FILE_NAME) as reader:
        assert not reader.newest(Selection(), 10)
        assert reader.by_hour_of_day(Selection(), in_berlin) == {}


def newest(reader: HistoryReader, selection: Selection) -> list[RecordedEvent]:
    return list(reader.events(reader.newest(selection, 50)))


DAY = Selection(since_ms=NOON_MS - 30 * 24 * 60 * MINUTE_MS, until_ms=NOON_MS - 29 * 24 * 60 * MINUTE_MS)
WEEK = Selection(since_ms=NOON_MS - 7 * 24 * 60 * MINUTE_MS - 1)
INSIDE = Cursor(NOON_MS - 60 * 24 * 60 * MINUTE_MS, 0)
VIEWS: dict[str, Callable[[HistoryReader], object]] = {
    "a page": lambda reader: newest(reader, Selection()),
    "of a frequent class": lambda reader: newest(reader, Selection(slugs=CLASSES[:1])),
    "of a rare class": lambda reader: newest(reader, Selection(slugs=CLASSES[-1:])),
    "of a source": lambda reader: newest(reader, Selection(sources=["cot"])),
    "of a day": lambda reader: newest(reader, DAY),
    "a page deep inside": lambda reader: reader.page(Selection(), 100, INSIDE).events,
    "a page deep inside, of a frequent class": lambda reader: reader.page(Selection(slugs=CLASSES[:1]), 100, INSIDE).events,
    "a page deep inside, of a rare class": lambda reader: reader.page(Selection(slugs=CLASSES[-1:]), 100, INSIDE).events,
    "a page deep inside, of a source": lambda reader: reader.page(Selection(sources=["cot"]), 100, INSIDE).events,
    "the longest page": lambda reader: reader.page(Selection(), 1_000, INSIDE).events,
    "by id": lambda reader: reader.by_id(next(one_a_minute(1)).id),
    "by hour": lambda reader: reader.by_hour_of_day(Selection(), in_berlin),
    "by hour, of a week": lambda reader: reader.by_hour_of_day(WEEK, in_berlin),
    "by hour, of a day": lambda reader: reader.by_hour_of_day(DAY, in_berlin),
}


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_of_many_events_is_fast(many: HistoryReader, view: str) -> None:
    since = time.perf_counter()
    assert VIEWS[view](many)
    assert time.perf_counter() - since < MOST_SECONDS * PATIENCE


def test_views_of_many_events_are_right(many: HistoryReader) -> None:
    events = list(one_a_minute(MANY))
    assert newest(many, Selection()) == events[:-51:-1]
    rare = select(events, Selection(slugs=CLASSES[-1:]))
    assert newest(many, Selection(slugs=CLASSES[-1:])) == rare[:-51:-1]
    assert newest(many, DAY) == select(events, DAY)[:-51:-1]
    assert sum(map(sum, many.by_hour_of_day(Selection(), in_berlin).values())) == MANY


def test_a_history_on_a_disk_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(open_store(path)) as store:
        store.apply([recorded(1)])
    with HistoryReader(path) as reader:
        assert newest(reader, Selection()) == [recorded(1)]
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME], "nothing is left beside it"


KILLED = """
import os, sys
from pathlib import Path
from tests.support.history import open_store, recorded
os.setuid(65534)
open_store(Path(sys.argv[1])).apply([recorded(1)])
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_root_leaves_after_reading_a_killed_services_history_belongs_to_the_service() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        os.chown(folder, 65_534, 65_534)
        subprocess.run([sys.executable, "-c", KILLED, folder / FILE_NAME], check=False)
        (folder / f"{FILE_NAME}-shm").unlink()
        with HistoryReader(folder / FILE_NAME) as reader:
            assert newest(reader, Selection()) == [recorded(1)]
        assert {file.stat().st_uid for file in folder.iterdir()} == {65_534}


@pytest.mark.parametrize("content", [b"", b"no database, but long enough to be none" * 100])
def test_a_file_that_is_no_history_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    with pytest.raises(EdgeDetectorError, match=r"cannot be read .*; is it a history of this program"):
        HistoryReader(path)
