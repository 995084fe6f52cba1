"""Recordings for teaching: classes, other sounds, what is not a class; and clips, which are of an occasion and hold an event."""

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.cutter import ClipHead, ClipPiece
from edge_detector.clips.names import clip_name
from edge_detector.clips.store import ClipStore
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.teaching.recordings import Bounds, find_recordings, find_wrong, read_rooms, read_sound
from tests.support.clips import DAYS, MOST_BYTES, NOON_SECONDS, RATE_HZ

BOUNDS = Bounds(recordings=6, of_label=4, others=2, rooms=2, seconds=1.0, room_seconds=2.0, file_bytes=1_000_000)


def wav(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(1).uniform(-1.0, 1.0, round(seconds * RATE_HZ)), RATE_HZ)
    return path


def named(folder: Path, at_seconds: float, source: str = "cot", slug: str = "kettle") -> Path:
    """A recording with the name of a clip; its content does not matter."""
    return wav(folder / clip_name(f"{source}/{at_seconds}/{slug}", NOON_SECONDS + at_seconds, source, slug).file_name)


def originals(folder: Path) -> int:
    return len({clip.source for clip in find_recordings(folder).clips})


def test_clips_that_begin_within_a_minute_of_the_one_before_are_takes_of_one_original(tmp_path: Path) -> None:
    for at_seconds in (0.0, 59.0, 118.0, 178.0, 400.0):
        named(tmp_path / "kettle", at_seconds)
    # 178 s is a minute after 118 s.
    assert originals(tmp_path) == 3


def test_clips_of_two_sources_are_of_two_originals(tmp_path: Path) -> None:
    named(tmp_path / "kettle", 0.0)
    named(tmp_path / "kettle", 1.0, source="kitchen")
    assert originals(tmp_path) == 2


def test_other_recordings_among_clips_stay_originals_of_their_own(tmp_path: Path) -> None:
    named(tmp_path / "kettle", 0.0)
    named(tmp_path / "kettle", 1.0)
    for name in ("20251129T120000.500Z.wav", "1-100-A.wav", "1-100-B.wav"):
        wav(tmp_path / "kettle" / name)
    assert originals(tmp_path) == 3


def write_clip(
    folder: Path, *, before: float, event: float, after: float
) -> tuple[Path, np.ndarray[tuple[int], np.dtype[np.int16]]]:
    """A clip that the service's own classes write, and its samples."""
    samples = np.random.default_rng(2).integers(-20_000, 20_000, round((before + event + after) * RATE_HZ), np.int16)
    head = ClipHead("e", clip_name("e", NOON_SECONDS, "cot", "rain"), "Rain", RATE_HZ, lead_seconds=before)
    file = ClipFile(ClipStore(folder), head)
    file.write(ClipPiece("e", (samples,), 0, is_last=True, is_early=False, after_seconds=after))
    assert file.finish(head.name.start_ms, days=DAYS, most_bytes=MOST_BYTES)
    return folder / head.name.file_name, samples


def test_of_a_clip_the_event_is_used_with_half_a_second_before_and_after(tmp_path: Path) -> None:
    path, samples = write_clip(tmp_path, before=5.0, event=1.5, after=5.0)
    assert np.array_equal(read_sound(path), samples[round(4.5 * RATE_HZ) : round(7.0 * RATE_HZ)] / np.float32(32_768))


def test_a_clip_that_begins_after_its_event_is_used_from_its_beginning(tmp_path: Path) -> None:
    path, samples = write_clip(tmp_path, before=0.2, event=2.0, after=0.1)
    assert len(read_sound(path)) == len(samples)


def test_a_recording_with_another_name_is_used_as_a_whole(tmp_path: Path) -> None:
    path, samples = write_clip(tmp_path, before=5.0, event=1.5, after=5.0)
    assert len(read_sound(path.rename(tmp_path / "kettle.flac"))) == len(samples)


def test_a_clip_without_the_place_of_its_event_is_used_as_a_whole(tmp_path: Path) -> None:
    path = named(tmp_path, 0.0)
    assert len(read_sound(path)) == round(0.5 * RATE_HZ)


def household(folder: Path) -> Path:
    for slug in ("kettle", "Door bell"):
        for number in range(3):
            named(folder / slug, 1_000.0 * number + 100.0 * (slug == "kettle"), slug="bell")
    wav(folder / "background" / "evening.wav")
    for label in ("kettle", "door_bell", "phone"):
        wav(folder / "not" / label / "1.wav")
    return folder


def test_all_folders_are_taught_and_what_is_not_a_taught_class_is_unused(tmp_path: Path) -> None:
    found = find_recordings(household(tmp_path))
    assert sorted(clip.label for clip in found.clips) == 3 * ["door_bell"] + 3 * ["kettle"]
    assert not found.others
    assert sorted(clip.label for clip in found.wrong) == ["door_bell", "kettle"]


def test_the_other_folders_are_sound_without_the_chosen_class(tmp_path: Path) -> None:
    found = find_recordings(household(tmp_path), ("Kettle",))
    assert [clip.label for clip in found.clips] == 3 * ["kettle"]
    assert [clip.label for clip in found.others] == 3 * ["door_bell"]
    assert [clip.label for clip in found.wrong] == ["kettle"]


def test_a_clip_of_another_sound_at_a_moment_of_the_taught_one_is_unused(tmp_path: Path) -> None:
    named(household(tmp_path) / "Door bell", 110.0)
    named(tmp_path / "Door bell", 111.0, source="kitchen")
    found = find_recordings(tmp_path, ["kettle"])
    assert len(found.others) == 4


def test_a_clip_of_another_sound_at_a_moment_of_a_wrong_detection_is_unused(tmp_path: Path) -> None:
    household(tmp_path)
    named(tmp_path / "not" / "kettle", 1_000.0)
    unused, used = named(tmp_path / "Door bell", 1_001.0), named(tmp_path / "Door bell", 1_001.0, source="kitchen")
    others = {clip.path for clip in find_recordings(tmp_path, ["kettle"]).others}
    assert used in others
    assert unused not in others
    # Of a class that is not taught nothing is left out.
    named(tmp_path / "not" / "phone", 1_001.0, source="kitchen")
    assert used in {clip.path for clip in find_recordings(tmp_path, ["kettle"]).others}


@pytest.mark.parametrize(("name", "shown"), [("phone", "no recordings of phone"), ("!", "a name without letters")])
def test_a_class_without_a_folder_is_one_sentence(tmp_path: Path, name: str, shown: str) -> None:
    with pytest.raises(UsageError, match=f"{shown}.*it has door_bell, kettle"):
        find_recordings(household(tmp_path), (name,))


def test_without_wrong_recordings_there_are_none(tmp_path: Path) -> None:
    assert find_wrong(tmp_path) == ()
    (tmp_path / "not" / "kettle").mkdir(parents=True)
    assert find_wrong(tmp_path) == ()


def written_at(path: Path, seconds: int) -> Path:
    os.utime(path, (seconds, seconds))
    return path


def test_within_bounds_the_newest_recordings_are_used(tmp_path: Path) -> None:
    for label in ("a", "b", "c", "d"):
        for number in range(5):
            written_at(wav(tmp_path / label / f"{number}.wav"), 1_000 + (number + 2) % 5)
            written_at(wav(tmp_path / "not" / label / f"{number}.wav"), 1_000 - number)
    found = find_recordings(tmp_path, ("a", "b")).bounded(BOUNDS)
    assert [clip.path.stem for clip in found.clips] == ["0", "1", "2", "0", "1", "2"], "three each, of six"
    assert [clip.path.stem for clip in found.wrong] == ["0", "1", "2", "0", "1", "2"]
    assert [clip.path.parent.name + clip.path.stem for clip in found.others] == ["c2", "d2"]
    alone = find_recordings(tmp_path, ("a",)).bounded(BOUNDS)
    assert len(alone.clips) == BOUNDS.of_label


def test_within_bounds_a_long_recording_is_cut_and_a_large_file_is_refused(tmp_path: Path) -> None:
    path = wav(tmp_path / "long.wav", 5.0)
    assert len(read_sound(path, BOUNDS)) == RATE_HZ
    with pytest.raises(EdgeDetectorError, match=r"long\.wav is larger than 0 MB.*cut it"):
        read_sound(path, replace(BOUNDS, file_bytes=1_000))


def test_within_bounds_hours_of_sound_in_a_small_file_take_little_memory(tmp_path: Path) -> None:
    path, minute = tmp_path / "hour.flac", np.zeros(60 * RATE_HZ, np.int16)
    minute[::RATE_HZ] = 1_000
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(minute)
    bounds = replace(BOUNDS, file_bytes=50_000_000)
    tracemalloc.start()
    try:
        lengths = len(read_sound(path, bounds)), len(read_rooms([path], bounds)[0])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lengths == (RATE_HZ, 2 * RATE_HZ)
    assert peak_bytes < 100_000_000, "all of it has 230 MB"


def test_within_bounds_the_newest_recordings_of_the_room_are_used(tmp_path: Path) -> None:
    paths = [written_at(wav(tmp_path / f"{number}.wav", 1.0 + number), number) for number in range(4)]
    assert [len(samples) / RATE_HZ for samples in read_rooms(paths)] == [1.0, 2.0, 3.0, 4.0]
    assert [len(samples) / RATE_HZ for samples in read_rooms(paths, BOUNDS)] == [2.0, 2.0]
