from edge_detector.demo.soundscape import PROGRAMME
from tests.system.soak import real_time, replayed


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
