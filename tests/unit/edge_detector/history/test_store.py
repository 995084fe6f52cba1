"""The history in a real file: every sequence of events, kills, full disks, damage and limits."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_detector.errors import EdgeDetectorError
from edge_detector.history.queries import HistoryReader, Selection
from edge_detector.history.records import RecordedEvent
from edge_detector.history.store import DAY_MS, FILE_NAME, HOUR_MS, HistoryError, HistoryStore
from tests.support.disks import fill as fill_disk
from tests.support.disks import remount, small_disk
from tests.support.history import NOON_MS, fill, open_store, recorded

EVERYTHING = Selection()


def events_in(path: Path, selection: Selection = EVERYTHING) -> list[RecordedEvent]:
    """Newest first."""
    with HistoryReader(path) as reader:
        return list(reader.events(reader.newest(selection, 1_000_000)))


def hourly_counts(path: Path) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    """By kind and hour: as the table has them, and as the events have them."""
    with closing(sqlite3.connect(path)) as database:
        table = {(kind, hour): n for kind, hour, n in database.execute("SELECT kind, 24 * day + hour, count FROM hourly")}
        return table, Counter((kind, hour) for kind, hour in database.execute("SELECT kind, start_ms / ? FROM event", (HOUR_MS,)))


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made if missing" / FILE_NAME


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with little room."""
    with small_disk(tmp_path / "disk"):
        yield tmp_path / "disk"


def test_an_event_is_added_at_its_start_and_completed_at_its_end(path: Path) -> None:
    with closing(open_store(path)) as store:
        store.apply([recorded(1, ended=False), recorded(2)])
        assert events_in(path) == [recorded(2), recorded(1, ended=False)], "while it is written"
        moved = recorded(1, start_ms=NOON_MS - 1)
        store.apply([moved])
    assert events_in(path) == [recorded(2), moved], "the end has the last word"
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_end_without_its_start_is_a_whole_event(path: Path) -> None:
    with closing(open_store(path)) as store:
        store.apply([recorded(1)])
    assert events_in(path) == [recorded(1)]


def test_events_that_a_crash_left_open_are_interrupted(path: Path) -> None:
    with closing(open_store(path)) as store:
        store.apply([recorded(1, ended=False), recorded(2)])
        assert store.close_open_events() == 1
    assert events_in(path)[1] == replace(recorded(1, ended=False), end_reason="interrupted")


STEPS = st.lists(
    st.one_of(
        st.lists(
            st.tuples(st.integers(0, 8), st.integers(0, 6 * HOUR_MS), st.booleans(), st.sampled_from(["rain", "siren"])),
            max_size=6,
        ),
        st.integers(0, 8 * HOUR_MS),
        st.just("interrupt"),
        st.just("reopen"),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_hourly_counts_are_those_of_the_events_after_any_sequence(
    tmp_path_factory: pytest.TempPathFactory, steps: list[object]
) -> None:
    path = tmp_path_factory.mktemp("history") / FILE_NAME
    expected: dict[str, RecordedEvent] = {}
    store = open_store(path, days=1)
    for step in steps:
        if isinstance(step, list):
            batch = [
                recorded(number, start_ms=NOON_MS + ms, ended=ended, slug=slug, source=f"source_{number % 2}")
                for number, ms, ended, slug in step
            ]
            store.apply(batch)
            expected.update({event.id: event for event in batch})
        elif isinstance(step, int):
            store.trim(NOON_MS + DAY_MS + step)
            expected = {key: event for key, event in expected.items() if event.start_ms >= NOON_MS + step}
        elif step == "interrupt":
            store.close_open_events()
            expected = {
                key: event if event.end_reason else replace(event, end_reason="interrupted") for key, event in expected.items()
            }
        else:
            store.close()
            store = open_store(path, days=1)
    store.close()
    table, counted = hourly_counts(path)
    assert table == counted
    assert {event.id: event for event in events_in(path)} == expected


WRITER = """
import sys
from itertools import count
from pathlib import Path
from tests.support.history import NOON_MS, open_store, recorded
store = open_store(Path(sys.argv[1]), days=1)
print("ready", flush=True)
for turn in count():
    begin = 10 * turn
    store.apply([recorded(number, start_ms=NOON_MS + 60_000 * number, ended=False) for number in range(begin, begin + 10)])
    store.apply([recorded(number, start_ms=NOON_MS + 60_000 * number) for number in range(begin, begin + 10)])
    store.trim(NOON_MS + 60_000 * begin + 86_400_000 - 60_000_000)
"""


def test_a_kill_while_it_writes_leaves_a_file_of_whole_batches(path: Path) -> None:
    delays = random.Random(1)
    for kill in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            # A kill at any moment of the writing, which goes on all the time.
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(delays.uniform(0.02, 0.4))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        found = events_in(path)
        assert is_sound(path)
        table, counted = hourly_counts(path)
        assert table == counted
        batches = Counter((int(event.id.split("/")[3]) // 10, event.end_reason) for event in found)
        assert kill == 0 or found
        # Retention may have removed a part of the oldest batch, after all was complete.
        assert set(list(batches.values())[:-1]) <= {10}
        with closing(open_store(path)) as store:
            store.close_open_events()
        assert all(event.end_reason for event in events_in(path))


def test_a_full_disk_changes_nothing_and_a_free_one_is_written_again(disk: Path) -> None:
    path = disk / FILE_NAME
    with closing(open_store(path)) as store:
        store.apply([recorded(0)])
        ballast = fill_disk(disk)
        written = 1
        failed: HistoryError | None = None
        while failed is None and written < 1_000:
            try:
                store.apply([recorded(written)])
                written += 1
            except HistoryError as error:
                failed = error
        assert str(failed) == f"{path} cannot be used (database or disk is full); make room"
        assert failed is not None
        assert not failed.reopen
        assert len(events_in(path)) == written
        ballast.unlink()
        store.apply([recorded(written)])
    assert len(events_in(path)) == written + 1
    assert is_sound(path)


def test_a_disk_that_cannot_be_written_is_one_sentence(disk: Path) -> None:
    with closing(open_store(disk / FILE_NAME)) as store:
        store.apply([recorded(0)])
    remount(disk, "ro")
    with pytest.raises(HistoryError, match=r"history.sqlite cannot be used \(.*\); make it writable"):
        open_store(disk / FILE_NAME).apply([recorded(1)])
    assert events_in(disk / FILE_NAME) == [recorded(0)], "it can be read there"
    remount(disk, "rw")


def test_what_is_older_than_the_days_is_removed(path: Path) -> None:
    ages = (10.5, 9.9, 3.0, 0.0)
    with closing(open_store(path, days=10)) as store:
        store.apply([recorded(number, start_ms=NOON_MS - round(days * DAY_MS)) for number, days in enumerate(ages)])
        assert not store.trim(NOON_MS)
        assert [event.id.split("/")[3] for event in events_in(path)] == ["3", "2", "1"]


def test_the_oldest_go_first_where_the_file_is_too_large_and_the_file_shrinks(path: Path) -> None:
    count = 20_000
    with closing(open_store(path)) as store:
        fill(store, count)
    large = path.stat().st_size
    assert large > 3 << 20
    with closing(open_store(path, megabytes=2)) as store:
        turns = 1
        while store.trim(NOON_MS):
            turns += 1
        assert turns > 10, "in bounded steps"
        found = events_in(path)
    assert path.stat().st_size <= 2 << 20
    assert path.stat().st_size > 1 << 20, "no more than needed"
    assert [int(event.id.split("/")[3]) for event in found] == list(range(count - 1, count - 1 - len(found), -1))
    assert is_sound(path)
    table, counted = hourly_counts(path)
    assert table == counted


def test_a_file_at_its_limit_stays_there_while_events_come(path: Path) -> None:
    with closing(open_store(path, megabytes=2)) as store:
        for number in range(0, 20_000, 100):
            store.apply([recorded(each, start_ms=NOON_MS + 1_000 * each) for each in range(number, number + 100)])
            while store.trim(NOON_MS):
                pass
    assert path.stat().st_size <= 2 << 20
    assert events_in(path)[0].id.split("/")[3] == "19999"


@pytest.mark.parametrize("damage", ["no database", "pages"])
def test_a_damaged_file_is_set_aside_and_a_new_one_is_begun(path: Path, damage: str) -> None:
    with closing(open_store(path)) as store:
        fill(store, 2_000)
    with path.open("r+b") as file:
        file.seek(0 if damage == "no database" else 2_048)
        file.write(os.urandom(16) if damage == "no database" else bytes(200_000))
    sentence = f"the history {path} is damaged (.*); it is now {FILE_NAME}.damaged, and a new one is begun"
    with pytest.raises(HistoryError, match=sentence.replace("(", r"\(").replace(")", r"\)")) as failed:
        open_store(path).apply([recorded(number, start_ms=NOON_MS - number) for number in range(100)])
    assert failed.value.renewed
    assert (path.with_name(f"{FILE_NAME}.damaged")).exists()
    with closing(open_store(path)) as store:
        store.apply([recorded(1)])
    assert events_in(path) == [recorded(1)]


def test_a_deleted_history_is_gone_and_a_new_one_is_begun(path: Path) -> None:
    with closing(open_store(path)) as store:
        store.apply([recorded(1, ended=False)])
        for file in path.parent.iterdir():
            file.unlink()
        store.apply([recorded(1), recorded(2)])
        assert events_in(path) == [recorded(2), recorded(1)]


def test_a_newer_file_and_one_that_is_no_file_are_left_alone(path: Path) -> None:
    with closing(open_store(path)) as store:
        store.apply([recorded(1)])
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(HistoryError, match="is of version 2, and this program reads 1; move it away"):
        open_store(path)
    with pytest.raises(EdgeDetectorError, match="is of version 2, and this program reads 1; upgrade this program"):
        HistoryReader(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(HistoryError, match="is a FIFO, and the history needs a file"):
        HistoryStore(path, days=1, megabytes=2)
    with pytest.raises(EdgeDetectorError, match="is a FIFO, not a history"):
        HistoryReader(path)
