"""How much may be under way on a link, by a clock of its own; and which message a broker hangs up at."""

from edge_detector.heartbeat import PROGRESS_SECONDS, Pulse
from edge_detector.mqtt.flow_control import Link
from edge_detector.mqtt.hang_ups import Suspicion, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(clock: Clock, most: int = 20) -> Link:
    link = Link(clock)
    link.begin(most)
    return link


def test_a_quick_broker_is_soon_given_all_that_it_takes() -> None:
    clock = Clock()
    link = begun(clock)
    first = link.window
    for mid in range(20):
        link.sent(mid)
        clock.now += 0.01
        link.acknowledged(mid)
    assert first < link.window == 20
    assert link.takes_loose


def test_a_slow_link_has_little_under_way_and_no_room_for_what_need_not_arrive() -> None:
    clock = Clock()
    link = begun(clock)
    link.sent(1)
    clock.now += 2.5
    assert not link.takes_loose
    link.acknowledged(1)
    assert link.slow
    assert link.window == 2
    assert link.takes_loose, "one, while nothing is under way"
    link.sent_loose()
    assert link.wants_ping, "nothing else tells when it has been read"
    link.pinged()
    assert not link.takes_loose
    clock.now += 0.5
    link.answered()
    assert not link.slow


def test_it_is_known_for_how_long_nothing_was_acknowledged() -> None:
    clock = Clock()
    link = begun(clock)
    clock.now = 50.0
    assert link.unacknowledged_seconds == 0.0
    link.sent(1)
    clock.now = 57.0
    assert link.unacknowledged_seconds == 7.0


def cut_at(suspicion: Suspicion, key: str, size: int, events: tuple[str, ...] = ()) -> Verdict | None:
    suspicion.begin()
    suspicion.took("small", 100)
    return suspicion.cut({key: size}, events)


def test_what_is_cut_three_times_alone_is_given_up_and_so_is_all_that_is_as_large() -> None:
    suspicion = Suspicion()
    assert suspicion.cut({"config": 9_000, "event": 700}, ()) is None, "either may have been it"
    assert [cut_at(suspicion, "config", 9_000) for _ in range(3)] == [None, None, Verdict("config", 9_000)]
    assert suspicion.limit == 9_000


def test_a_broker_that_takes_nothing_at_all_accuses_no_message() -> None:
    suspicion = Suspicion()
    for _ in range(10):
        suspicion.begin()
        assert suspicion.cut({"config": 9_000}, ()) is None
    assert suspicion.limit is None


def test_an_event_no_larger_than_what_was_taken_is_never_given_up() -> None:
    suspicion = Suspicion()
    suspicion.took("other", 1_000)
    suspicion.cut({"event": 700}, ("event",))
    assert [cut_at(suspicion, "event", 700, ("event",)) for _ in range(9)] == [None] * 9


def test_a_thread_that_keeps_its_word_is_not_overdue_however_long_it_waits() -> None:
    clock = Clock()
    pulse = Pulse("network", clock)
    pulse.beat("connect", 180.0)
    clock.now = 170.0
    assert pulse.overdue is None
    pulse.beat("exchange")
    clock.now += PROGRESS_SECONDS + 5.0
    assert pulse.overdue == "the network thread hangs in its exchange, 5 s longer than it may"
    pulse.end()
    assert pulse.overdue is None
