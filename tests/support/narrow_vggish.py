"""A VGGish of a tenth of the width, with random weights."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from convert.download import released
from convert.embedder import source
from convert.embedder.vggish import Layout, Vggish
from convert.embedder.vggish_export import whitening
from edge_detector.detection.logmel import patches
from edge_detector.types import Float32
from tests.support.vggish_reference import Weights, random_weights, write_checkpoint

NARROW = Layout((8, 16, 24, 24, 32, 32), hidden=128)


@functools.cache
def weights() -> Weights:
    """He-normal, the same each time."""
    return random_weights(NARROW.shapes())


@contextmanager
def taken_for_vggish() -> Iterator[None]:
    """The commands take a narrow checkpoint for VGGish's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "load_source", functools.partial(source.load_source, layout=NARROW))
        yield


def write_released(folder: Path, sounds: Sequence[Float32]) -> Path:
    """A folder as fetch leaves it: the checkpoint, and PCA parameters by which the embeddings of these sounds are white."""
    folder.mkdir(parents=True)
    write_checkpoint(folder / released.CHECKPOINT.name, weights())
    pca = whitening(Vggish(weights()).embed_all(np.concatenate([patches(samples) for samples in sounds])))
    np.savez(folder / released.PCA_PARAMETERS.name, pca_eigen_vectors=pca.matrix, pca_means=pca.means[:, np.newaxis])
    return folder
