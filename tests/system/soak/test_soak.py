from edge_detector.demo.soundscape import PROGRAMME
from tests.system.soak import real_time, replayed


def test_half_an_hour_of_sound_loses_nothing_and_leave_nothing_behind() -> None:
    figures, problems = replayed.soak(0.5)
    assert figures["samples_in"] == 1_800 * 16_000
    assert problems == []


def test_what_is_played_to_a_microphone_is_heard_and_told_and_leaves_nothing_behind() -> None:
    figures, problems = real_time.soak(3, warm_up_rounds=1, programme=PROGRAMME[:1])
    assert figures["events_heard"].keys() >= figures["sounds_played"].keys()
    assert problems == []
