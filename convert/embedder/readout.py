"""Read-out of AudioSet's labels from an embedder's codes; export-embedder writes it beside the embedder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.files import read_arrays, write_arrays
from edge_detector.detection.bundle import AudioSetLabel
from edge_detector.detection.embedding import dequantise
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.types import Codes, Float32

FILE = "readout.npz"
KERNEL, BIAS = "readout/kernel", "readout/bias"
NAMES, MIDS = "names", "mids"


@dataclass(frozen=True, slots=True)
class Readout:
    """Linear map from codes to AudioSet's labels: log-odds = dequantise(codes) @ kernel + bias.

    Source: docs/reference.md, YAMNet's body.

    Attributes:
        kernel: float32 (128, labels).
        bias: float32 (labels,).
        labels: names and identifiers, in the order of the outputs.

    """

    kernel: Float32
    bias: Float32
    labels: tuple[AudioSetLabel, ...]

    def probabilities(self, codes: Codes) -> Float32:
        """Return float32 (n, labels) of codes uint8 (n, 128)."""
        log_odds = dequantise(codes) @ self.kernel + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), np.float32)

    def columns(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the indices of some labels. Raises UsageError for an unknown name."""
        places = {label.name: index for index, label in enumerate(self.labels)}
        for name in names:
            if name not in places:
                raise UsageError(f"{name!r} is no AudioSet label of the read-out; see to its spelling in the file of classes")
        return tuple(places[name] for name in names)


def read_readout(embedder: Path) -> Readout:
    """Read the read-out beside an exported embedder. Raises UsageError if there is none."""
    path = embedder.with_name(FILE)
    if not path.exists():
        raise UsageError(f"{embedder} has no read-out of AudioSet's labels beside it; only YAMNet's body has one")
    arrays = read_arrays(path)
    try:
        labels = tuple(AudioSetLabel(str(name), str(mid) or None) for name, mid in zip(arrays[NAMES], arrays[MIDS], strict=True))
        return Readout(arrays[KERNEL].astype(np.float32), arrays[BIAS].astype(np.float32), labels)
    except (KeyError, ValueError) as error:
        raise EdgeDetectorError(f"{path} is not what export-embedder writes ({error}); export the embedder again") from error


def write_readout(embedder: Path, readout: Readout) -> None:
    """Write the read-out beside an exported embedder."""
    names, mids = [label.name for label in readout.labels], [label.mid or "" for label in readout.labels]
    write_arrays(
        embedder.with_name(FILE),
        {KERNEL: readout.kernel, BIAS: readout.bias, NAMES: np.array(names), MIDS: np.array(mids)},
    )
