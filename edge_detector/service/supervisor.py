"""Keeps one source open: a loss becomes a state with a reason and a next attempt, and never stops the service."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from edge_detector.audio.source import Source
from edge_detector.backoff import Backoff
from edge_detector.errors import EdgeDetectorError, SourceError
from edge_detector.repeat_limit import message_key
from edge_detector.types import Block, SourceState


@dataclass(frozen=True, slots=True)
class SupervisorTimeouts:
    """Timeouts of a supervisor, in seconds.

    Attributes:
        first_delay: before the first new attempt; doubled at each attempt up to `longest_delay`, with jitter.
        open, close: an opening or closing that takes longer counts as hung.
        stall: a healthy source without a block for this long is stalled.
        lost: a source without a block for this long is lost, unless it reported that earlier.
        steady: a source healthy for this long restarts at `first_delay` when it is lost.

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
    """A new stream: every block until the next `StreamOpened` belongs to `source`, counted from its own sample 0.

    The supervisor reads and closes `source`; use it only for its rate, stream id and waiting sound.
    """

    source: Source


@dataclass(frozen=True, slots=True)
class SourceStateChange:
    """A change of the source's state, or of its reason.

    Attributes:
        state: "starting" until the first attempt has succeeded or failed; "healthy" while blocks arrive; "stalled", open and
            briefly without one; "reconnecting", closed and retried; "failed", not recoverable by the supervisor: an opening
            or closing that hangs, or a recording that cannot be read.
        reason: one sentence for people; None where nothing is wrong.
        since_seconds: when the state was entered, by the supervisor's clock.

    """

    state: SourceState
    reason: str | None
    since_seconds: float

    @property
    def stream_is_over(self) -> bool:
        """Whether the events of the last stream must end."""
        return self.state in ("reconnecting", "failed")


SourceEvent: TypeAlias = StreamOpened | Block | SourceStateChange


T = TypeVar("T")


class Start(Protocol):
    """Runs calls that may hang on another thread."""

    def __call__(self, call: Callable[[], T], name: str, /) -> Future[T]:
        """Start `call` and return at once."""


class SourceSupervisor:
    """Opens a source, returns its blocks, and reopens it after a loss. One thread calls `step` and `close`.

    Args:
        name: for the names of threads.
        open_source: opens the source; raises EdgeDetectorError. Runs through `start`, as does the source's `close`.
        start: runs a call on another thread.
        clock: seconds, monotonic.
        pause: sleeps for a number of seconds; used while no source is open.
        random: a number from 0 to 1.
        reopens: whether to retry after a loss: true for a device or stream, false for a recording.
        devices: any value that changes with the connected hardware; a change while waiting brings the next attempt forward.
        times: the timeouts.

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
        """The current state."""
        return SourceStateChange(self._state, self._reason, self._since)

    @property
    def state_seconds(self) -> float:
        """For how long it has been in this state."""
        return self._clock() - self._since

    @property
    def ended(self) -> bool:
        """Whether no event will follow: closed, read to its end, or an unreadable recording."""
        return self._ended and not self._pending

    @property
    def waiting_seconds(self) -> float:
        """Duration of the sound waiting to be read."""
        return self._source.waiting_seconds if self._source is not None else 0.0

    @property
    def overdue(self) -> bool:
        """Whether an opening or closing hangs; only a restart cures that, so the watchdog must not be fed."""
        if self._opening is None and self._closing is None:
            return False
        deadline = self._times.open if self._opening is not None else self._times.close
        return self._clock() - self._job_since > deadline

    def step(self, timeout_seconds: float) -> SourceEvent | None:
        """Return the next event, or None after the timeout. Never blocks much longer than that."""
        if not self._pending:
            self._advance(timeout_seconds)
        return self._pending.popleft() if self._pending else None

    def fail(self, reason: str) -> None:
        """Treat the stream as lost, since its sound cannot be processed."""
        self._pending.clear()
        if self._source is not None:
            self._lose(self._source, reason)
        elif not self._ended:
            self._give_up_or_retry(reason)

    def close(self) -> None:
        """Close the source without waiting for it. May be called again."""
        self._ended = True
        self._pending.clear()
        self._next_attempt_at = None
        if self._opening is not None:
            # An opening that still succeeds must be closed again.
            self._opening.add_done_callback(_close_unwanted)
        if self._source is not None:
            self._begin_closing(self._source)

    def wait_closed(self, timeout_seconds: float) -> bool:
        """Wait for the device to close, after `close`; False if that takes longer."""
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
            self._check_stall(source, now - self._last_block_at)

    def _check_stall(self, source: Source, seconds: float) -> None:
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
        if self._is_done(closing, timeout_seconds, "closing it"):
            self._closing = None
            closing.result()

    def _await_next_attempt(self, at: float, timeout_seconds: float) -> None:
        now = self._clock()
        if (devices := self._devices()) != self._devices_seen:
            # A device just plugged in may need a moment to be ready, so several quick attempts follow.
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
            self._enter("failed", f"{what} hangs; restart the sound system or this program")
        return job.done()

    def _enter(self, state: SourceState, reason: str | None) -> None:
        if state != self._state:
            self._since = self._clock()
        # Reasons that differ only in numbers (port, process id, seconds) count as the same.
        if state != self._state or message_key(reason or "") != message_key(self._reason or ""):
            self._state, self._reason = state, reason
            self._pending.append(self.change)


def _close_unwanted(opening: Future[Source]) -> None:
    if opening.exception() is None:
        opening.result().close()
