"""Checks of an embedder by verify: equality with its source, and the published smoke test for Google's own VGGish weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.audio.probe_signals import probe_patches, probe_windows
from convert.download import released
from convert.embedder.facts import ExportErrors
from convert.embedder.smoke_test import SmokeTest, smoke_test, tflite_smoke_test
from edge_detector.detection.embedding import Pca
from edge_detector.errors import EdgeDetectorError, UsageError

WINDOWS = 100


@dataclass(frozen=True, slots=True)
class BodyCheck:
    """Comparison of an embedder with YAMNet's body: windows, and largest difference of the pooled vectors of equal patches."""

    windows: int
    largest_difference: float
    passed: bool


@dataclass(frozen=True, slots=True)
class EmbedderChecks:
    """Checks of an embedder; None for what cannot be compared.

    Attributes:
        embedder: the file against its source.
        published_source: the published smoke test on the source.
        published: the same on the file.

    """

    embedder: ExportErrors | BodyCheck | None = None
    published_source: SmokeTest | None = None
    published: SmokeTest | None = None


def yamnet_file(source: Path) -> Path | None:
    """Return YAMNet's file if the source is one, or a folder that fetch filled with it; None otherwise."""
    inside = source / released.YAMNET.name
    if source.is_dir() and inside.is_file():
        return inside
    return source if source.suffix == ".tflite" else None


def embedder_checks(source: Path, content: bytes | None, precision: str, *, bundle_pca: Pca | None, seed: int) -> EmbedderChecks:
    """Run the checks that apply.

    Args:
        source: VGGish's checkpoint, YAMNet's file, or a folder that fetch filled.
        content: the .tflite file, if any.
        precision: of the file.
        bundle_pca: the bundle's PCA, which must equal the source's.
        seed: of the windows compared.

    """
    if yamnet := yamnet_file(source):
        return EmbedderChecks(embedder=_body_check(yamnet, content, seed))
    from convert.embedder import vggish_export as export  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder.source import load_source  # noqa: PLC0415 - TensorFlow takes seconds to load

    vggish = load_source(source)
    if bundle_pca is not None and vggish.pca is not None and not _same(bundle_pca, vggish.pca):
        raise EdgeDetectorError(f"the bundle's pca.npz is not the one in {source}; give the folder it was made from")
    errors = published_source = published = None
    if content is not None:
        patches = probe_patches(WINDOWS, seed)
        errors = export.checked(export.embedder_errors(content, vggish.model, bundle_pca or vggish.pca, patches, precision))
    if vggish.released:
        released_pca = vggish.pca if vggish.released_pca else None
        published_source = smoke_test(vggish.model.embed_all, released_pca, "float32")
        published = None if content is None else tflite_smoke_test(content, released_pca, precision)
    return EmbedderChecks(errors, published_source, published)


def _body_check(yamnet: Path, content: bytes | None, seed: int) -> BodyCheck:
    """Compare a bundle's embedder with YAMNet's body: pooled vectors of equal patches must be equal to the bit."""
    from convert.embedder.yamnet_body import read_file  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder.yamnet_export import LARGEST_DIFFERENCE, compare_bodies  # noqa: PLC0415 - as above

    if content is None:
        raise UsageError(f"{yamnet} is the source of an embedder; give the bundle, or --embedder FILE, to compare with it")
    compared = compare_bodies(content, read_file(yamnet), probe_windows(WINDOWS, seed))
    return BodyCheck(WINDOWS, compared.largest_difference, compared.largest_difference <= LARGEST_DIFFERENCE)


def _same(one: Pca, other: Pca) -> bool:
    return np.array_equal(one.matrix, other.matrix) and np.array_equal(one.means, other.means)
