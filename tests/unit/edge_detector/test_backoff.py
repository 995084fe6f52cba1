from collections import Counter
from random import Random

from edge_detector.backoff import Backoff


def test_delays_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(1.0, 5.0, lambda: 1.0)
    assert [backoff.next_seconds() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_seconds() == 1.0


def test_a_delay_is_cut_by_half_at_most() -> None:
    backoff = Backoff(1.0, 5.0, lambda: 0.0)
    assert [backoff.next_seconds() for _ in range(4)] == [0.5, 1.0, 2.0, 2.5]


def test_hundreds_that_lost_the_same_thing_do_not_ask_for_it_all_at_once() -> None:
    random = Random(3)
    fleet = [Backoff(1.0, 30.0, random.random) for _ in range(300)]
    asked_at_seconds = [0.0] * len(fleet)
    busiest = []
    for _ in range(6):
        asked_at_seconds = [at + backoff.next_seconds() for at, backoff in zip(asked_at_seconds, fleet, strict=True)]
        busiest.append(max(Counter(int(10 * at) for at in asked_at_seconds).values()))
    assert busiest[0] < len(fleet) / 3, "in no tenth of a second more than a third of them, already at the first attempt"
    assert busiest[-1] < len(fleet) / 20, f"and the longer the outage, the fewer: {busiest}"
