"""The folder of clips: what is listed is complete and inside, and its limits hold."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.clips.names import clip_id, clip_name
from edge_detector.clips.store import DAY_MS, ClipStore
from tests.support.clips import NOON_SECONDS, clip_bytes, event_id, noise, stored, write

NOON_MS = round(1e3 * NOON_SECONDS)


@pytest.fixture
def store(tmp_path: Path) -> ClipStore:
    return ClipStore(tmp_path / "clips")


def test_without_a_folder_there_is_no_clip(store: ClipStore) -> None:
    assert store.newest(10) == ()
    assert store.find(clip_id(event_id(1))) is None
    assert (store.delete_all(), clip_bytes(store), store.trim(NOON_MS, days=1, most_bytes=1)) == (0, 0, 0)


def test_clips_are_listed_from_the_newest_and_only_their_owner_may_read_them(store: ClipStore) -> None:
    for number in (2, 1, 3):
        write(store, number, noise(0.1, number))
    assert [clip.name.start_ms - NOON_MS for clip in store.newest(2)] == [3_000, 2_000]
    assert clip_bytes(store) == sum(clip.path.stat().st_size for clip in store.newest(9)) > 3 * 3_000
    assert {clip.path.stat().st_mode & 0o777 for clip in store.newest(9)} == {0o600}
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert [clip.name.source for clip in store.newest(1)] == ["cot"]


def test_a_clip_is_found_and_deleted_by_the_id_that_follows_from_its_event(store: ClipStore) -> None:
    for number in (1, 2):
        write(store, number, noise(0.1, number))
    found = store.find(clip_id(event_id(2)))
    assert found is not None
    assert np.array_equal(stored(found.path)[0], noise(0.1, 2))
    assert store.delete(clip_id(event_id(2)))
    assert not store.delete(clip_id(event_id(2)))
    assert [clip.name.id for clip in store.newest(9)] == [clip_id(event_id(1))]
    assert store.delete_all() == 1
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize("text", ["", ".", "../secret", "a" * 15, "*", "2025", "0123456789ABCDEF"])
def test_no_other_text_finds_or_deletes_anything(store: ClipStore, text: str) -> None:
    write(store, 1, noise(0.1))
    assert store.find(text) is None
    assert not store.delete(text)
    assert len(store.newest(9)) == 1


def test_links_folders_pipes_and_other_files_are_no_clips(store: ClipStore, tmp_path: Path) -> None:
    store.prepare()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    names = [clip_name(event_id(number), NOON_SECONDS, "cot", "rain") for number in range(3)]
    (store.folder / names[0].file_name).symlink_to(secret)
    (store.folder / names[1].file_name).mkdir()
    os.mkfifo(store.folder / names[2].file_name)
    (store.folder / "notes.flac").write_text("mine")
    assert store.newest(9) == ()
    assert all(store.find(name.id) is None and not store.delete(name.id) for name in names)
    assert store.delete_all() == store.trim(NOON_MS + 100 * DAY_MS, days=1, most_bytes=0) == 0
    assert secret.read_text() == "secret"
    assert len(list(store.folder.iterdir())) == 4


def test_a_recording_that_is_processed_again_replaces_its_clips(store: ClipStore) -> None:
    for start_seconds in (NOON_SECONDS, NOON_SECONDS + 60.0):
        write(store, 1, noise(0.1), start_seconds=start_seconds)
    (clip,) = store.newest(9)
    assert clip.name.start_ms == NOON_MS + 60_000


def test_what_an_earlier_process_left_incomplete_is_removed_and_never_listed(store: ClipStore) -> None:
    write(store, 1, noise(0.1))
    (clip,) = store.newest(9)
    part = clip.path.with_name(f"{clip.path.name}.part")
    part.write_bytes(clip.path.read_bytes()[:1_000])
    assert store.newest(9) == (clip,)
    store.prepare()
    assert list(store.folder.iterdir()) == [clip.path]


@settings(max_examples=50)
@given(
    ages_days=st.lists(st.floats(0.0, 40.0), max_size=12),
    sizes=st.lists(st.integers(1, 5_000), min_size=12, max_size=12),
    part_bytes=st.integers(0, 5_000),
    limits=st.tuples(st.integers(1, 30), st.integers(0, 20_000)),
)
def test_only_the_newest_clips_within_days_and_bytes_stay(
    tmp_path_factory: pytest.TempPathFactory,
    ages_days: list[float],
    sizes: list[int],
    part_bytes: int,
    limits: tuple[int, int],
) -> None:
    store, (days, most_bytes) = ClipStore(tmp_path_factory.mktemp("clips")), limits
    for number, (age_days, size) in enumerate(zip(ages_days, sizes, strict=False)):
        name = clip_name(event_id(number), NOON_SECONDS - age_days * 86_400.0, "cot", "rain")
        (store.folder / name.file_name).write_bytes(bytes(size))
    (store.folder / "new.flac.part").write_bytes(bytes(part_bytes))
    before = store.newest(99)
    removed = store.trim(NOON_MS, days=days, most_bytes=most_bytes)
    after = store.newest(99)
    assert after == before[: len(before) - removed], "the oldest go first"
    assert clip_bytes(store) + part_bytes <= most_bytes or not after
    assert all(clip.name.start_ms >= NOON_MS - days * DAY_MS for clip in after)
    if removed:
        last = before[len(after)]
        too_old = last.name.start_ms < NOON_MS - days * DAY_MS
        assert too_old or clip_bytes(store) + part_bytes + last.size_bytes > most_bytes, "none goes without a reason"


def test_the_ids_are_those_of_all_clips_and_of_those_that_are_being_written(store: ClipStore) -> None:
    write(store, 1, noise(0.1))
    write(store, 2, noise(0.1))
    complete = store.folder / next(iter(store.newest(1))).path.name
    complete.rename(complete.with_name(complete.name + ".part"))
    (store.folder / "notes.flac").write_text("mine")
    (store.folder / "link-0123456789abcdef.flac").symlink_to(complete)
    assert store.ids() == {clip_id(event_id(1)), clip_id(event_id(2))}
    assert [store.is_being_written(clip_id(event_id(number))) for number in (1, 2, 3)] == [False, True, False]
    assert not store.is_being_written("")
