"""Streams of probabilities, and what is stored of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_detector.history.probabilities import Block, BlockCollector, StoredBlock, decode, encode
from edge_detector.history.probability_files import ProbabilityFolder
from edge_detector.params import FRONT_END
from edge_detector.types import Float32, Scores


def scores_of(
    probabilities: Float32, hops_per_patch: int = 1, *, first_sample: int = 0, number: int = 0, lost_samples: int = 0
) -> Iterator[Scores]:
    """Scores of consecutive windows, (windows, classes)."""
    step = FRONT_END.patch_step_samples // hops_per_patch
    for place, values in enumerate(probabilities):
        first = first_sample + place * step
        lost = lost_samples if place == 0 else 0
        yield Scores(values, 10, number + place, first, first + FRONT_END.patch_samples, lost, -50.0)


def blocks_of(
    probabilities: Float32, slugs: Sequence[str], start_ms: int, hops_per_patch: int = 1, source: str = "cot"
) -> Iterator[Block]:
    """Blocks of one stream that begins at this time."""
    collector = BlockCollector(source, hops_per_patch, 1)
    yield from collector.use_classes(range(len(slugs)), slugs)
    for scores in scores_of(probabilities, hops_per_patch):
        yield from collector.add(scores, start_ms / 1e3 + scores.first_sample / FRONT_END.sample_rate_hz)
    yield from collector.flush()


def stored(blocks: Sequence[Block], source: str = "cot") -> list[StoredBlock]:
    """What is read of blocks that are written one after the other."""
    return list(decode(b"".join(encode(block) for block in blocks), source))


def store(folder: Path, blocks: Iterator[Block]) -> None:
    """Put blocks into a folder that keeps them."""
    kept = ProbabilityFolder(folder, days=8, megabytes=10_000)
    for block in blocks:
        kept.append(block)


def with_events(slugs: Sequence[str], seconds: float, every_seconds: float, peaks: Sequence[float]) -> Float32:
    """Probabilities (windows, classes) at 0.96 s: quiet, and now and then one window of each of these peaks in turn."""
    windows = round(seconds * FRONT_END.sample_rate_hz / FRONT_END.patch_step_samples)
    every = round(every_seconds * FRONT_END.sample_rate_hz / FRONT_END.patch_step_samples)
    values = np.full((windows, len(slugs)), 0.01, np.float32)
    for number, place in enumerate(range(every // 2, windows, every)):
        values[place] = peaks[number % len(peaks)]
    return values
