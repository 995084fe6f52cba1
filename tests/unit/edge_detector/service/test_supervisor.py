"""The keeper of a source, on time that the test moves."""

import numpy as np
import pytest

from edge_detector.errors import SourceError
from edge_detector.service.supervisor import SourceStateChange, SourceSupervisor, StreamOpened
from edge_detector.types import Block
from tests.support.fake_source import World, drain, words


def healthy(world: World, *, reopens: bool = True) -> SourceSupervisor:
    supervisor = world.supervisor(reopens=reopens)
    drain(supervisor)
    world.sources[-1].due.append(480)
    assert words(drain(supervisor)) == ["healthy", "Block"]
    return supervisor


def test_a_source_is_starting_then_opened_then_healthy_with_its_first_block() -> None:
    world = World()
    supervisor = world.supervisor()
    assert words(drain(supervisor)) == ["starting", "StreamOpened"]
    world.now += 0.5
    assert drain(supervisor) == []
    world.sources[0].due += [480, 480]
    items = drain(supervisor)
    assert words(items) == ["healthy", "Block", "Block"]
    assert items[0] == SourceStateChange("healthy", None, 100.5)
    assert supervisor.waiting_seconds == 0.25
    assert not supervisor.overdue


def test_a_lost_source_is_closed_and_opened_again_as_a_new_stream() -> None:
    world = World()
    supervisor = healthy(world)
    world.sources[0].due.append(SourceError("it was pulled out"))
    (lost,) = drain(supervisor)
    assert lost == SourceStateChange("reconnecting", "it was pulled out", 100.0)
    assert isinstance(lost, SourceStateChange)
    assert lost.stream_is_over
    assert world.sources[0].closed
    world.now += 0.5
    (opened,) = drain(supervisor)
    assert isinstance(opened, StreamOpened)
    assert opened.source.stream_id == "stream1"
    world.sources[1].due.append(480)
    change, block = drain(supervisor)
    assert change == SourceStateChange("healthy", None, 100.5)
    assert isinstance(block, Block)
    assert (block.first_sample, block.lost_samples) == (0, 0), "a new stream has a time of its own"
    assert supervisor.losses == 1


def test_a_missing_microphone_at_boot_is_reported_once_and_retried() -> None:
    world = World()
    world.fault = SourceError("no microphone was found")
    supervisor = world.supervisor()
    assert words(drain(supervisor)) == ["starting", "reconnecting"]
    for _ in range(400):
        world.now += 0.5
        assert drain(supervisor) == []
        assert not supervisor.overdue
    world.fault = SourceError("the microphone is busy")
    for _ in range(100):
        world.now += 0.5
        if news := drain(supervisor):
            break
    assert news == [SourceStateChange("reconnecting", "the microphone is busy", 100.0)], "another reason is news; since stays"
    world.fault = None
    world.now += 30.0
    assert words(drain(supervisor)) == ["StreamOpened"]


@pytest.mark.parametrize(("random", "factor"), [(1.0, 1.0), (0.0, 0.5)])
def test_delays_double_up_to_a_limit_and_are_randomised(random: float, factor: float) -> None:
    world = World()
    world.fault = SourceError("gone")
    supervisor = world.supervisor(random=random)
    while len(world.attempts) < 11:
        supervisor.step(1_000.0)
    waited = np.diff(world.attempts)
    assert (waited / factor).tolist() == pytest.approx([0.5, 1, 2, 4, 8, 10, 10, 10, 10, 10])


def test_a_source_that_keeps_failing_is_retried_with_growing_delays() -> None:
    world = World()
    supervisor = healthy(world)
    for delay in (0.5, 1.0, 2.0):
        world.sources[-1].due.append(SourceError("gone"))
        drain(supervisor)
        world.now += delay - 0.01
        assert drain(supervisor) == []
        world.now += 0.01
        assert words(drain(supervisor)) == ["StreamOpened"]
        world.sources[-1].due.append(480)
        drain(supervisor)
    world.now += 3.0
    world.sources[-1].due += [480, SourceError("gone")]
    drain(supervisor)
    world.now += 0.5
    assert words(drain(supervisor)) == ["StreamOpened"], "three healthy seconds, and patience begins anew"


def test_a_device_that_is_plugged_in_is_tried_at_once() -> None:
    world = World()
    world.fault = SourceError("gone")
    supervisor = world.supervisor()
    while len(world.attempts) < 9:
        supervisor.step(1_000.0)
    drain(supervisor)
    world.fault = None
    world.now += 3.0
    assert drain(supervisor) == []
    world.devices = 1
    assert drain(supervisor) == []
    world.now += 0.5
    assert words(drain(supervisor)) == ["StreamOpened"]


def test_an_open_source_without_blocks_is_stalled_then_lost_and_healthy_after_a_block() -> None:
    world = World()
    supervisor = healthy(world)
    world.now += 1.0
    assert drain(supervisor) == []
    world.now += 0.5
    assert drain(supervisor) == [SourceStateChange("stalled", "no sound came for 1 s", 101.5)]
    world.sources[0].due.append(480)
    assert words(drain(supervisor)) == ["healthy", "Block"]
    world.now += 2.0
    assert words(drain(supervisor)) == ["stalled"]
    world.now += 13.5
    assert words(drain(supervisor)) == ["reconnecting"]
    assert world.sources[0].closed


def test_a_source_that_opens_and_delivers_no_block_is_lost() -> None:
    world = World()
    supervisor = world.supervisor()
    drain(supervisor)
    world.now += 16.0
    (change,) = drain(supervisor)
    assert change == SourceStateChange("reconnecting", "no sound came for 16.0 s", 116.0)


def test_a_live_stream_that_ends_is_lost_and_a_recording_that_ends_is_done() -> None:
    world = World()
    supervisor = healthy(world)
    world.sources[0].ended = True
    assert drain(supervisor) == [SourceStateChange("reconnecting", "the stream has ended", 100.0)]
    assert not supervisor.ended

    world = World(live=False)
    supervisor = healthy(world, reopens=False)
    world.sources[0].due += [480]
    world.sources[0].ended = True
    assert words(drain(supervisor)) == ["Block"]
    assert supervisor.ended
    assert world.sources[0].closed
    assert supervisor.change.state == "healthy", "its end is no fault"


def test_a_recording_that_cannot_be_read_has_failed_and_is_not_tried_again() -> None:
    world = World(live=False)
    world.fault = SourceError("no such file")
    supervisor = world.supervisor(reopens=False)
    assert drain(supervisor)[-1] == SourceStateChange("failed", "no such file", 100.0)
    assert supervisor.ended
    world.now += 1_000.0
    assert drain(supervisor) == []
    assert len(world.attempts) == 1


def test_a_slow_recording_is_never_stalled() -> None:
    world = World(live=False)
    supervisor = healthy(world, reopens=False)
    world.now += 1_000.0
    assert drain(supervisor) == []


@pytest.mark.parametrize(("hangs", "deadline"), [("open", 45.0), ("close", 10.0)])
def test_a_hanging_open_or_close_is_a_named_state_and_never_blocks_the_worker(hangs: str, deadline: float) -> None:
    world = World()
    world.hangs = hangs
    supervisor = world.supervisor()
    drain(supervisor)
    if hangs == "close":
        world.sources[0].due += [480, SourceError("gone")]
        assert words(drain(supervisor)) == ["healthy", "Block", "reconnecting"]
    world.now += deadline
    assert drain(supervisor) == []
    assert not supervisor.overdue
    world.now += 0.1
    assert supervisor.overdue, "known even if nobody steps"
    (change,) = drain(supervisor)
    assert isinstance(change, SourceStateChange)
    assert (change.state, change.since_seconds) == ("failed", world.now)
    assert "hangs" in (change.reason or "")
    assert drain(supervisor) == []
    world.hangs = None
    world.hung.pop()()
    assert words(drain(supervisor)) == ["StreamOpened"], "should it return after all, so does the source"
    assert not supervisor.overdue
    world.sources[-1].due.append(480)
    assert words(drain(supervisor)) == ["healthy", "Block"]


def test_waiting_respects_its_timeout() -> None:
    world = World()
    world.fault = SourceError("gone")
    supervisor = world.supervisor()
    drain(supervisor)
    started = world.now
    assert supervisor.step(0.25) is None
    assert world.now - started == 0.25


def test_closing_also_closes_a_source_that_is_still_being_opened() -> None:
    world = World()
    supervisor = healthy(world)
    supervisor.close()
    supervisor.close()
    assert world.sources[0].closed
    assert supervisor.wait_closed(0.0)
    assert supervisor.ended
    assert drain(supervisor) == []

    world = World()
    world.hangs = "open"
    supervisor = world.supervisor()
    drain(supervisor)
    supervisor.close()
    assert not supervisor.wait_closed(0.0)
    assert drain(supervisor) == []
    world.hung.pop()()
    assert world.sources[0].closed
