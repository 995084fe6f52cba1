"""Cutter: from the blocks and the events of one stream to the pieces of clips."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge_detector.clips.names import ClipName
from edge_detector.clips.ring import Ring
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Int16

PIECE_SECONDS = 1.0
"""Least length of a piece, unless it is the last one."""
SLACK_SECONDS = 0.5
"""Sound that the detector has received and not yet decided on, beyond its hops: in the resampler, and less than a frame."""
MOST_DELAY_SECONDS = 30.0
"""Limit of each delay, so that the ring stays small; beyond it a clip begins later, or goes on after its end."""


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """Length of clips: time before the event's start, time after its end, and the longest clip, in seconds."""

    before_seconds: float
    after_seconds: float
    longest_seconds: float


@dataclass(frozen=True, slots=True)
class Delays:
    """Longest times, in seconds of sound, from an event's start and end until they are announced."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class ClipHead:
    """Beginning of a clip.

    Attributes:
        event_id: permanent identifier of the event.
        name: of the file.
        label: of the class, for people.
        rate_hz: sample rate.
        lead_seconds: sound in the clip before the event's start; below 0 where the clip begins after it.

    """

    event_id: str
    name: ClipName
    label: str
    rate_hz: int
    lead_seconds: float


@dataclass(frozen=True, slots=True)
class ClipPiece:
    """The next samples of a clip.

    Attributes:
        event_id: identifies the clip.
        samples: read-only int16 arrays (n,), in order.
        lost_samples: how many of them are zeros in place of lost samples.
        is_last: it completes the clip.
        is_early: it completes the clip before the event's end and the time after it: the clip has its longest length.
        after_seconds: of the last piece, sound in the clip after the event's end.

    """

    event_id: str
    samples: tuple[Int16, ...]
    lost_samples: int
    is_last: bool
    is_early: bool
    after_seconds: float = 0.0


@dataclass(slots=True)
class _OpenClip:
    start_sample: int
    next_sample: int
    limit_sample: int
    end_sample: int | None = None
    event_end_sample: int | None = None


class Cutter:
    """Cuts clips out of one stream. Lost samples are zeros in a clip, and counted.

    For each block: `push` it, then `start` and `end` what the detector announces for it, then `cut`. A piece is cut once it
    belongs to the clip whatever is announced next.

    Args:
        rate_hz: the source's sample rate.
        times: length of clips.
        delays: how late the detector announces.

    """

    def __init__(self, rate_hz: int, times: ClipTimes, delays: Delays) -> None:
        self._rate_hz = rate_hz
        self._times = times
        self._open: dict[str, _OpenClip] = {}
        self.use_delays(delays)
        self._ring = Ring(self._kept_samples)

    def use_delays(self, delays: Delays) -> None:
        """Apply other delays, after a change of the rules."""
        start, end = (min(each, MOST_DELAY_SECONDS) for each in (delays.start_seconds, delays.end_seconds))
        # An event that a gap ends is announced up to the slack after the gap, and nothing of it is cut meanwhile.
        kept_seconds = max(self._times.before_seconds + start, end + PIECE_SECONDS + SLACK_SECONDS) + SLACK_SECONDS
        self._kept_samples = self._samples(kept_seconds)
        self._uncertain_samples = max(0, self._samples(end + SLACK_SECONDS - self._times.after_seconds))

    @property
    def held_samples(self) -> int:
        """Samples that are kept."""
        return self._ring.held_samples

    def push(self, block: Block) -> None:
        """Take the next block of the stream."""
        self._ring.push(block)

    def start(self, event_id: str, first_sample: int) -> float:
        """Begin the clip of an event that started at this 16 kHz sample; returns the seconds of sound before it.

        They are below 0 where the start is announced so late that the clip begins after it.
        """
        start = self._at_source(first_sample)
        first = max(start - self._samples(self._times.before_seconds), self._ring.first_sample)
        self._open[event_id] = _OpenClip(start, first, first + self._samples(self._times.longest_seconds))
        return (start - first) / self._rate_hz

    def end(self, event_id: str, end_sample: int) -> None:
        """End the event at this 16 kHz sample; its clip ends some time later. Other events are ignored."""
        clip = self._open.get(event_id)
        if clip is not None:
            clip.event_end_sample = self._at_source(end_sample)
            clip.end_sample = max(clip.event_end_sample + self._samples(self._times.after_seconds), clip.next_sample)

    def cut(self) -> Iterator[ClipPiece]:
        """Yield the pieces that are complete."""
        yield from self._cut(is_finished=False)

    def finish(self) -> Iterator[ClipPiece]:
        """Yield the last piece of each open clip, at the end of the stream."""
        yield from self._cut(is_finished=True)

    def _cut(self, *, is_finished: bool) -> Iterator[ClipPiece]:
        for event_id, clip in list(self._open.items()):
            end = clip.limit_sample if clip.end_sample is None else min(clip.end_sample, clip.limit_sample)
            certain = min(end, self._ring.end_sample if is_finished or clip.end_sample is not None else self._certain(clip))
            is_last = is_finished or certain == end
            if not is_last and certain - clip.next_sample < self._samples(PIECE_SECONDS):
                continue
            samples, missing = self._ring.slices(clip.next_sample, certain)
            clip.next_sample = max(clip.next_sample, certain)
            is_early = is_last and certain == clip.limit_sample and clip.end_sample != certain
            if is_last:
                del self._open[event_id]
            after = clip.next_sample - (clip.next_sample if clip.event_end_sample is None else clip.event_end_sample)
            yield ClipPiece(event_id, samples, missing, is_last, is_early, max(0, after) / self._rate_hz if is_last else 0.0)
        # Only now: what the delays before still needed has been cut.
        self._ring.capacity_samples = self._kept_samples

    def _certain(self, clip: _OpenClip) -> int:
        """Return up to where an event that has not ended belongs into its clip."""
        # A gap ends every event, and is no time in which an end would have been announced.
        gap = self._ring.next_gap(clip.start_sample)
        decided = (self._ring.end_sample if gap is None else gap) - self._uncertain_samples
        # What precedes the event is certain at once, so that it need not stay in the ring until an end is.
        return max(min(clip.start_sample, self._ring.end_sample), decided)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate_hz)

    def _at_source(self, sample: int) -> int:
        return sample * self._rate_hz // FRONT_END.sample_rate_hz
