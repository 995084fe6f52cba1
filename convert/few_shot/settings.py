"""Table [few_shot] of a recipe, and the data set of a few-shot training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.audio.clips import LoadedClip
from convert.recipe import require_not_negative, require_positive, require_share
from edge_detector.types import Float32


@dataclass(frozen=True, slots=True)
class FewShotSettings:
    """Hyper-parameters of a few-shot training.

    Attributes:
        sequences: number of composed training sequences.
        parts: maximum parts of the cross-validation.
        cells: cells of the LSTM.
        keep_outputs: share of its outputs kept in training.
        learning_rate: maximum of the cosine.
        epochs: passes over the sequences.
        batch: sequences of a batch.
        weight_decay: decoupled weight decay.
        weight_average: decay of averaged weights; 0 for the newest weights.
        margin: added to the thresholds, in log-odds.
        kept_recall: least share kept of the recordings that the lowest threshold detects.
        gains_db: levels at which the user's background is given to choose thresholds.
        noise_minutes: synthetic noise to choose thresholds on.
        seed: of all random draws.

    """

    sequences: int
    parts: int
    cells: int
    keep_outputs: float
    learning_rate: float
    epochs: int
    batch: int
    weight_decay: float
    weight_average: float
    margin: float
    kept_recall: float
    gains_db: tuple[float, ...]
    noise_minutes: float
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "sequences", "cells", "keep_outputs", "learning_rate", "epochs", "batch", "noise_minutes")
        require_not_negative(self, "weight_decay", "margin", "seed")
        require_share(self, "keep_outputs", "weight_average", "kept_recall")
        if self.parts < 2:  # noqa: PLR2004 - one part leaves nothing to train on
            raise ValueError(f"parts must be 2 or more, not {self.parts}")
        if not self.gains_db:
            raise ValueError("gains_db must hold a level, such as 0.0")


@dataclass(frozen=True, slots=True)
class FewShotData:
    """Few-shot data set.

    Attributes:
        labels: slugs of the new classes.
        clips: recordings of them; their class indices are those of the labels.
        negatives: sound without them.
        negative_records: embeddings of such sound, by the same embedder, or None.
        background: the user's background to choose thresholds on, float32 (n,) at 16 kHz each.
        context_frames: maximum frames of a sequence.

    """

    labels: tuple[str, ...]
    clips: Sequence[LoadedClip]
    negatives: Sequence[LoadedClip]
    negative_records: Path | None
    background: Sequence[Float32]
    context_frames: int
