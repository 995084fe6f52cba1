"""The outbox in a real file, on real file systems that are full, read-only or damaged."""

import os
import random
import re
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_detector.mqtt.message_store import DEAD_LETTERS
from edge_detector.mqtt.outbox import RETRY_DISK_SECONDS, Outbox
from edge_detector.mqtt.sqlite_store import SCHEMA_VERSION, open_outbox
from edge_detector.types import Message
from tests.support.disks import fill, remount, small_disk

FILE = "outbox.db"


class Clock:
    def __init__(self) -> None:
        self.now_seconds = 0.0

    def __call__(self) -> float:
        return self.now_seconds


def outbox_in(folder: Path, clock: Clock | None = None) -> Outbox:
    return open_outbox(folder / FILE, clock or Clock(), max_messages=10_000, max_age_seconds=1e6)


def event(key: str, payload: bytes = b"{}") -> Message:
    return Message("node/event", payload, 1, retained=False, message_id=key)


def mend(outbox: Outbox, clock: Clock) -> None:
    clock.now_seconds += RETRY_DISK_SECONDS
    outbox.run_maintenance()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with little room."""
    with small_disk(tmp_path / "disk"):
        yield tmp_path / "disk"


def test_committed_events_are_available_to_the_next_process(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "if missing"
    with closing(outbox_in(folder)) as outbox:
        outbox.commit([event("a/start", b"\x00\xff"), event("a/end"), event("b/start")])
        outbox.dequeue()
        outbox.commit([], delivered=["a/end"], refused={"b/start": "Not authorized"})
    with closing(outbox_in(folder)) as outbox:
        assert outbox.depth == 1
        assert outbox.dequeue() == [event("a/start", b"\x00\xff")]
        assert outbox.open_events() == [event("b/start")], "refused or not, it has not ended"
        assert outbox.dead_letters() == [(event("b/start"), "Not authorized")]


def test_only_the_newest_dead_letters_are_kept(tmp_path: Path) -> None:
    with closing(outbox_in(tmp_path)) as outbox:
        for number in range(DEAD_LETTERS + 3):
            outbox.commit([event(f"{number}/end")])
            outbox.commit([], refused={f"{number}/end": "no"})
        assert [message.message_id for message, _ in outbox.dead_letters()] == [
            f"{number + 3}/end" for number in range(DEAD_LETTERS)
        ]


def test_the_limit_applies_on_disk(tmp_path: Path) -> None:
    with closing(open_outbox(tmp_path / FILE, Clock(), max_messages=3, max_age_seconds=1e6)) as outbox:
        outbox.commit([event(f"{number}/end") for number in range(5)])
        assert outbox.dropped_messages == 2
        assert [message.message_id for message in outbox.dequeue()] == ["2/end", "3/end", "4/end"]


def test_age_survives_a_restart_and_stands_still_meanwhile(tmp_path: Path) -> None:
    clock = Clock()
    with closing(open_outbox(tmp_path / FILE, clock, max_messages=9, max_age_seconds=100.0)) as outbox:
        outbox.commit([event("old/end")])
        clock.now_seconds += 90.0
        outbox.commit([event("new/end")])
    clock.now_seconds = 1e9
    with closing(open_outbox(tmp_path / FILE, clock, max_messages=9, max_age_seconds=100.0)) as outbox:
        clock.now_seconds += 61.0
        outbox.run_maintenance()
        assert [message.message_id for message in outbox.dequeue()] == ["new/end"]


def test_a_second_service_on_the_same_file_reports_it_and_works_in_memory(tmp_path: Path) -> None:
    clock = Clock()
    with closing(outbox_in(tmp_path)) as first:
        second = outbox_in(tmp_path, clock)
        assert second.trouble is not None
        assert "database is locked" in second.trouble
        assert "for one service alone" in second.trouble
        second.commit([event("b/end")])
        assert second.dequeue() == [event("b/end")]
        first.commit([event("a/end")])
    mend(second, clock)
    assert second.trouble is None
    assert second.depth == 2, "it took over when the first one had gone"
    second.close()


@pytest.mark.parametrize("damage", [b"not a database at all" * 999, None], ids=["rubbish", "bytes changed within"])
def test_a_damaged_file_is_renamed_and_a_new_one_is_created(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / FILE
    with closing(outbox_in(tmp_path)) as outbox:
        outbox.commit([event(f"{number}/start", b"x" * 500) for number in range(200)])
    content = bytearray(path.read_bytes())
    content[4_096:] = b"\xa5" * (len(content) - 4_096)
    path.write_bytes(damage or content)
    with closing(outbox_in(tmp_path)) as outbox:
        assert (outbox.trouble, outbox.depth) == (None, 0)
        outbox.commit([event("a/start")])
        assert outbox.trouble is None
    assert (tmp_path / f"{FILE}.damaged").read_bytes() == (damage or content)
    assert "is damaged" in caplog.text


def test_new_events_are_sent_after_any_damage(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = tmp_path / FILE
    with closing(outbox_in(tmp_path)) as outbox:
        outbox.commit([event(f"{number}/start", b"x" * 300) for number in range(40)])
    sound = path.read_bytes()
    for _ in range(100):
        content = bytearray(sound[: chance.choice((len(sound), chance.randrange(len(sound))))])
        for _ in range(chance.choice((0, 1, 100))):
            if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        path.with_name(f"{FILE}-wal").unlink(missing_ok=True)
        with closing(outbox_in(tmp_path, clock := Clock())) as outbox:
            outbox.open_events()
            outbox.commit([event("new/end")])
            leaving: list[str] = []
            while taken := outbox.dequeue():
                keys = [message.message_id or "" for message in taken]
                outbox.commit([], keys)
                leaving += keys
                mend(outbox, clock)
            assert "new/end" in leaving


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    outbox_in(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    outbox = outbox_in(tmp_path)
    assert outbox.trouble is not None
    assert f"version {SCHEMA_VERSION + 1}" in outbox.trouble


def test_a_full_disk_is_reported_and_events_are_still_sent(disk: Path) -> None:
    clock = Clock()
    outbox = outbox_in(disk, clock)
    outbox.commit([event("before/start")])
    ballast = fill(disk)
    sent: list[str] = []
    settled = 0
    for number in range(500):
        outbox.commit([event(f"{number}/end", b"x" * 500)], sent[settled:])
        settled = len(sent)
        sent += [message.message_id or "" for message in outbox.dequeue()]
    assert outbox.trouble is not None
    assert "full" in outbox.trouble
    assert "make room" in outbox.trouble
    assert sent == ["before/start", *[f"{number}/end" for number in range(500)]]
    mend(outbox, clock)
    assert outbox.trouble is not None
    ballast.unlink()
    mend(outbox, clock)
    assert outbox.trouble is None
    outbox.commit([event("after/end")], sent[settled:])
    outbox.close()
    with closing(outbox_in(disk)) as outbox:
        assert outbox.dequeue() == [event("after/end")], "nothing of what was delivered is left"
        assert outbox.open_events() == [event("before/start")]


def test_a_read_only_folder_is_reported_and_used_once_it_is_writable(disk: Path) -> None:
    clock = Clock()
    with closing(outbox_in(disk)) as outbox:
        outbox.commit([event("before/end")])
    remount(disk, "ro")
    outbox = outbox_in(disk, clock)
    assert outbox.trouble is not None
    assert "make it writable" in outbox.trouble
    outbox.commit([event("meanwhile/end")])
    assert outbox.dequeue() == [event("meanwhile/end")]
    remount(disk, "rw")
    mend(outbox, clock)
    assert outbox.trouble is None
    assert outbox.dequeue() == [event("before/end")]
    assert outbox.depth == 2
    outbox.close()


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    outbox = outbox_in(tmp_path / "state")
    assert outbox.trouble is not None
    assert "cannot be made" in outbox.trouble


@pytest.mark.parametrize("name", [FILE, f"{FILE}-wal"])
@pytest.mark.parametrize(("make", "what"), [(os.mkfifo, "a FIFO"), (Path.mkdir, "a folder")])
def test_something_other_than_a_file_is_reported_and_left_unchanged(
    tmp_path: Path, name: str, make: Callable[[Path], None], what: str
) -> None:
    make(tmp_path / name)
    with closing(outbox_in(tmp_path)) as outbox:
        assert outbox.trouble is not None
        assert outbox.trouble.endswith(f"{tmp_path / name} is {what}, and the outbox needs a file; move it away")
        outbox.commit([event("a/end")])
        assert outbox.dequeue() == [event("a/end")]
    assert not (tmp_path / name).is_file()


def test_only_the_owner_may_read_events(tmp_path: Path) -> None:
    old_mask = os.umask(0o022)
    try:
        with closing(outbox_in(tmp_path / "state")) as outbox:
            outbox.commit([event("a/end")])
            assert {file.stat().st_mode & 0o777 for file in (tmp_path / "state").iterdir()} == {0o600}
        (tmp_path / "state" / FILE).chmod(0o644)
        outbox_in(tmp_path / "state").close()
    finally:
        os.umask(old_mask)
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


def filled(folder: Path, count: int = 100, kind: str = "start") -> bytearray:
    """An outbox's file with so many events, of the size that they have."""
    with closing(outbox_in(folder)) as outbox:
        outbox.commit([event(f"{number}/{kind}", rain(number)) for number in range(count)])
    return bytearray((folder / FILE).read_bytes())


def rain(number: int) -> bytes:
    return b'{"v":1,"label":"Rain","rest":"%0500d"}' % number


def drained(folder: Path) -> tuple[list[str], Outbox]:
    with closing(outbox_in(folder)) as outbox:
        keys: list[str] = []
        while taken := outbox.dequeue():
            keys += [message.message_id or "" for message in taken]
            assert all(b'"label":"Rain"' in message.payload for message in taken)
            outbox.commit([], [message.message_id or "" for message in taken])
    return keys, outbox


def test_with_a_damaged_index_every_event_is_sent_and_the_damage_reported(tmp_path: Path) -> None:
    content = filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        ((root,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_message_1'")
    start = (root - 1) * 1_024
    content[start : start + 1_024] = bytes(1_024)
    (tmp_path / FILE).write_bytes(content)
    keys, outbox = drained(tmp_path)
    assert keys == [f"{number}/start" for number in range(100)]
    assert (outbox.trouble, outbox.dropped_messages) == (None, 0)
    assert outbox.damage is not None
    assert "100 events could be read" in outbox.damage


def test_events_of_a_damaged_page_are_counted_and_all_others_sent(tmp_path: Path) -> None:
    content = filled(tmp_path, kind="end")
    # SQLite leaves copies of moved rows in the unused part of a page; the row is on one of these pages.
    for copy in re.finditer(re.escape(rain(50)), content):
        content[copy.start() // 1_024 * 1_024] ^= 0xFF
    (tmp_path / FILE).write_bytes(content)
    keys, outbox = drained(tmp_path)
    gone = 100 - len(keys)
    assert 0 < gone < 5
    assert set(keys) < {f"{number}/end" for number in range(100)}
    assert outbox.dropped_messages == gone
    assert outbox.damage is not None
    assert f"{gone} are lost" in outbox.damage


def test_an_event_with_a_changed_byte_is_counted_and_kept_as_a_dead_letter(tmp_path: Path) -> None:
    content = filled(tmp_path, kind="end")
    for number, bit in ((0, 0x80), (99, 0x01)):
        for copy in re.finditer(re.escape(rain(number)), content):
            content[copy.start() + 16] ^= bit
    (tmp_path / FILE).write_bytes(content)
    keys, outbox = drained(tmp_path)
    assert (len(keys), outbox.dropped_messages) == (98, 2)
    assert outbox.damage is not None
    with closing(outbox_in(tmp_path)) as again:
        assert [reason for _, reason in again.dead_letters()] == ["damaged on the disk"] * 2


def test_a_file_of_an_earlier_version_is_used_and_invalid_json_in_it_is_not_sent(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("ALTER TABLE message DROP COLUMN checksum")
        database.execute("ALTER TABLE open_event DROP COLUMN checksum")
        database.execute("UPDATE message SET payload = x'7b80' WHERE key = '1/start'")
        database.commit()
        database.execute("PRAGMA page_size = 4096")
        database.execute("VACUUM")
    keys, outbox = drained(tmp_path)
    assert (keys, outbox.dropped_messages) == (["0/start", "2/start"], 1)
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        assert database.execute("PRAGMA page_size").fetchone() == (1_024,)


def test_a_second_damaged_file_does_not_replace_the_first(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / FILE).write_bytes(b"%d is no database" % number * 99)
        outbox_in(tmp_path).close()
    aside = sorted(tmp_path.glob("*.damaged*"))
    assert [file.name for file in aside] == [f"{FILE}.damaged", f"{FILE}.damaged-2", f"{FILE}.damaged-3"]
    assert [file.read_bytes()[:1] for file in aside] == [b"0", b"1", b"2"]


def test_a_crash_while_a_damaged_file_is_replaced_loses_no_event(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / FILE).rename(tmp_path / f"{FILE}.new")
    (tmp_path / f"{FILE}-wal").write_bytes(b"of the damaged one")
    keys, _ = drained(tmp_path)
    assert len(keys) == 100


def test_a_file_deleted_while_in_use_is_replaced_with_all_its_events(tmp_path: Path) -> None:
    with closing(outbox_in(tmp_path)) as outbox:
        outbox.commit([event("a/start"), event("a/end"), event("b/start")])
        for file in tmp_path.iterdir():
            file.unlink()
        outbox.commit([event("c/start")])
        assert outbox.trouble is None
        assert outbox.damage is not None
        assert "was deleted while in use" in outbox.damage
    with closing(outbox_in(tmp_path)) as outbox:
        assert [message.message_id for message in outbox.dequeue()] == ["a/start", "a/end", "b/start", "c/start"]
        assert [message.message_id for message in outbox.open_events()] == ["b/start", "c/start"]


def test_events_of_a_deleted_file_are_sent_while_no_new_file_can_be_created(tmp_path: Path) -> None:
    clock, folder = Clock(), tmp_path / "state"
    outbox = outbox_in(folder, clock)
    outbox.commit([event("a/end")])
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    outbox.commit([event("b/end")])
    assert outbox.trouble is not None
    assert "was deleted while in use" in outbox.trouble
    assert outbox.dequeue() == [event("a/end"), event("b/end")]
    folder.unlink()
    mend(outbox, clock)
    assert outbox.trouble is None
    outbox.close()
    with closing(outbox_in(folder)) as outbox:
        assert outbox.depth == 2


def test_trimming_reads_only_rows_that_are_removed(tmp_path: Path) -> None:
    clock = Clock()
    with closing(open_outbox(tmp_path / FILE, clock, max_messages=10_000, max_age_seconds=100.0)) as outbox:
        outbox.commit([event(f"{number}/end") for number in range(3_000)])
        clock.now_seconds = 61.0
        tracemalloc.start()
        outbox.run_maintenance()
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (outbox.depth, outbox.dropped_messages) == (3_000, 0)
        assert most_bytes < 100_000
        clock.now_seconds = 122.0
        outbox.run_maintenance()
        assert (outbox.depth, outbox.dropped_messages) == (0, 3_000)


def test_importing_the_outbox_is_all_that_needs_sqlite() -> None:
    code = "import sys, edge_detector.mqtt.outbox, edge_detector.mqtt; print('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_file_does_not_grow_with_delivered_events(tmp_path: Path) -> None:
    with closing(outbox_in(tmp_path)) as outbox:
        for number in range(300):
            outbox.commit([event(f"{number}/end", b"x" * 5_000)], [f"{number - 1}/end"])
        size_bytes = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size_bytes < 1_000_000, f"{size_bytes} bytes for one waiting message"
