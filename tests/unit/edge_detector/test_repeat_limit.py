import pytest

from edge_detector.repeat_limit import BURST, EVERY_SECONDS, REMEMBERED, RepeatLimit, message_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cot: reconnecting: [http @ 0x55d0c2f0] refused", "cot: reconnecting: [http @ 0x7ffe1234ab] refused"),
        ("lost the broker at 10.0.0.2:49152", "lost the broker at 10.0.0.2:52001"),
        ("no sound came for 10.1 s", "no sound came for 9.9 s"),
    ],
)
def test_pointers_ports_and_numbers_make_no_other_sentence(one: str, other: str) -> None:
    assert message_key(one) == message_key(other)


@pytest.mark.parametrize(("one", "other"), [("s1: lost", "s2: lost"), ("1: lost", "2: lost"), ("cot: lost", "cot: found")])
def test_who_and_what_make_another_sentence(one: str, other: str) -> None:
    assert message_key(one) != message_key(other)


def test_what_is_said_all_the_time_is_said_a_few_times_then_seldom_and_how_often_is_told() -> None:
    now = 0.0
    limit = RepeatLimit(lambda: now)
    said = []
    for second in range(3_600):
        now = float(second)
        said.append(limit.allow("cot: lost"))
    told = [passed_over for passed_over in said if passed_over is not None]
    assert said[:BURST] == [0] * BURST
    assert len(told) == pytest.approx(BURST + 3_600 / EVERY_SECONDS, abs=1)
    assert sum(told) + len(told) == pytest.approx(3_600, abs=EVERY_SECONDS), "none is forgotten"
    assert limit.allow("cot: found") == 0, "another sentence does not wait for it"


def test_what_strangers_make_us_say_does_not_fill_the_memory() -> None:
    limit = RepeatLimit(lambda: 0.0)
    for number in range(10 * REMEMBERED):
        limit.allow(f"sentence {number}")
    assert len(limit) <= REMEMBERED
