"""Processing of one stream: from blocks to scores and detections, with the sample clock."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.sample_clock import Anchor, Observation, SampleClock
from edge_detector.audio.signal_quality import SignalMonitor, first_invalid_sample, within_full_scale
from edge_detector.audio.source import Source
from edge_detector.detection.detector import StreamDetector
from edge_detector.errors import BundleError, SourceError
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Detection, EndReason, Scores, SignalQuality


class BlockSink(Protocol):
    """Takes the blocks of a source."""

    def write(self, block: Block) -> None:
        """Take one block."""


class StreamProcessor:
    """Processes one stream of one source: `step` and `close` read the source, `push` and `finish` take blocks read elsewhere.

    Args:
        source: the open source.
        resampler: to 16 kHz.
        detector: from 16 kHz to scores and detections.
        utc_clock: Unix time in seconds.
        monotonic_clock: monotonic seconds, to measure the rate of a live source.
        sink: receives every valid block as the source delivered it, before it is limited to full scale.

    """

    def __init__(
        self,
        source: Source,
        resampler: StreamResampler,
        detector: StreamDetector,
        *,
        utc_clock: Callable[[], float],
        monotonic_clock: Callable[[], float],
        sink: BlockSink | None = None,
    ) -> None:
        self.source = source
        self.detector = detector
        self._resampler = resampler
        self._utc_clock = utc_clock
        self._monotonic_clock = monotonic_clock
        self._sink = sink
        self._finished = False
        self._file_anchor: Anchor | None = None
        self._sample_clock: SampleClock | None = None
        self._signal_monitor = SignalMonitor()
        self.signal_quality: SignalQuality = "ok"
        self._beyond_samples = self._counted_samples = 0
        self.heard_samples = 0
        self.lost_samples = 0

    @property
    def anchor(self) -> Anchor | None:
        """UTC anchor of the samples; None before the first block."""
        return self._sample_clock.anchor if self._sample_clock is not None else self._file_anchor

    @property
    def drift_ppm(self) -> float:
        """Deviation of the source's sample rate in ppm, positive if fast; 0 until measured."""
        return self._sample_clock.drift_ppm if self._sample_clock is not None else 0.0

    @property
    def ended(self) -> bool:
        """Whether a finite source has been processed to its end."""
        return self._finished

    def step(self, timeout_seconds: float) -> Iterator[Scores | Detection]:
        """Wait for the next block and yield its results; nothing after a timeout. Raises SourceError."""
        block = self.source.read(timeout_seconds)
        if block is not None:
            yield from self.push(block)
        elif self.source.ended and not self._finished:
            yield from self.finish("ended")

    def close(self, end_reason: EndReason) -> Iterator[Scores | Detection]:
        """Close the source, process buffered samples and end open events. May be called again."""
        self.source.close()
        yield from self.finish(end_reason)

    def finish(self, end_reason: EndReason) -> Iterator[Scores | Detection]:
        """Process buffered samples, with silence after them unless the source was lost, and end open events.

        May be called again. Raises BundleError if a network fails on these samples, after yielding the ends of open events.
        """
        if self._finished:
            return
        self._finished = True
        try:
            if (last := self._resampler.finish()) is not None:
                yield from self.detector.push(last)
            if end_reason != "source_lost":
                # A microphone that fails again and again would give events of its own breaks.
                yield from self.detector.finish()
        except BundleError:
            yield from self.detector.close(end_reason)
            raise
        yield from self.detector.close(end_reason)

    def push(self, block: Block) -> Iterator[Scores | Detection]:
        """Process the next block and yield its results. Raises SourceError for samples that cannot be sound."""
        limited, beyond_samples = self._checked(block)
        self._keep_time(block)
        self.heard_samples += len(block.samples)
        self.lost_samples += block.lost_samples
        if self._sink is not None:
            self._sink.write(block)
        resampled = self._resampler.push(limited)
        if resampled is not None:
            self.signal_quality = self._signal_monitor.push(resampled, beyond_samples=beyond_samples)
            yield from self.detector.push(resampled)

    def _checked(self, block: Block) -> tuple[Block, int]:
        """Return the block limited to full scale, and the number of clipped samples, counted at 16 kHz."""
        if (bad := first_invalid_sample(block.samples)) is not None:
            raise SourceError(
                f"sample {block.first_sample + bad} of the source is {block.samples[bad]:g}, not a number between -1 and 1; "
                f"check its sample format"
            )
        if self.source.live:
            samples, beyond = within_full_scale(block.samples)
            self._beyond_samples += beyond
            block = block if not beyond else replace(block, samples=samples)
        else:
            # The reader of a recording clips it, since it knows whether the format is floating-point.
            self._beyond_samples = getattr(self.source, "clipped_samples", 0)
        new, self._counted_samples = self._beyond_samples - self._counted_samples, self._beyond_samples
        return block, new * FRONT_END.sample_rate_hz // self.source.rate_hz

    def _keep_time(self, block: Block) -> None:
        sample = (block.first_sample + len(block.samples)) * FRONT_END.sample_rate_hz // self.source.rate_hz
        if not self.source.live:
            if self._file_anchor is None:
                self._file_anchor = Anchor(0, self._utc_clock(), "file")
            return
        observation = Observation(sample, self._monotonic_clock(), self._utc_clock())
        if self._sample_clock is None:
            self._sample_clock = SampleClock(observation)
        else:
            self._sample_clock.observe(observation, open_events=self.detector.open_events)
        self.detector.shed_load(self.source.waiting_seconds, sample)
