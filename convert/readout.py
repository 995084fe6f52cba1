"""The layer that an embedder learnt its teacher's scores with, cut to the scores that speak for our classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.data.classes import ClassName
from convert.data.peer import columns_of
from convert.files import read_arrays
from convert.serving import read_pca
from edge_detector.core.embedding import Pca
from edge_detector.errors import UsageError
from edge_detector.types import Float32

UNWHITENED, MEANS, KERNEL, BIAS = "prior/unwhitened", "prior/means", "prior/kernel", "prior/bias"


@dataclass(frozen=True, slots=True)
class Prior:
    """From codes to the log-odds of our classes.

    Attributes:
        arrays: float32, by the names above: dequantised codes times (128, 128) plus (128,) is the embedding; its positive part
            times (128, classes * scores) plus (classes * scores,) are the teacher's log-odds, class by class.
        scores: how many of the teacher's there are for a class; where one has fewer, its last is there again.
        known: for each class, whether the teacher has a score for it; the log-odds of the others are 0.
        pca: what the codes were made with.

    """

    arrays: dict[str, Float32]
    scores: int
    known: tuple[bool, ...]
    pca: Pca


def prior_of(embedder: Path, teacher: Path, classes: Sequence[ClassName]) -> Prior:
    """What the embedder that train-embedder left in a folder has learnt of this teacher, for these classes.

    Args:
        embedder: the folder.
        teacher: the .tflite file, its list of labels beside it.
        classes: ours, with AudioSet's identifiers.

    Raises:
        UsageError: the embedder learnt without a teacher, or from another one.

    """
    learnt, pca = read_arrays(embedder / "learnt.npz"), read_pca(embedder / "pca.npz")
    if "teacher/kernel" not in learnt:
        raise UsageError(f"{embedder} holds an embedder that had no teacher; there is nothing to fuse; train it with --teacher")
    columns = columns_of(teacher, learnt["teacher/bias"].size, classes)
    scores = max(map(len, columns), default=0)
    if not scores:
        raise UsageError(
            "the teacher knows none of these classes by AudioSet's identifiers, so there is nothing to fuse; give --classes"
        )
    kernel = np.zeros((len(learnt["teacher/kernel"]), len(classes), scores), np.float32)
    bias = np.zeros((len(classes), scores), np.float32)
    for index, own in enumerate(columns):
        if own:
            padded = [*own, *own[-1:] * (scores - len(own))]
            kernel[:, index], bias[index] = learnt["teacher/kernel"][:, padded], learnt["teacher/bias"][padded]
    arrays = {
        UNWHITENED: np.linalg.inv(pca.matrix.astype(np.float64)).T.astype(np.float32),
        MEANS: pca.means,
        KERNEL: kernel.reshape(len(kernel), -1),
        BIAS: bias.reshape(-1),
    }
    return Prior(arrays, scores, tuple(bool(own) for own in columns), pca)
