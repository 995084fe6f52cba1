"""Results of an export, readable without TensorFlow."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StepErrors:
    """Differences between the streaming step's probabilities and the offline graph's.

    Attributes:
        precision: of the file.
        frames: length of the stream.
        context: rows of the sliding bank.
        finite: every probability is a number; the differences are None otherwise.
        bytes: size of the file.
        largest_difference_prefix, mean_difference_prefix: with one row that is never reset, over every prefix.
        largest_difference_bank, mean_difference_bank: with the sliding bank.

    """

    precision: str
    frames: int
    context: int
    finite: bool
    bytes: int
    largest_difference_prefix: float | None = None
    mean_difference_prefix: float | None = None
    largest_difference_bank: float | None = None
    mean_difference_bank: float | None = None


@dataclass(frozen=True, slots=True)
class ExportedStep:
    """An exported step: its errors, its file, and the checksum of the weights that it was made from."""

    errors: StepErrors
    output: Path
    weights_sha256: str
