"""YAMNet's body as an embedder: cut, projected, read out, and measured against YAMNet on recordings it was not fitted to."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convert.audio.samples import read_16khz
from convert.embedder.corpus import recordings_in
from convert.embedder.projection import (
    CLIP,
    POOLED_SIZE,
    SHRINKAGE,
    SURE,
    Projection,
    agreement,
    fit_projection,
    fit_readout,
    label_weights,
)
from convert.embedder.readout import Readout
from convert.embedder.yamnet import windows
from convert.embedder.yamnet_body import classifier, cut_body, parameters, read_file, with_inner_outputs
from convert.embedder.yamnet_labels import labelled, read_labels
from convert.progress import Progress
from edge_detector.detection.embedding import Pca, quantise
from edge_detector.detection.logmel import log_mel
from edge_detector.detection.tflite import Graph
from edge_detector.errors import EdgeDetectorError, SourceError, UsageError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.types import Float32

LOG_OFFSET = 0.001
"""Of YAMNet's log-mel spectrogram; VGGish has 0.01. Source: params.py of tensorflow/models research/audioset/yamnet."""

NAME = "yamnet-body"
HELD_OUT_EVERY = 10
"""Every so many recordings one is left out of the fit, to measure on."""

WINDOWS_OF_A_RECORDING = 30
FEWEST_WINDOWS = 2 * POOLED_SIZE
COMPARED_WINDOWS = 2_000
LARGEST_DIFFERENCE = 1e-6
"""Between the pooled vectors of the body and of YAMNet from the same patch."""

LOWEST_KEPT = 0.9
"""Of YAMNet's labels at 0.2 or more: a read-out that keeps fewer at 0.15 is refused."""


@dataclass(frozen=True, slots=True)
class ExportedBody:
    """What export-embedder writes of YAMNet's body.

    Attributes:
        content: the .tflite file.
        pca: its PCA parameters.
        readout: of AudioSet's labels from its codes.
        facts: what embedder.json is to say.
        errors: how far it is from YAMNet.

    """

    content: bytes
    pca: Pca
    readout: Readout
    facts: dict[str, Any]
    errors: dict[str, Any]


def export_yamnet(path: Path, folders: Sequence[Path], most_windows: int, seed: int) -> ExportedBody:
    """Fit to at most `most_windows` windows of the recordings in these folders, as many of each folder, and measure on others.

    Raises UsageError where there is too little sound, EdgeDetectorError where the read-out is no good.
    """
    source = read_file(path)
    last, labels = classifier(source), labelled(read_labels(path))
    body = Graph(cut_body(source, Projection(np.zeros((EMBEDDING_SIZE, POOLED_SIZE), np.float32), _identity())), "embed")
    material = _Material(body)
    for folder in folders:
        material.collect(folder, most_windows // len(folders), seed)
    different = len({hash(vector.tobytes()) for vector in material.pooled})
    if different < FEWEST_WINDOWS or not material.held_out:
        raise UsageError(
            f"--fit has {different} different windows of sound, at least {FEWEST_WINDOWS} are needed; give more recordings"
        )
    pooled = np.stack(material.pooled)
    log_odds = pooled @ last.kernel + last.bias
    projection = fit_projection(pooled, last.kernel, label_weights(log_odds))
    kernel, bias = fit_readout(quantise(pooled @ projection.matrix.T, projection.pca), log_odds)
    readout = Readout(kernel, bias, labels)
    content = cut_body(source, projection)
    errors = measure_body(content, projection.pca, readout, source, material.held_out)
    facts = {
        "model": "yamnet",
        "name": NAME,
        "log_offset": LOG_OFFSET,
        "parameters": parameters(content),
        "source_sha256": hashlib.sha256(source).hexdigest(),
        "fitted_windows": len(pooled),
        "clip": CLIP,
        "shrinkage": SHRINKAGE,
        "seed": seed,
        "folds": [],
    }
    return ExportedBody(content, projection.pca, readout, facts, {**errors, "fitted_windows": len(pooled)})


@dataclass(frozen=True, slots=True)
class ComparedBodies:
    """An exported body beside YAMNet on the same windows.

    Attributes:
        largest_difference: of the pooled vectors, both from YAMNet's own patch.
        differing, differing_by: windows whose pooled vector differs from the detector's front end, and by how much at most.
        embeddings: raw ones float32 (n, 128), from the detector's front end.
        scores: YAMNet's own, float32 (n, 521).

    """

    largest_difference: float
    differing: int
    differing_by: float
    embeddings: Float32
    scores: Float32


def compare_bodies(content: bytes, source: bytes, sounds: Iterable[Float32]) -> ComparedBodies:
    """Run an exported body and YAMNet on windows float32 (15600,) of sound."""
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


def measure_body(content: bytes, pca: Pca, readout: Readout, source: bytes, sounds: Sequence[Float32]) -> dict[str, Any]:
    """How far an exported body is from YAMNet on windows of sound. Raises EdgeDetectorError if it is too far."""
    compared = compare_bodies(content, source, sounds)
    if not (compared.scores >= SURE).any():
        raise UsageError("YAMNet is sure of nothing in the recordings that were left out to measure on; give more to --fit")
    codes = quantise(compared.embeddings, pca)
    near = agreement(readout.probabilities(codes), compared.scores)
    if compared.largest_difference > LARGEST_DIFFERENCE or near.kept_at_15 < LOWEST_KEPT:
        raise EdgeDetectorError(
            f"the body differs from YAMNet by {compared.largest_difference:.1g}, and its read-out keeps {near.kept_at_15:.0%} of "
            "YAMNet's labels; fit it to more recordings, of more kinds"
        )
    return {
        "precision": "int8",
        "windows": len(codes),
        "finite": True,
        "bytes": len(content),
        "largest_difference": compared.largest_difference,
        "pooled_differs": compared.differing / len(codes),
        "pooled_differs_by": compared.differing_by,
        "clipped_share": float(np.isin(codes, (0, 255)).mean()),
        "readout": asdict(near),
    }


def _identity() -> Pca:
    return Pca(np.eye(EMBEDDING_SIZE, dtype=np.float32), np.zeros(EMBEDDING_SIZE, np.float32))


@dataclass(slots=True)
class _Material:
    """Pooled vectors to fit to, and windows of other recordings to measure on."""

    body: Graph
    pooled: list[Float32] = field(default_factory=list)
    held_out: list[Float32] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    def collect(self, folder: Path, most: int, seed: int) -> None:
        """Take at most so many windows of a folder's recordings that no folder before had, in an order drawn by the seed."""
        recordings = [path for path in recordings_in(folder) if path not in self.seen]
        self.seen |= set(recordings)
        order = np.random.default_rng([seed, len(recordings)]).permutation(len(recordings))
        progress = Progress(f"export-embedder: window, {folder.name}", most)
        before, measured = len(self.pooled), len(self.held_out)
        for number, index in enumerate(order):
            try:
                samples = read_16khz(recordings[index])
            except SourceError:
                continue
            found = windows(samples, FRONT_END.patch_step_samples)[:WINDOWS_OF_A_RECORDING]
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
