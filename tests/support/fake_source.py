"""A world without sound or threads, in which time moves only when a test moves it."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import numpy as np

from edge_detector.errors import SourceError
from edge_detector.service.supervisor import SourceEvent, SourceStateChange, SourceSupervisor
from edge_detector.types import Block

T = TypeVar("T")
RATE_HZ = 16_000


class StubSource:
    """Gives what the test puts into it, raises what the test puts there."""

    rate_hz = RATE_HZ
    waiting_seconds = 0.25
    overflows = 0

    def __init__(self, number: int, *, live: bool = True) -> None:
        self.stream_id = f"stream{number}"
        self.live = live
        self.ended = False
        self.closed = False
        self.next_sample = 0
        self.due: list[int | SourceError] = []

    def read(self, timeout_seconds: float) -> Block | None:
        assert not self.closed, "nobody reads from a closed source"
        assert timeout_seconds == 0.0
        if not self.due:
            return None
        item = self.due.pop(0)
        if isinstance(item, SourceError):
            raise item
        block = Block(np.zeros(item, np.float32), self.next_sample)
        self.next_sample += item
        return block

    def close(self) -> None:
        self.closed = True


class World:
    """Time that stands still, sources that open or not, and threads that return when the test says so."""

    def __init__(self, *, live: bool = True) -> None:
        self.now = 100.0
        self.live = live
        self.fault: SourceError | None = None
        self.sources: list[StubSource] = []
        self.attempts: list[float] = []
        self.hung: list[Callable[[], None]] = []
        self.hangs: str | None = None
        self.devices = 0
        self.paused = 0.0

    def open(self) -> StubSource:
        self.attempts.append(self.now)
        if self.fault is not None:
            raise self.fault
        self.sources.append(StubSource(len(self.sources), live=self.live))
        return self.sources[-1]

    def start(self, call: Callable[[], T], name: str) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(call())
            except SourceError as error:
                future.set_exception(error)

        if self.hangs is not None and name.startswith(self.hangs):
            self.hung.append(run)
        else:
            run()
        return future

    def pause(self, seconds: float) -> None:
        self.paused += seconds
        self.now += seconds

    def supervisor(self, *, reopens: bool = True, random: float = 1.0) -> SourceSupervisor:
        return SourceSupervisor(
            "cot", self.open, self.start, clock=lambda: self.now, pause=self.pause, random=lambda: random, reopens=reopens,
            devices=lambda: self.devices,
        )  # fmt: skip


def drain(supervisor: SourceSupervisor) -> list[SourceEvent]:
    """Everything there is to be had before time moves on; a job that is done needs a few steps to show."""
    items = [supervisor.step(0.0) for _ in range(8)]
    return [item for item in items if item is not None]


def words(items: list[SourceEvent]) -> list[str]:
    return [item.state if isinstance(item, SourceStateChange) else type(item).__name__ for item in items]
