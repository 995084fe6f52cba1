"""YAMNet's body, extracted from the classifier, equals YAMNet to the bit in a smaller file."""

from pathlib import Path

import numpy as np
import pytest

from convert.embedder.projection import POOLED_SIZE, Projection
from edge_detector.audio.clips import find_clips
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.embedding import Pca
from edge_detector.detection.logmel import log_mel
from edge_detector.detection.tflite import Graph, TfliteEmbedder
from edge_detector.errors import UsageError
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.types import Float32

pytest.importorskip("tensorflow")

from convert.embedder.yamnet_body import classifier, cut_body, parameters, read_file, with_inner_outputs
from convert.embedder.yamnet_export import LOG_OFFSET, compare_bodies

PARAMETERS_OF_THE_BODY = 3_200_000
PROJECTION = Projection(
    np.random.default_rng(3).normal(0.0, 0.05, (EMBEDDING_SIZE, POOLED_SIZE)).astype(np.float32),
    Pca(np.eye(EMBEDDING_SIZE, dtype=np.float32), np.zeros(EMBEDDING_SIZE, np.float32)),
)


@pytest.fixture(scope="module")
def source(data: Path) -> bytes:
    return read_file(data / "peers" / "yamnet.tflite")


@pytest.fixture(scope="module")
def body(source: bytes) -> bytes:
    return cut_body(source, PROJECTION)


@pytest.fixture(scope="module")
def windows(data: Path) -> list[Float32]:
    """Four windows of three recordings of each of the ten sounds: 120."""
    clips = find_clips(data / "esc10", {1, 2, 3, 4})
    chosen = [clip for label in sorted({clip.label for clip in clips}) for clip in [c for c in clips if c.label == label][:3]]
    starts = range(0, 4 * FRONT_END.patch_step_samples, FRONT_END.patch_step_samples)
    sounds = [read_16khz(clip.path) for clip in chosen]
    return [samples[start : start + FRONT_END.patch_samples] for samples in sounds for start in starts]


def test_its_pooled_vector_is_yamnets_from_the_same_patch(source: bytes, body: bytes, windows: list[Float32]) -> None:
    yamnet, cut = Graph(with_inner_outputs(source), "classify"), Graph(body, "embed")
    assert len(windows) >= 100
    for samples in windows:
        yamnet.run(samples=samples)
        cut.run(log_mel=yamnet.output("patch"))
        assert np.array_equal(cut.output("pooled"), yamnet.output("pooled"))
        assert cut.output("pooled").any()


def test_its_embedding_is_the_projection_of_that_vector(body: bytes, windows: list[Float32]) -> None:
    cut = Graph(body, "embed")
    for samples in windows[:10]:
        cut.run(log_mel=log_mel(samples, log_offset=LOG_OFFSET)[np.newaxis])
        wanted = PROJECTION.matrix @ cut.output("pooled").reshape(-1)
        assert np.abs(cut.output("embedding")[0] - wanted).max() < 1e-4


def test_the_detector_s_front_end_equals_yamnets_but_for_rounding(source: bytes, body: bytes, windows: list[Float32]) -> None:
    compared = compare_bodies(body, source, windows)
    assert compared.largest_difference == 0.0
    assert compared.differing < 0.2 * len(windows)
    assert compared.differing_by < 0.2
    assert (compared.embeddings.shape, compared.scores.shape) == ((len(windows), 128), (len(windows), 521))


def test_the_classifier_s_weights_give_yamnets_scores_from_its_pooled_vector(source: bytes, windows: list[Float32]) -> None:
    yamnet, last = Graph(with_inner_outputs(source), "classify"), classifier(source)
    assert (last.kernel.shape, last.bias.shape) == ((POOLED_SIZE, 521), (521,))
    for samples in windows[:20]:
        yamnet.run(samples=samples)
        log_odds = yamnet.output("pooled").reshape(-1) @ last.kernel + last.bias
        assert np.abs(1.0 / (1.0 + np.exp(-log_odds)) - yamnet.output("scores").reshape(-1)).max() < 0.05


def test_inner_outputs_change_no_score(source: bytes, data: Path, windows: list[Float32]) -> None:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - YAMNet as released has no signature for Graph

    plain = Interpreter(model_path=str(data / "peers" / "yamnet.tflite"), num_threads=1)
    plain.allocate_tensors()
    (taken,), (given,) = plain.get_input_details(), plain.get_output_details()
    yamnet = Graph(with_inner_outputs(source), "classify")
    yamnet.require(yamnet.outputs, "patch", (1, FRONT_END.patch_frames, FRONT_END.mel_bands), np.float32)
    yamnet.require(yamnet.outputs, "pooled", (1, 1, 1, POOLED_SIZE), np.float32)
    for samples in windows[:20]:
        plain.set_tensor(taken["index"], samples.reshape(taken["shape"]))
        plain.invoke()
        yamnet.run(samples=samples)
        assert np.array_equal(yamnet.output("scores"), plain.get_tensor(given["index"]))


def test_it_has_the_signature_of_every_embedder(body: bytes) -> None:
    graph = Graph(body, "embed")
    assert set(graph.inputs) == {"log_mel"}
    assert set(graph.outputs) == {"embedding", "pooled"}
    graph.require(graph.inputs, "log_mel", (1, FRONT_END.patch_frames, FRONT_END.mel_bands), np.float32)
    graph.require(graph.outputs, "embedding", (1, EMBEDDING_SIZE), np.float32)
    graph.require(graph.outputs, "pooled", (1, 1, 1, POOLED_SIZE), np.float32)
    assert TfliteEmbedder(body).embed(np.zeros((96, 64), np.float32)).shape == (EMBEDDING_SIZE,)


def test_front_end_and_classifier_are_not_in_the_file(source: bytes, body: bytes) -> None:
    projection_bytes = 4 * EMBEDDING_SIZE * POOLED_SIZE
    assert len(body) < len(source), "even with the projection, 0.5 MB of float32"
    assert len(body) - projection_bytes < len(source) - 600_000
    assert parameters(body) - EMBEDDING_SIZE * POOLED_SIZE < parameters(source) - 500_000
    assert parameters(body) == pytest.approx(PARAMETERS_OF_THE_BODY + EMBEDDING_SIZE * POOLED_SIZE, rel=0.03)
    assert b"tower0/network/layer29" not in body
    assert b"modified: front end and classifier removed" in body


def test_the_extraction_is_deterministic_to_the_byte(source: bytes, body: bytes) -> None:
    assert cut_body(source, PROJECTION) == body


@pytest.mark.parametrize("change", [b"", b"\1", b"cut"])
def test_a_file_that_is_not_googles_is_rejected(source: bytes, tmp_path: Path, change: bytes) -> None:
    other = tmp_path / "yamnet.tflite"
    other.write_bytes(source[:-100] if change == b"cut" else source[:-1] + change)
    with pytest.raises(UsageError, match="is not Google's YAMNet classifier; python -m convert fetch yamnet gets it"):
        read_file(other)
    with pytest.raises(UsageError, match="cannot be read: No such file or directory; python -m convert fetch yamnet gets it"):
        read_file(tmp_path / "none.tflite")
