"""A clip that is being written: after a kill at any step there is no half clip, and other limits."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import soundfile

from edge_detector.clips import store as store_module
from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.description import EventPart, comment_of, parse_comment
from edge_detector.clips.names import clip_id
from edge_detector.clips.store import ClipError, ClipStore
from tests.support.clips import DAYS, MOST_BYTES, event_id, head, noise, pieces, stored, write
from tests.support.disks import fill, small_disk

OURS = ("clips", "sndfile", "soundfile")
"""Whose calls count as steps: with these words in their file names."""


def killed_at(step: int, store: ClipStore) -> bool:
    """Write a second clip, with the first one a step too much for the limit, in a process that kills itself at this step.

    Whether it was killed.
    """
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    steps = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal steps
        if event in ("c_call", "c_return") and any(word in frame.f_code.co_filename for word in OURS):
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    store.prepare()
    file = ClipFile(store, head(2))
    for piece in pieces(2, noise(0.5, 2), 2):
        file.write(piece)
    file.finish(head(2).name.start_ms, days=DAYS, most_bytes=20_000)
    os._exit(0)


def test_a_kill_at_any_step_leaves_no_half_clip_and_the_next_start_nothing_else(tmp_path: Path) -> None:
    step = listed = kills = 0
    before, after = noise(0.5, 1), noise(0.5, 2)
    while True:
        step += 1
        store = ClipStore(tmp_path / str(step))
        write(store, 1, before)
        is_killed = killed_at(step, store)
        kills += is_killed
        for clip in store.newest(9):
            wanted = before if clip.name.id == clip_id(event_id(1)) else after
            assert np.array_equal(stored(clip.path)[0], wanted), f"step {step}"
        listed += store.find(clip_id(event_id(2))) is not None
        store.prepare()
        assert {path.suffix for path in store.folder.iterdir()} <= {".flac"}
        if not is_killed:
            break
    assert kills > 50, "there are many steps"
    assert 1 < listed < kills, "it was killed before and after the clip was complete"
    assert [clip.name.id for clip in store.newest(9)] == [clip_id(event_id(2))]


@pytest.mark.parametrize("after_seconds", [0.0, 0.25, 30.0, 123_456.0])
def test_a_clip_says_where_its_event_is_though_its_end_was_not_known_at_its_beginning(
    tmp_path: Path, after_seconds: float
) -> None:
    store, samples = ClipStore(tmp_path / "clips"), noise(0.5)
    store.prepare()
    file = ClipFile(store, head(1))
    for piece in pieces(1, samples):
        file.write(replace(piece, after_seconds=after_seconds if piece.is_last else 0.0))
    assert file.finish(head(1).name.start_ms, days=DAYS, most_bytes=MOST_BYTES)
    (clip,) = store.newest(9)
    part = EventPart(5.0, min(after_seconds, 9_999.999))
    assert parse_comment(store.head(clip).comments["COMMENT"]) == part
    assert soundfile.SoundFile(clip.path).comment.rstrip() == comment_of(event_id(1), part)
    assert np.array_equal(stored(clip.path)[0], samples)


def test_a_clip_that_all_clips_have_no_room_for_is_not_stored(tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips")
    write(store, 1, noise(0.1))
    file = ClipFile(store, head(2))
    for piece in pieces(2, noise(1.0, 2)):
        file.write(piece)
    assert not file.finish(head(2).name.start_ms, days=DAYS, most_bytes=10_000)
    assert [path.name for path in store.folder.iterdir()] == [head(1).name.file_name]


@pytest.mark.parametrize("removes_folder", [False, True])
def test_a_clip_that_is_deleted_while_it_is_written_stays_deleted(
    tmp_path: Path,
    removes_folder: bool,  # noqa: FBT001 - a parameter
) -> None:
    store = ClipStore(tmp_path / "clips")
    store.prepare()
    file = ClipFile(store, head(1))
    first, *others = pieces(1, noise(0.5))
    file.write(first)
    assert store.delete_all() == 0
    if removes_folder:
        store.folder.rmdir()
    for piece in others:
        file.write(piece)
    assert file.finish(head(1).name.start_ms, days=DAYS, most_bytes=MOST_BYTES)
    assert store.newest(9) == ()
    write(store, 2, noise(0.1))
    assert len(store.newest(9)) == 1


def test_clips_leave_room_on_the_disk_for_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk"):
        store = ClipStore(tmp_path / "disk" / "clips")
        store.prepare()
        with pytest.raises(ClipError, match=r"has 0 MB left, which are for events; make room, or lower megabytes in \[clips\]"):
            ClipFile(store, head(1))
        monkeypatch.setattr(store_module, "SPARE_BYTES", 200_000)
        file = ClipFile(store, head(1))
        with pytest.raises(ClipError, match="which are for events"):  # noqa: PT012 - at some piece
            for piece in pieces(1, noise(60.0), 120):
                file.write(piece)
        file.abandon()
        assert list(store.folder.iterdir()) == []


def test_a_full_disk_is_told_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SPARE_BYTES", 0)
    with small_disk(tmp_path / "disk"):
        store = ClipStore(tmp_path / "disk" / "clips")
        store.prepare()
        file = ClipFile(store, head(1))
        fill(tmp_path / "disk")
        sentence = f"^{store.folder} cannot be used .No space left on device.; make room$"
        with pytest.raises(ClipError, match=sentence):  # noqa: PT012 - at some piece
            for piece in pieces(1, noise(10.0)):
                file.write(piece)
        file.abandon()
        assert list(store.folder.iterdir()) == []
