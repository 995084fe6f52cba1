"""The keeper of a source, with a real microphone that is unplugged, and threads."""

import os
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest

from edge_detector.audio.microphone import Microphone
from edge_detector.audio.source import Source
from edge_detector.service.supervisor import SourceEvent, SourceStateChange, SourceSupervisor, StreamOpened
from edge_detector.threads import in_thread
from tests.support.fake_microphone import FakeMicrophone
from tests.support.fake_source import words


@pytest.fixture
def supervisor(room: FakeMicrophone) -> Iterator[SourceSupervisor]:
    assert room.environment["ALSA_CONFIG_PATH"] == os.environ["ALSA_CONFIG_PATH"]
    made = SourceSupervisor("cot", Microphone, in_thread, clock=time.monotonic, pause=time.sleep, random=Random(1).random)
    yield made
    made.close()
    assert made.wait_closed(20.0)


def until(
    supervisor: SourceSupervisor, found: Callable[[SourceEvent], bool], *, deadline_seconds: float = 60.0
) -> list[SourceEvent]:
    items: list[SourceEvent] = []
    give_up_at = time.monotonic() + deadline_seconds
    while time.monotonic() < give_up_at:
        item = supervisor.step(0.1)
        assert not supervisor.overdue
        if item is not None:
            items.append(item)
            if found(item):
                return items
    raise AssertionError(f"never came; but: {words(items)[-20:]}")


def is_state(state: str) -> Callable[[SourceEvent], bool]:
    return lambda item: isinstance(item, SourceStateChange) and item.state == state


def states(items: list[SourceEvent]) -> list[str]:
    return [item.state for item in items if isinstance(item, SourceStateChange)]


def test_a_microphone_that_is_unplugged_is_announced_and_comes_back_when_plugged_in(
    room: FakeMicrophone, supervisor: SourceSupervisor
) -> None:
    until(supervisor, is_state("healthy"))
    room.unplug()
    until(supervisor, is_state("reconnecting"))
    room.plug()
    items = until(supervisor, is_state("healthy"))
    assert any(isinstance(item, StreamOpened) for item in items)


def test_a_sound_system_that_crashes_and_starts_again_is_heard_again(room: FakeMicrophone, supervisor: SourceSupervisor) -> None:
    until(supervisor, is_state("healthy"))
    room.crash()
    until(supervisor, is_state("reconnecting"))
    until(supervisor, lambda item: isinstance(item, SourceStateChange) and "no microphone" in (item.reason or ""))
    room.start()
    until(supervisor, is_state("healthy"))


def test_a_sound_system_that_freezes_never_hangs_the_listener_and_is_heard_again(
    room: FakeMicrophone, supervisor: SourceSupervisor
) -> None:
    until(supervisor, is_state("healthy"))
    room.freeze()
    until(supervisor, is_state("reconnecting"))
    longest = 0.0
    give_up_at = time.monotonic() + 4.0
    while time.monotonic() < give_up_at:
        began = time.monotonic()
        supervisor.step(0.1)
        longest = max(longest, time.monotonic() - began)
    room.thaw()
    assert longest < 2.0, "every step returned while everything else hung"
    until(supervisor, is_state("healthy"))


def test_a_service_without_a_microphone_waits_for_one(room: FakeMicrophone, supervisor: SourceSupervisor) -> None:
    room.crash()
    items = until(supervisor, is_state("reconnecting"))
    assert states(items) == ["starting", "reconnecting"]
    room.start()
    until(supervisor, is_state("healthy"))


def test_any_other_error_of_an_opening_is_a_bug_and_not_swallowed() -> None:
    def broken() -> Source:
        raise ZeroDivisionError

    supervisor = SourceSupervisor("cot", broken, in_thread, clock=time.monotonic, pause=time.sleep, random=lambda: 1.0)
    with pytest.raises(ZeroDivisionError):
        until(supervisor, lambda _: False)
