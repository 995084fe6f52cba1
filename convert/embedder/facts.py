"""Files beside an exported embedder: its facts (embedder.json) and its measured errors (FILE.errors.json)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from convert.embedder.projection import Agreement
from convert.embedder.smoke_test import SmokeTest
from convert.files import read_json, write_json
from convert.plain_data import from_plain
from convert.records.identity import UNNAMED
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END

EMBEDDER_FACTS = "embedder.json"


@dataclass(frozen=True, slots=True)
class EmbedderFacts:
    """An exported embedder.

    Attributes:
        model: architecture, "vggish" or "yamnet".
        name: identity of its codes in records and bundles, such as yamnet-body.
        log_offset: of the log-mel spectrogram.
        parameters: number of weights.
        checkpoint_sha256: of VGGish's checkpoint, if that is one file.
        source_sha256: of YAMNet's file.
        fitted_windows: windows that the projection and the read-out are fitted to.
        clip: standard deviations of a component that a code can represent.
        shrinkage: of the projection's covariance.
        seed: of the order of the recordings.
        folds: folds of labelled clips that the weights depend on.

    """

    model: str | None = None
    name: str = UNNAMED
    log_offset: float = FRONT_END.log_offset
    parameters: int | None = None
    checkpoint_sha256: str | None = None
    source_sha256: str | None = None
    fitted_windows: int | None = None
    clip: float | None = None
    shrinkage: float | None = None
    seed: int | None = None
    folds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportErrors:
    """Differences between a TFLite VGGish and its source graph on the same patches.

    Attributes:
        precision: of the file.
        windows: number of patches.
        finite: every value is finite; any other file is rejected.
        bytes: size of the file.
        largest_difference, mean_difference: of a value of the embedding.
        largest_of_source, spread_of_source: largest value and standard deviation of the source's embeddings.
        lowest_cosine: between both embeddings of a patch.
        mean_centred_cosine, lowest_mean_centred_cosine: less the source's mean embedding; None for one window.
        codes_changed_share: share of code bytes that differ.
        mean_code_difference: of a code byte.
        lowest_cosine_of_codes: between both dequantised codes of a patch.
        milliseconds_per_window: CPU time on one thread.
        codes_by: PCA of the codes.
        published: the published smoke test, for Google's weights.
        allowed: lowest cosines that verify accepts.
        passed: the result of verify.

    """

    precision: str
    windows: int
    finite: bool
    bytes: int
    largest_difference: float
    mean_difference: float
    largest_of_source: float
    spread_of_source: float
    lowest_cosine: float
    mean_centred_cosine: float | None
    lowest_mean_centred_cosine: float | None
    codes_changed_share: float
    mean_code_difference: float
    lowest_cosine_of_codes: float
    milliseconds_per_window: float
    codes_by: str | None = None
    published: SmokeTest | None = None
    allowed: Mapping[str, float] | None = None
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class BodyErrors:
    """Differences between an exported YAMNet body and YAMNet.

    Attributes:
        precision: of the body.
        windows: number of windows compared; the projection is not fitted to them.
        finite: every value is finite.
        bytes: size of the file.
        largest_difference: of the pooled vectors, both from YAMNet's own patch.
        pooled_differs: share of windows whose pooled vector differs if the patch is the detector's.
        pooled_differs_by: the largest of these differences.
        clipped_share: share of code bytes at 0 or 255.
        readout: agreement of the read-out with YAMNet's scores.
        fitted_windows: windows that the projection and the read-out are fitted to.

    """

    precision: str
    windows: int
    finite: bool
    bytes: int
    largest_difference: float
    pooled_differs: float
    pooled_differs_by: float
    clipped_share: float
    readout: Agreement
    fitted_windows: int


ExportEmbedderResult: TypeAlias = ExportErrors | BodyErrors


def read_embedder_facts(embedder: Path) -> EmbedderFacts:
    """Read embedder.json beside an embedder; defaults if there is none. Raises UsageError if it is wrong."""
    path = embedder.with_name(EMBEDDER_FACTS)
    return from_plain(EmbedderFacts, read_json(path), str(path), ignore_unknown=True) if path.exists() else EmbedderFacts()


def require_own_folder(output: Path, name: str) -> None:
    """Raise UsageError if the output's folder describes an embedder of another name."""
    if (output.parent / EMBEDDER_FACTS).exists() and read_embedder_facts(output).name != name:
        raise UsageError(f"{output.parent} is another embedder's folder; write {output.name} into a folder of its own")


def write_description(output: Path, facts: EmbedderFacts, errors: ExportEmbedderResult) -> None:
    """Write embedder.json and FILE.errors.json beside an exported embedder."""
    write_json(output.with_name(EMBEDDER_FACTS), facts)
    write_json(output.with_name(f"{output.name}.errors.json"), errors)
