"""Export of YAMNet's body as an embedder with projection and read-out, measured on recordings that it is not fitted to."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from convert.embedder.corpus import recordings_in
from convert.embedder.facts import BodyErrors, EmbedderFacts
from convert.embedder.projection import (
    CLIP,
    POOLED_SIZE,
    SURE,
    Projection,
    agreement,
    fit_projection,
    fit_readout,
    label_weights,
)
from convert.embedder.readout import Readout
from convert.embedder.settings import EmbedderSettings
from convert.embedder.yamnet import windows
from convert.embedder.yamnet_body import classifier, cut_body, parameters, read_file, with_inner_outputs
from convert.embedder.yamnet_labels import labelled, read_labels
from convert.progress import Progress
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.detection.logmel import log_mel
from edge_detector.detection.tflite import Graph
from edge_detector.errors import EdgeDetectorError, SourceError, UsageError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.types import Float32

LOG_OFFSET = 0.001
"""Of YAMNet's log-mel spectrogram; VGGish's is 0.01. Source: params.py of tensorflow/models research/audioset/yamnet."""

NAME = "yamnet-body"
HELD_OUT_EVERY = 10
"""One of so many recordings is left out of the fit, to measure on."""

FEWEST_WINDOWS = 2 * POOLED_SIZE
COMPARED_WINDOWS = 2_000
LARGEST_DIFFERENCE = 1e-6
"""Between the pooled vectors of the body and of YAMNet from the same patch."""

LOWEST_KEPT = 0.9
"""Share of YAMNet's labels at 0.2 or more that the read-out must give at least 0.15."""


@dataclass(frozen=True, slots=True)
class ExportedBody:
    """Files of an exported body.

    Attributes:
        content: the .tflite file.
        pca: its PCA parameters.
        readout: of AudioSet's labels from its codes.
        facts: content of embedder.json.
        errors: differences from YAMNet.

    """

    content: bytes
    pca: Pca
    readout: Readout
    facts: EmbedderFacts
    errors: BodyErrors


def export_yamnet(path: Path, folders: Sequence[Path], settings: EmbedderSettings) -> ExportedBody:
    """Fit to windows of the recordings in these folders, equally many of each folder, and measure on other recordings.

    Raises UsageError for too little sound, EdgeDetectorError for a read-out that differs too much from YAMNet.
    """
    source = read_file(path)
    last, labels = classifier(source), labelled(read_labels(path))
    body = Graph(cut_body(source, Projection(np.zeros((EMBEDDING_SIZE, POOLED_SIZE), np.float32), _identity())), "embed")
    material = _Material(body, settings)
    for folder in folders:
        material.collect(folder, settings.fit_windows // len(folders))
    different = len({hash(vector.tobytes()) for vector in material.pooled})
    if different < FEWEST_WINDOWS or not material.held_out:
        raise UsageError(
            f"--fit has {different} different windows of sound, at least {FEWEST_WINDOWS} are needed; give more recordings"
        )
    pooled = np.stack(material.pooled)
    log_odds = pooled @ last.kernel + last.bias
    projection = fit_projection(pooled, last.kernel, label_weights(log_odds, settings.least_weight), settings.shrinkage)
    kernel, bias = fit_readout(quantise(pooled @ projection.matrix.T, projection.pca), log_odds, settings.ridge)
    readout = Readout(kernel, bias, labels)
    content = cut_body(source, projection)
    compared = compare_bodies(content, source, material.held_out)
    errors = measure_body(compared, projection.pca, readout, size_bytes=len(content), fitted_windows=len(pooled))
    facts = EmbedderFacts(
        model="yamnet",
        name=NAME,
        log_offset=LOG_OFFSET,
        parameters=parameters(content),
        source_sha256=hashlib.sha256(source).hexdigest(),
        fitted_windows=len(pooled),
        clip=CLIP,
        shrinkage=settings.shrinkage,
        seed=settings.seed,
    )
    return ExportedBody(content, projection.pca, readout, facts, errors)


@dataclass(frozen=True, slots=True)
class ComparedBodies:
    """Comparison of an exported body with YAMNet on the same windows.

    Attributes:
        largest_difference: of the pooled vectors, both from YAMNet's own patch.
        differing: number of windows whose pooled vector differs if the patch is the detector's.
        differing_by: the largest of these differences.
        embeddings: raw ones float32 (n, 128), from the detector's front end.
        scores: YAMNet's own, float32 (n, 521).

    """

    largest_difference: float
    differing: int
    differing_by: float
    embeddings: Float32
    scores: Float32


def compare_bodies(content: bytes, source: bytes, sounds: Iterable[Float32]) -> ComparedBodies:
    """Run an exported body and YAMNet on windows float32 (15600,)."""
    yamnet, body = Graph(with_inner_outputs(source), "classify"), Graph(content, "embed")
    embeddings, scores = [], []
    largest, differing, differing_by = 0.0, 0, 0.0
    for samples in sounds:
        yamnet.run(samples=samples)
        body.run(log_mel=yamnet.output("patch"))
        largest = max(largest, float(np.abs(body.output("pooled") - yamnet.output("pooled")).max()))
        body.run(log_mel=log_mel(samples, log_offset=LOG_OFFSET)[np.newaxis])
        difference = float(np.abs(body.output("pooled") - yamnet.output("pooled")).max())
        differing += difference > 0.0
        differing_by = max(differing_by, difference)
        scores.append(yamnet.output("scores").reshape(-1))
        embeddings.append(body.output("embedding")[0])
    return ComparedBodies(largest, differing, differing_by, np.stack(embeddings), np.stack(scores))


def measure_body(compared: ComparedBodies, pca: Pca, readout: Readout, *, size_bytes: int, fitted_windows: int) -> BodyErrors:
    """Return the errors of an exported body. Raises EdgeDetectorError if they are too large."""
    if not (compared.scores >= SURE).any():
        raise UsageError(
            f"YAMNet gives no label {SURE} or more in the recordings that were left out to measure on; give more to --fit"
        )
    codes = quantise(compared.embeddings, pca)
    near = agreement(readout.probabilities(codes), compared.scores)
    if compared.largest_difference > LARGEST_DIFFERENCE or near.kept_at_15 < LOWEST_KEPT:
        raise EdgeDetectorError(
            f"the body differs from YAMNet by {compared.largest_difference:.1g}, and its read-out keeps {near.kept_at_15:.0%} of "
            "YAMNet's labels; fit it to more recordings, of more kinds"
        )
    return BodyErrors(
        precision="int8",
        windows=len(codes),
        finite=True,
        bytes=size_bytes,
        largest_difference=compared.largest_difference,
        pooled_differs=compared.differing / len(codes),
        pooled_differs_by=compared.differing_by,
        clipped_share=float(np.isin(codes, (0, 255)).mean()),
        readout=near,
        fitted_windows=fitted_windows,
    )


def _identity() -> Pca:
    return Pca(np.eye(EMBEDDING_SIZE, dtype=np.float32), np.zeros(EMBEDDING_SIZE, np.float32))


@dataclass(slots=True)
class _Material:
    """Pooled vectors to fit to, and windows of other recordings to measure on."""

    body: Graph
    settings: EmbedderSettings
    pooled: list[Float32] = field(default_factory=list)
    held_out: list[Float32] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    def collect(self, folder: Path, most: int) -> None:
        """Add at most `most` windows of a folder's recordings, in random order, except recordings of folders added before."""
        recordings = [path for path in recordings_in(folder) if path not in self.seen]
        self.seen |= set(recordings)
        order = np.random.default_rng([self.settings.seed, len(recordings)]).permutation(len(recordings))
        progress = Progress(f"export-embedder: window, {folder.name}", most)
        before, measured = len(self.pooled), len(self.held_out)
        for number, index in enumerate(order):
            try:
                samples = read_16khz(recordings[index])
            except SourceError:
                continue
            found = windows(samples, FRONT_END.patch_step_samples)[: self.settings.recording_windows]
            if number % HELD_OUT_EVERY == 0:
                self.held_out.extend(found[: max(COMPARED_WINDOWS - (len(self.held_out) - measured), 0)])
                continue
            for window in found:
                self.body.run(log_mel=log_mel(window, log_offset=LOG_OFFSET)[np.newaxis])
                self.pooled.append(self.body.output("pooled").reshape(-1))
            progress.update(min(len(self.pooled) - before, most))
            if len(self.pooled) - before >= most:
                break
        progress.close()
