"""Keeps one source open: a source that stops is a state, with a reason and a next attempt, and never a stopped service."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from edge_detector.audio.source import Source
from edge_detector.backoff import Backoff
from edge_detector.errors import EdgeDetectorError, SourceError
from edge_detector.repeat_limit import gist
from edge_detector.types import Block, SourceState


@dataclass(frozen=True, slots=True)
class SupervisorTimeouts:
    """How patient a keeper is, in seconds.

    Attributes:
        first_delay: before the first new attempt; doubled from attempt to attempt up to `longest_delay`, and jittered.
        open, close: an opening or closing that takes longer hangs.
        stall: without a block for this long a healthy source is stalled ...
        lost: ... and for this long, lost, if it has not said so itself.
        steady: a source that was healthy for this long begins with `first_delay` again when it is lost.

    """

    first_delay: float = 0.5
    longest_delay: float = 10.0
    open: float = 45.0
    close: float = 10.0
    stall: float = 1.0
    lost: float = 15.0
    steady: float = 3.0


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """A new stream begins: every block until the next `Opened` is `source`'s, counted from its own sample 0.

    Blocks come from the keeper, and it is the keeper that closes; `source` is here for its rate, stream id and waiting sound.
    """

    source: Source


@dataclass(frozen=True, slots=True)
class SourceStateChange:
    """The source is in another state, or in the same one for another reason.

    Attributes:
        state: "starting" until the first attempt has succeeded or failed; "healthy" while blocks come; "stalled", open and
            briefly without one; "reconnecting", closed and tried again and again; "failed", beyond the keeper's help: an
            opening or closing that hangs, or a recording that cannot be read.
        reason: one sentence for people; None where nothing is wrong.
        since_seconds: when the state was entered, by the keeper's clock.

    """

    state: SourceState
    reason: str | None
    since_seconds: float

    @property
    def stream_is_over(self) -> bool:
        """Whether the events of the last stream must end now."""
        return self.state in ("reconnecting", "failed")


SourceEvent: TypeAlias = StreamOpened | Block | SourceStateChange


T = TypeVar("T")


class Start(Protocol):
    """Runs what may hang elsewhere, so that whoever listens does not hang with it."""

    def __call__(self, call: Callable[[], T], name: str, /) -> Future[T]:
        """Start `call` and return at once."""


class SourceSupervisor:
    """Opens a source, hands out its blocks, and opens it again when it is lost. One thread calls `step` and `close`.

    Args:
        name: for the names of threads.
        open_source: opens the source anew; raises EdgeDetectorError. Called by `start`, as is the source's own `close`.
        start: runs a call on another thread.
        clock: seconds, monotonic.
        pause: waits for so many seconds; used while there is nothing to listen to.
        random: a number from 0 to 1.
        reopens: whether it is worth trying again: a microphone may be plugged in, a recording will not get better.
        devices: any value that changes when hardware comes or goes; a change while waiting means an attempt at once.
        times: how patient to be.

    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Source],
        start: Start,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], object],
        random: Callable[[], float],
        reopens: bool = True,
        devices: Callable[[], object] = lambda: None,
        times: SupervisorTimeouts | None = None,
    ) -> None:
        self._name = name
        self._open_source = open_source
        self._start = start
        self._clock = clock
        self._pause = pause
        self._reopens = reopens
        self._devices = devices
        self._times = times or SupervisorTimeouts()
        self._backoff = Backoff(self._times.first_delay, self._times.longest_delay, random)
        self._pending: deque[SourceEvent] = deque()
        self._source: Source | None = None
        self._opening: Future[Source] | None = None
        self._closing: Future[None] | None = None
        self._next_attempt_at: float | None = clock()
        self._job_since = self._last_block_at = self._healthy_since = self._next_attempt_at
        self._devices_seen = devices()
        self._state: SourceState = "starting"
        self._reason: str | None = None
        self._since = self._next_attempt_at
        self._ended = False
        self.losses = 0
        self._pending.append(self.change)

    @property
    def change(self) -> SourceStateChange:
        """The state now."""
        return SourceStateChange(self._state, self._reason, self._since)

    @property
    def ended(self) -> bool:
        """True once nothing will ever come again: closed, heard to its end, or a recording that cannot be read."""
        return self._ended and not self._pending

    @property
    def waiting_seconds(self) -> float:
        """How much sound waits to be read."""
        return self._source.waiting_seconds if self._source is not None else 0.0

    @property
    def overdue(self) -> bool:
        """Whether an opening or closing hangs: only a new process can cure that, so the watchdog must not be fed."""
        if self._opening is None and self._closing is None:
            return False
        deadline = self._times.open if self._opening is not None else self._times.close
        return self._clock() - self._job_since > deadline

    def step(self, timeout_seconds: float) -> SourceEvent | None:
        """The next block or piece of news, or None if none came in time. Never takes much longer than the timeout."""
        if not self._pending:
            self._advance(timeout_seconds)
        return self._pending.popleft() if self._pending else None

    def fail(self, reason: str) -> None:
        """Take the stream for lost: whoever hears it can make nothing of it."""
        self._pending.clear()
        if self._source is not None:
            self._lose(self._source, reason)
        elif not self._ended:
            self._give_up_or_retry(reason)

    def close(self) -> None:
        """Let go of the source, without waiting for it; may be called again."""
        self._ended = True
        self._pending.clear()
        self._next_attempt_at = None
        if self._opening is not None:
            # It may still succeed, with nobody left to take what it opened.
            self._opening.add_done_callback(_close_unwanted)
        if self._source is not None:
            self._begin_closing(self._source)

    def wait_closed(self, timeout_seconds: float) -> bool:
        """After `close`: wait until the device is let go; False if that takes longer."""
        if self._opening is not None:
            return bool(wait([self._opening], timeout_seconds).done)
        return self._closing is None or bool(wait([self._closing], timeout_seconds).done)

    def _advance(self, timeout_seconds: float) -> None:
        if self._source is not None:
            self._read(self._source, timeout_seconds)
        elif self._closing is not None:
            self._await_closing(self._closing, timeout_seconds)
        elif self._opening is not None and not self._ended:
            self._await_opening(self._opening, timeout_seconds)
        elif self._next_attempt_at is not None:
            self._await_next_attempt(self._next_attempt_at, timeout_seconds)
        elif not self._ended:
            self._pause(timeout_seconds)

    def _read(self, source: Source, timeout_seconds: float) -> None:
        try:
            block = source.read(timeout_seconds)
        except SourceError as error:
            self._lose(source, str(error))
            return
        now = self._clock()
        if block is not None:
            self._last_block_at = now
            if self._state != "healthy":
                self._healthy_since = now if self._state != "stalled" else self._healthy_since
                self._enter("healthy", None)
            self._pending.append(block)
        elif source.ended and not source.live:
            self._ended, self._next_attempt_at = True, None
            self._begin_closing(source)
        elif source.ended:
            self._lose(source, "the stream has ended")
        elif source.live:
            self._judge_silence(source, now - self._last_block_at)

    def _judge_silence(self, source: Source, seconds: float) -> None:
        if seconds > self._times.lost:
            self._lose(source, f"no sound came for {seconds:.1f} s")
        elif seconds > self._times.stall and self._state == "healthy":
            self._enter("stalled", f"no sound came for {self._times.stall:g} s")

    def _lose(self, source: Source, reason: str) -> None:
        self.losses += 1
        if self._state in ("healthy", "stalled") and self._clock() - self._healthy_since >= self._times.steady:
            self._backoff.reset()
        self._begin_closing(source)
        self._give_up_or_retry(reason)

    def _give_up_or_retry(self, reason: str) -> None:
        if not self._reopens:
            self._ended, self._next_attempt_at = True, None
            self._enter("failed", reason)
            return
        self._next_attempt_at = self._clock() + self._backoff.next_seconds()
        self._enter("reconnecting", reason)

    def _begin_closing(self, source: Source) -> None:
        self._source = None
        self._job_since = self._clock()
        self._closing = self._start(source.close, f"close {self._name}")

    def _await_closing(self, closing: Future[None], timeout_seconds: float) -> None:
        if self._is_done(closing, timeout_seconds, "letting it go"):
            self._closing = None
            closing.result()

    def _await_next_attempt(self, at: float, timeout_seconds: float) -> None:
        now = self._clock()
        if (devices := self._devices()) != self._devices_seen:
            # What was plugged in may need a moment to be ready, so several quick attempts follow.
            self._devices_seen = devices
            self._backoff.reset()
            at = self._next_attempt_at = min(at, now + self._backoff.next_seconds())
        if now < at:
            self._pause(min(at - now, timeout_seconds))
            return
        self._next_attempt_at = None
        self._job_since = now
        self._opening = self._start(self._open_source, f"open {self._name}")

    def _await_opening(self, opening: Future[Source], timeout_seconds: float) -> None:
        if not self._is_done(opening, timeout_seconds, "opening it"):
            return
        self._opening = None
        try:
            self._source = opening.result()
        except EdgeDetectorError as error:
            self._give_up_or_retry(str(error))
            return
        self._last_block_at = self._clock()
        self._pending.append(StreamOpened(self._source))

    def _is_done(self, job: Future[T], timeout_seconds: float, what: str) -> bool:
        if not job.done():
            wait([job], timeout_seconds)
        if not job.done() and self.overdue and self._state != "failed":
            self._enter("failed", f"{what} hangs; the sound system or this program must be started again")
        return job.done()

    def _enter(self, state: SourceState, reason: str | None) -> None:
        if state != self._state:
            self._since = self._clock()
        # The same reason with other numbers is no news: a port, a process id, how many seconds it took.
        if state != self._state or gist(reason or "") != gist(self._reason or ""):
            self._state, self._reason = state, reason
            self._pending.append(self.change)


def _close_unwanted(opening: Future[Source]) -> None:
    if opening.exception() is None:
        opening.result().close()
