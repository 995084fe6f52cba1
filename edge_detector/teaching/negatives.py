"""Negatives that ship: embeddings of sounds of every kind, without the recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_detector.bounded_files import arrays_of, npz_bytes, read_regular
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Codes

SHIPPED = Path(__file__).parent / "negatives.npz"
MAX_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Negative:
    """Codes uint8 (n, 128) of one stretch of sound, a frame each 0.96 s, and the slugs of the classes in it."""

    codes: Codes
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Negatives:
    """Negatives by one embedder; codes of another are not comparable.

    Attributes:
        embedder: digest of the embedder.
        sequences: the negatives.

    """

    embedder: str
    sequences: tuple[Negative, ...]

    def without(self, labels: Sequence[str]) -> tuple[Negative, ...]:
        """Return the negatives that hold none of these classes."""
        return tuple(each for each in self.sequences if each.labels.isdisjoint(labels))


def negatives_content(negatives: Negatives) -> bytes:
    """Return the bytes of an npz file of negatives; `read_negatives` is the inverse."""
    slugs = sorted({label for each in negatives.sequences for label in each.labels})
    return npz_bytes(
        {
            "embedder": np.array([negatives.embedder]),
            "slugs": np.array(slugs, np.str_),
            "codes": np.concatenate([np.zeros((0, EMBEDDING_SIZE), np.uint8), *(each.codes for each in negatives.sequences)]),
            "lengths": np.array([len(each.codes) for each in negatives.sequences], np.int32),
            "labels": np.array([[slug in each.labels for slug in slugs] for each in negatives.sequences], np.bool_),
        }
    )


def read_negatives(path: Path) -> Negatives:
    """Read an npz file of negatives. Raises UsageError for a file that cannot be read, EdgeDetectorError for another content."""
    try:
        arrays = arrays_of(read_regular(path, MAX_BYTES), MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); python -m convert negatives makes such files") from error
    except ValueError as error:
        raise EdgeDetectorError(f"{path} does not hold negatives: {error}; make it again with convert negatives") from error
    try:
        codes, lengths, labels = arrays["codes"], arrays["lengths"], arrays["labels"]
        embedder, slugs = str(arrays["embedder"][0]), arrays["slugs"].tolist()
    except (KeyError, IndexError) as error:
        raise EdgeDetectorError(f"{path} lacks an array of negatives; make it again with convert negatives") from error
    shapes = (codes.shape, labels.shape)
    kinds = (codes.dtype.kind, codes.itemsize, lengths.dtype.kind, labels.dtype.kind)
    if (
        shapes != ((int(lengths.sum()), EMBEDDING_SIZE), (len(lengths), len(slugs)))
        or kinds != ("u", 1, "i", "b")
        or lengths.min(initial=1) < 1
    ):
        raise EdgeDetectorError(f"{path} holds arrays that do not fit each other; make it again with convert negatives")
    parts = np.split(codes, np.cumsum(lengths)[:-1])
    return Negatives(
        embedder,
        tuple(
            Negative(part, frozenset(slug for slug, has in zip(slugs, row, strict=True) if has))
            for part, row in zip(parts, labels, strict=True)
        ),
    )
