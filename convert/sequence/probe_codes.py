"""Streams of codes for measuring exported steps."""

import itertools

import numpy as np

from convert.embedder.projection import CLIP
from convert.records.files import Records, read_dataset
from edge_detector.params import CODE_LIMIT
from edge_detector.types import Codes

SPREAD = 1.18
"""Standard deviation of the components of AudioSet's embeddings."""


def spread_of(readout_labels: int) -> float:
    """Return the standard deviation of a model's embeddings: AudioSet's, or with a read-out that of YAMNet's body."""
    return CODE_LIMIT / CLIP if readout_labels else SPREAD


def stream_codes(frames: int, seed: int, records: Records | None = None, spread: float = SPREAD) -> Codes:
    """Return codes uint8 (frames, 128): records end to end, or random with this standard deviation."""
    rng = np.random.default_rng([seed, 79])
    codes = np.clip((rng.normal(0.0, spread, (frames, 128)) + 2.0) * 63.75, 0, 255).astype(np.uint8)
    if records is not None:
        every = itertools.chain.from_iterable(record.codes for record in read_dataset(records))
        for index, frame in enumerate(itertools.islice(every, frames)):
            codes[index] = frame
    return codes
