from tests.soak.__main__ import problems, soak


def test_two_hours_of_sound_lose_nothing_and_leave_nothing_behind() -> None:
    seen = soak(2.0)
    assert seen["samples_in"] == 2 * 3_600 * 16_000
    assert problems(seen) == []
