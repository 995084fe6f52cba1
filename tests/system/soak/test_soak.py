from pathlib import Path

from edge_detector.demo.soundscape import PROGRAMME
from tests.system.soak import real_time, replayed
from tests.system.soak.clips import ClipLimits


def test_half_an_hour_of_sound_loses_nothing_and_leaves_nothing_behind() -> None:
    figures, problems = replayed.soak(0.5, reading_hours=0.25)
    assert figures["samples_in"] == 1_800 * 16_000
    assert problems == []


def test_a_page_that_is_open_in_three_browsers_leaves_nothing_behind_and_its_history_has_every_event() -> None:
    figures, problems = replayed.soak(0.5, reading_hours=0.25, history=replayed.HistoryLimits(days=1, megabytes=10))
    assert problems == []
    assert figures["samples_lost"] == 0


def test_what_is_played_to_a_microphone_is_heard_and_told_and_leaves_nothing_behind() -> None:
    figures, problems = real_time.soak(3, warm_up_rounds=1, programme=PROGRAMME[:1])
    assert figures["events_heard"].keys() >= figures["sounds_played"].keys()
    assert problems == []


def test_clips_of_an_event_a_minute_are_all_stored_and_stay_within_their_megabytes(tmp_path: Path) -> None:
    figures, problems = replayed.soak(0.5, reading_hours=0.1, clips=ClipLimits(days=30, megabytes=2), where=tmp_path)
    assert problems == []
    assert figures["clips_stored"] == 30
    assert 0 < int(str(figures["clips_kept"])) < 30
    assert figures["earlier_clips_kept"] == 0


def test_clips_are_deleted_once_they_are_a_day_old(tmp_path: Path) -> None:
    limits = ClipLimits(days=1, megabytes=100, by_sound=True)
    figures, problems = replayed.soak(0.6, reading_hours=0.2, clips=limits, where=tmp_path)
    assert problems == []
    assert figures["clips_stored"] == 36
    # One each half hour in the three days before; those of the last day stay, but for two that became too old meanwhile.
    assert figures["earlier_clips_kept"] == 46
    assert float(str(figures["oldest_clip_hours_before_the_end"])) <= 24.0
