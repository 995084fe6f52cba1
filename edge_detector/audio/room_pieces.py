"""Cuts the sound of a room into pieces of a minute, and judges each as background to train on."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from edge_detector.audio.segmenter import SHORTEST_SECONDS, WINDOW_SAMPLES, Problem, Recording, window_dbfs
from edge_detector.audio.signal_quality import HOLD_SECONDS, classify
from edge_detector.audio.signal_quality import WINDOW_SAMPLES as SECOND_SAMPLES
from edge_detector.levels import LEVEL_FLOOR_DBFS
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32, SignalQuality

PIECE_SECONDS = 60.0
"""A break loses at most so much, and no more is in memory."""


class RoomPieces:
    """Cuts 16 kHz blocks into pieces, until so many seconds have passed; a gap ends a piece early.

    Args:
        seconds: sound to process, whether it is fit or not.
        piece_seconds: length of a piece; the last one is shorter.

    """

    def __init__(self, seconds: float, piece_seconds: float = PIECE_SECONDS) -> None:
        self._left = round(seconds * FRONT_END.sample_rate_hz)
        self._piece_samples = round(piece_seconds * FRONT_END.sample_rate_hz)
        self._blocks: list[Float32] = []
        self._samples = 0
        self.passed_samples = 0
        self.level_dbfs = LEVEL_FLOOR_DBFS

    @property
    def passed_seconds(self) -> float:
        """Seconds of sound that were processed."""
        return self.passed_samples / FRONT_END.sample_rate_hz

    @property
    def complete(self) -> bool:
        """Whether all the seconds have passed."""
        return not self._left

    def push(self, block: Block) -> Iterator[Recording]:
        """Yield the pieces that `block` completes or a gap ends; what is beyond the seconds is left out."""
        if block.lost_samples:
            yield from self.finish()
        samples = block.samples[: self._left]
        if len(samples):
            self.level_dbfs = window_dbfs(samples)
        while len(samples):
            part = samples[: self._piece_samples - self._samples]
            samples = samples[len(part) :]
            self._blocks.append(part)
            self._samples += len(part)
            self._left -= len(part)
            self.passed_samples += len(part)
            if self._samples == self._piece_samples or self.complete:
                yield from self.finish()

    def finish(self) -> Iterator[Recording]:
        """Yield the piece so far, if it is at least SHORTEST_SECONDS long."""
        blocks, self._blocks, self._samples = self._blocks, [], 0
        samples = np.concatenate([np.zeros(0, np.float32), *blocks])
        if len(samples) < SHORTEST_SECONDS * FRONT_END.sample_rate_hz:
            return
        windows = samples[: len(samples) - len(samples) % WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
        seconds = samples[: len(samples) - len(samples) % SECOND_SAMPLES].reshape(-1, SECOND_SAMPLES)
        yield Recording(samples, max(map(window_dbfs, windows)), problem_of([classify(second) for second in seconds]))


def problem_of(seconds: Sequence[SignalQuality]) -> Problem | None:
    """Return why a piece is unfit as background, by the qualities of its seconds; a few may be clipped, as by a slammed door."""
    problems: tuple[Literal["silent", "flat", "clipped"], ...] = ("silent", "flat", "clipped")
    for problem in problems:
        if seconds.count(problem) >= min(HOLD_SECONDS[problem], len(seconds)):
            return problem
    return None
