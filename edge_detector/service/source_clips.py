"""Clips of one source: from its blocks and published events to the writer's thread."""

from collections.abc import Callable, Iterable, Sequence

from edge_detector.audio.sample_clock import Anchor
from edge_detector.clips.cutter import ClipHead, ClipPiece, ClipTimes, Cutter, Delays
from edge_detector.clips.names import clip_name
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.classes import enabled_indices
from edge_detector.detection.hysteresis import Rule, end_delay_seconds, start_delay_seconds
from edge_detector.types import Block, Detection, EventStart, Message


class SourceClips:
    """Cuts clips of the events that are published, across every stream of the source. It only copies and hands over.

    For each block: `write` it, then `report` what the detector announces for it, then `cut`.

    Args:
        source: the source's name.
        classes: all classes, in the order of the rules.
        times: length of clips.
        put: takes a part of a clip, and returns at once.

    """

    def __init__(
        self,
        source: str,
        classes: Sequence[SoundClass],
        times: ClipTimes,
        put: Callable[[ClipHead | ClipPiece], None],
    ) -> None:
        self._source = source
        self._classes = classes
        self._times = times
        self._put = put
        self._rate_hz = 0
        self._cutter: Cutter | None = None

    @property
    def held_samples(self) -> int:
        """Samples that are kept for clips to come."""
        return self._cutter.held_samples if self._cutter is not None else 0

    def start_stream(self, rate_hz: int, rules: Sequence[Rule]) -> None:
        """Begin a new stream; its samples count from 0."""
        self._rate_hz = rate_hz
        self._cutter = Cutter(rate_hz, self._times, _delays(rules))

    def use_rules(self, rules: Sequence[Rule]) -> None:
        """Apply other rules to the stream."""
        if self._cutter is not None:
            self._cutter.use_delays(_delays(rules))

    def write(self, block: Block) -> None:
        """Take the next block of the stream, as the source delivered it."""
        if self._cutter is not None:
            self._cutter.push(block)

    def report(self, detection: Detection, messages: Iterable[Message], anchor: Anchor) -> None:
        """Take a start or end, with its messages: none where it is not published, as while muted."""
        message_id = next((message.message_id for message in messages if message.message_id is not None), None)
        if self._cutter is None or message_id is None:
            return
        event_id = message_id.rpartition("/")[0]
        if not isinstance(detection, EventStart):
            self._cutter.end(event_id, detection.end_sample)
            return
        sound = self._classes[detection.class_index]
        name = clip_name(event_id, anchor.at(detection.first_sample), self._source, sound.slug)
        lead_seconds = self._cutter.start(event_id, detection.first_sample)
        self._put(ClipHead(event_id, name, sound.label, self._rate_hz, lead_seconds))

    def cut(self) -> None:
        """Hand over the pieces that are complete."""
        if self._cutter is not None:
            for piece in self._cutter.cut():
                self._put(piece)

    def finish(self) -> None:
        """Hand over the last piece of each clip, at the end of the stream."""
        cutter, self._cutter = self._cutter, None
        if cutter is not None:
            for piece in cutter.finish():
                self._put(piece)


def _delays(rules: Sequence[Rule]) -> Delays:
    """Return the longest delays of the enabled classes."""
    enabled = [rules[index] for index in enabled_indices(rules)]
    return Delays(
        max(map(start_delay_seconds, enabled), default=0.0),
        max(map(end_delay_seconds, enabled), default=0.0),
    )
