"""How much may be under way on a link, by a clock of its own; and which message a broker hangs up at."""

from edge_detector.heartbeat import PROGRESS_SECONDS, Heartbeat
from edge_detector.mqtt.flow_control import FLOOD_MESSAGES, FlowControl
from edge_detector.mqtt.hang_ups import HangUpTracker, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(clock: Clock, most: int = 20) -> FlowControl:
    flow_control = FlowControl(clock)
    flow_control.reset(most)
    return flow_control


def test_the_window_of_a_fast_broker_grows_to_its_limit() -> None:
    clock = Clock()
    flow_control = begun(clock)
    first = flow_control.window
    for mid in range(20):
        flow_control.sent(mid)
        clock.now += 0.01
        flow_control.acknowledged(mid)
    assert first < flow_control.window == 20
    assert flow_control.accepts_qos0


def test_a_slow_link_has_a_small_window_and_drops_qos_0_messages() -> None:
    clock = Clock()
    flow_control = begun(clock)
    flow_control.sent(1)
    clock.now += 2.5
    assert not flow_control.accepts_qos0
    flow_control.acknowledged(1)
    assert flow_control.slow
    assert flow_control.window == 2
    assert flow_control.accepts_qos0, "one, while nothing is under way"
    flow_control.sent_qos0()
    assert flow_control.wants_ping, "nothing else tells when it has been read"
    flow_control.pinged()
    assert not flow_control.accepts_qos0
    clock.now += 0.5
    flow_control.answered()
    assert not flow_control.slow


def test_the_time_without_acknowledgement_is_measured() -> None:
    clock = Clock()
    flow_control = begun(clock)
    clock.now = 50.0
    assert flow_control.unacknowledged_seconds == 0.0
    flow_control.sent(1)
    clock.now = 57.0
    assert flow_control.unacknowledged_seconds == 7.0


def cut_at(hang_ups: HangUpTracker, key: str, size: int, events: tuple[str, ...] = ()) -> Verdict | None:
    hang_ups.reset()
    hang_ups.acknowledged("small", 100)
    return hang_ups.cut({key: size}, events)


def test_a_message_that_ends_three_connections_alone_is_given_up_with_all_as_large() -> None:
    hang_ups = HangUpTracker()
    assert hang_ups.cut({"config": 9_000, "event": 700}, ()) is None, "either may have been it"
    assert [cut_at(hang_ups, "config", 9_000) for _ in range(3)] == [None, None, Verdict("config", 9_000)]
    assert hang_ups.limit == 9_000


def test_a_broker_that_acknowledges_nothing_causes_no_message_to_be_given_up() -> None:
    hang_ups = HangUpTracker()
    for _ in range(10):
        hang_ups.reset()
        assert hang_ups.cut({"config": 9_000}, ()) is None
    assert hang_ups.limit is None


def test_an_event_no_larger_than_an_accepted_packet_is_never_given_up() -> None:
    hang_ups = HangUpTracker()
    hang_ups.acknowledged("other", 1_000)
    hang_ups.cut({"event": 700}, ("event",))
    assert [cut_at(hang_ups, "event", 700, ("event",)) for _ in range(9)] == [None] * 9


def test_a_thread_that_beats_before_its_deadline_is_not_overdue() -> None:
    clock = Clock()
    heartbeat = Heartbeat("network", clock)
    heartbeat.beat("connect", 180.0)
    clock.now = 170.0
    assert heartbeat.overdue is None
    heartbeat.beat("exchange")
    clock.now += PROGRESS_SECONDS + 5.0
    assert heartbeat.overdue == "the network thread hangs in its exchange, 5 s longer than it may"
    heartbeat.end()
    assert heartbeat.overdue is None


def test_an_acknowledgement_behind_a_flood_of_messages_does_not_count_as_a_slow_link() -> None:
    now, received = [0.0], [0]
    flow = FlowControl(lambda: now[0], lambda: received[0])
    flow.reset(20)
    window = flow.window
    flow.sent(1)
    now[0], received[0] = 5.0, FLOOD_MESSAGES + 1
    assert flow.accepts_qos0
    assert flow.is_flooded
    assert not flow.wants_ping
    now[0] = 100.0
    assert flow.unacknowledged_seconds == 0.0, "and no reason to connect anew"
    flow.acknowledged(1)
    assert (flow.window, flow.slow, flow.is_flooded) == (window, False, True)
    flow.sent(2)
    now[0] += 0.1
    flow.acknowledged(2)
    assert not flow.is_flooded
