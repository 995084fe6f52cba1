"""AudioSet's post-processing of VGGish embeddings: PCA, clip, truncating quantisation; and dequantisation.

Sources: vggish_postprocess.py (tensorflow/models) for quantisation, utils.Dequantize (google/youtube-8m) for the inverse.
"""

from dataclasses import dataclass

import numpy as np

from edge_detector.errors import BundleError
from edge_detector.params import CODE_LIMIT, EMBEDDING_SIZE
from edge_detector.types import Codes, Float32

CODES_PER_UNIT = 255.0 / (2.0 * CODE_LIMIT)
DEQUANTISE_SCALE = 2.0 * CODE_LIMIT / 255.0
DEQUANTISE_OFFSET = 2.0 * CODE_LIMIT / 512.0 - CODE_LIMIT


@dataclass(frozen=True, slots=True)
class Pca:
    """PCA and whitening fitted on training embeddings.

    Attributes:
        matrix: float32 (128, 128), rows are output components, whitening included.
        means: float32 (128,), subtracted first.

    """

    matrix: Float32
    means: Float32

    def __post_init__(self) -> None:
        """Raise ValueError for wrong shapes and for values that are not finite."""
        if self.matrix.shape != (EMBEDDING_SIZE, EMBEDDING_SIZE) or self.means.shape != (EMBEDDING_SIZE,):
            message = f"PCA must be (128, 128) and (128,), not {self.matrix.shape} and {self.means.shape}"
            raise ValueError(message)
        if not (np.isfinite(self.matrix).all() and np.isfinite(self.means).all()):
            message = "PCA parameters are not all finite"
            raise ValueError(message)


def quantise(raw: Float32, pca: Pca) -> Codes:
    """Quantise raw embeddings float32 (…, 128) to uint8 codes of the same shape: (raw - means) · matrixᵀ, clip, truncate.

    Formula: docs/reference.md, PCA and quantisation. Raises BundleError for embeddings that are not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        projected = (raw - pca.means) @ pca.matrix.T
    if not np.isfinite(projected).all():
        raise BundleError("the embedder gives numbers that are not finite; use another bundle, or make this one again")
    whitened = np.clip(projected, -CODE_LIMIT, CODE_LIMIT)
    return ((whitened + np.float32(CODE_LIMIT)) * np.float32(CODES_PER_UNIT)).astype(np.uint8)


def dequantise(codes: Codes) -> Float32:
    """Convert codes uint8 (…) to float32 in [-1.992, 2.008]. The offset is half of 4/256 as in YouTube-8M, not of 4/255.

    Formula: docs/reference.md, PCA and quantisation.
    """
    return codes.astype(np.float32) * np.float32(DEQUANTISE_SCALE) + np.float32(DEQUANTISE_OFFSET)
