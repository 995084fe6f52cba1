from edge_detector.audio.programs.pace import BURST_SECONDS, CATCH_UP_SECONDS, Pace


def sound_read_at_once(pace: Pace) -> float:
    """Seconds of sound that may be read now, while more is waiting."""
    seconds = 0.0
    while pace.wait_seconds() == 0.0:
        pace.consume(0.1, waiting_seconds=1.0)
        seconds += 0.1
    return seconds


def test_a_stream_is_read_in_real_time_after_an_initial_burst() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    assert BURST_SECONDS <= sound_read_at_once(pace) < BURST_SECONDS + 0.2
    now += 1.0
    assert 0.9 < sound_read_at_once(pace) < 1.3


def test_a_process_that_was_stopped_for_25_seconds_catches_up_completely() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    sound_read_at_once(pace)
    now += 25.0
    assert sound_read_at_once(pace) >= 25.0


def test_the_burst_after_a_long_pause_is_bounded() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    sound_read_at_once(pace)
    now += 3_600.0
    assert sound_read_at_once(pace) < BURST_SECONDS + CATCH_UP_SECONDS + 0.2
