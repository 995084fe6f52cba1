"""The outbox in a real file, on real file systems that are full, read-only or damaged."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_detector.core.outgoing import MEND_EVERY_SECONDS, Outbox
from edge_detector.core.shelf import DEAD_LETTERS
from edge_detector.edges.outbox import SCHEMA_VERSION, open_outbox
from edge_detector.types import Message
from tests.rigs.disks import fill, remount, small_disk

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
    clock.now_seconds += MEND_EVERY_SECONDS
    outbox.tend()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with little room."""
    with small_disk(tmp_path / "disk"):
        yield tmp_path / "disk"


def test_what_was_committed_is_there_for_the_next_process(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "if missing"
    with closing(outbox_in(folder)) as outbox:
        outbox.commit([event("a/start", b"\x00\xff"), event("a/end"), event("b/start")])
        outbox.take()
        outbox.commit([], delivered=["a/end"], refused={"b/start": "Not authorized"})
    with closing(outbox_in(folder)) as outbox:
        assert outbox.depth == 1
        assert outbox.take() == [event("a/start", b"\x00\xff")]
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


def test_a_bound_holds_on_disk_too(tmp_path: Path) -> None:
    with closing(open_outbox(tmp_path / FILE, Clock(), max_messages=3, max_age_seconds=1e6)) as outbox:
        outbox.commit([event(f"{number}/end") for number in range(5)])
        assert outbox.dropped_messages == 2
        assert [message.message_id for message in outbox.take()] == ["2/end", "3/end", "4/end"]


def test_age_survives_a_restart_and_stands_still_meanwhile(tmp_path: Path) -> None:
    clock = Clock()
    with closing(open_outbox(tmp_path / FILE, clock, max_messages=9, max_age_seconds=100.0)) as outbox:
        outbox.commit([event("old/end")])
        clock.now_seconds += 90.0
        outbox.commit([event("new/end")])
    clock.now_seconds = 1e9
    with closing(open_outbox(tmp_path / FILE, clock, max_messages=9, max_age_seconds=100.0)) as outbox:
        clock.now_seconds += 61.0
        outbox.tend()
        assert [message.message_id for message in outbox.take()] == ["new/end"]


def test_a_second_service_on_the_same_file_says_so_and_works_in_memory(tmp_path: Path) -> None:
    clock = Clock()
    with closing(outbox_in(tmp_path)) as first:
        second = outbox_in(tmp_path, clock)
        assert second.trouble is not None
        assert "database is locked" in second.trouble
        assert "for one service alone" in second.trouble
        second.commit([event("b/end")])
        assert second.take() == [event("b/end")]
        first.commit([event("a/end")])
    mend(second, clock)
    assert second.trouble is None
    assert second.depth == 2, "it took over when the first one had gone"
    second.close()


@pytest.mark.parametrize("damage", [b"not a database at all" * 999, None], ids=["rubbish", "bytes changed within"])
def test_a_damaged_file_is_put_aside_and_a_new_one_begun(
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


def test_no_damage_whatever_keeps_new_events_from_leaving(tmp_path: Path) -> None:
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
            while taken := outbox.take():
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


def test_a_full_disk_is_said_and_events_go_on_leaving_until_there_is_room_again(disk: Path) -> None:
    clock = Clock()
    outbox = outbox_in(disk, clock)
    outbox.commit([event("before/start")])
    ballast = fill(disk)
    sent: list[str] = []
    settled = 0
    for number in range(500):
        outbox.commit([event(f"{number}/end", b"x" * 500)], sent[settled:])
        settled = len(sent)
        sent += [message.message_id or "" for message in outbox.take()]
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
        assert outbox.take() == [event("after/end")], "nothing of what was delivered is left"
        assert outbox.open_events() == [event("before/start")]


def test_a_folder_that_cannot_be_written_is_said_and_used_as_soon_as_it_can_be(disk: Path) -> None:
    clock = Clock()
    with closing(outbox_in(disk)) as outbox:
        outbox.commit([event("before/end")])
    remount(disk, "ro")
    outbox = outbox_in(disk, clock)
    assert outbox.trouble is not None
    assert "make it writable" in outbox.trouble
    outbox.commit([event("meanwhile/end")])
    assert outbox.take() == [event("meanwhile/end")]
    remount(disk, "rw")
    mend(outbox, clock)
    assert outbox.trouble is None
    assert outbox.take() == [event("before/end")]
    assert outbox.depth == 2
    outbox.close()


def test_a_plain_file_where_the_folder_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    outbox = outbox_in(tmp_path / "state")
    assert outbox.trouble is not None
    assert "cannot be made" in outbox.trouble


def test_importing_the_outbox_is_all_that_needs_sqlite() -> None:
    code = "import sys, edge_detector.core.outgoing, edge_detector.edges.mqtt; print('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_file_does_not_grow_with_what_has_passed_through_it(tmp_path: Path) -> None:
    with closing(outbox_in(tmp_path)) as outbox:
        for number in range(300):
            outbox.commit([event(f"{number}/end", b"x" * 5_000)], [f"{number - 1}/end"])
        size_bytes = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size_bytes < 1_000_000, f"{size_bytes} bytes for one waiting message"
