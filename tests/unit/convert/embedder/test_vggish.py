"""VGGish from its checkpoint is the published network in every precision, or is rejected.

A narrow network keeps it fast; tests/studies/vggish_full.py does the same at full size.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.audio.probe_signals import probe_patches
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.logmel import patches as patches_of
from edge_detector.detection.tflite import TfliteEmbedder
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Float32
from tests.support.vggish_reference import centred_cosine, embedding, write_checkpoint

tf = pytest.importorskip("tensorflow")

from convert.embedder.vggish import VGGISH, Vggish  # noqa: E402
from convert.embedder.vggish_checkpoint import read_checkpoint  # noqa: E402
from convert.embedder.vggish_export import embedder_errors, export_embedder, require_equal  # noqa: E402
from convert.tf.tflite import Precision  # noqa: E402
from tests.support.narrow_vggish import NARROW, weights  # noqa: E402 - after TensorFlow was found

LARGEST_SHARE = 1e-4
LOWEST_CENTRED_COSINE = {"float16": 0.999, "dynamic": 0.99, "int8": 0.98}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "vggish_model.ckpt", weights())


@functools.cache
def real_patches(data: Path) -> Float32:
    """One patch from the start and one from the middle of each recording, 10 clips of each sound."""
    clips = [path for folder in sorted((data / "esc10").iterdir()) for path in sorted(folder.glob("*.ogg"))[:10]]
    found = [patches_of(read_16khz(path)) for path in clips]
    return np.concatenate([patches[[0, len(patches) // 2]] for patches in found])


def test_full_size_has_the_published_variables_and_parameters() -> None:
    shapes = VGGISH.shapes()
    assert len(shapes) == 18
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 72_141_184
    assert shapes["vggish/conv3/conv3_2/weights"] == (3, 3, 256, 256)
    assert shapes["vggish/fc1/fc1_1/weights"] == (12_288, 4_096)
    assert shapes["vggish/fc2/biases"] == (128,)


def test_a_checkpoint_of_tensorflow_1_is_read_to_the_bit(checkpoint: Path) -> None:
    assert checkpoint.is_file(), "one file: the old format"
    read = read_checkpoint(checkpoint, NARROW)
    assert read.keys() == weights().keys()
    assert all(np.array_equal(read[name], values) for name, values in weights().items())


def test_the_newer_checkpoint_format_is_read(tmp_path: Path) -> None:
    prefix = str(tmp_path / "vggish")
    names, values = list(weights()), list(weights().values())
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
    read = read_checkpoint(tmp_path / "vggish", NARROW)
    assert all(np.array_equal(read[name], values) for name, values in weights().items())


def test_the_graph_equals_the_reference_and_ends_without_an_activation() -> None:
    patches = probe_patches(12, seed=0)
    wanted = embedding(weights(), patches)
    assert np.abs(Vggish(weights()).embed_all(patches) - wanted).max() <= LARGEST_SHARE * np.abs(wanted).max()
    assert wanted.min() < -0.1 * wanted.max(), "an embedding after a ReLU has no negative value"


def test_flattening_channels_first_gives_other_embeddings() -> None:
    patches = probe_patches(12, seed=0)
    wrong = embedding(weights(), patches, channels_first=True)
    assert centred_cosine(embedding(weights(), patches), wrong).mean() < 0.5


@pytest.mark.data
def test_float32_is_the_reference(data: Path) -> None:
    patches = real_patches(data)
    wanted = embedding(weights(), patches)
    found = embed_each(export_embedder(Vggish(weights()), "float32", patches[:0]), patches)
    assert np.abs(found - wanted).max() <= LARGEST_SHARE * np.abs(wanted).max()


@pytest.mark.data
@pytest.mark.parametrize("precision", ["float16", "dynamic", "int8"])
def test_a_smaller_precision_keeps_the_centred_cosine(precision: Precision, data: Path) -> None:
    patches = real_patches(data)
    assert len(patches) >= 200
    # Every other patch calibrates, the rest measure.
    content = export_embedder(Vggish(weights()), precision, patches[::2])
    cosine = centred_cosine(embedding(weights(), patches[1::2]), embed_each(content, patches[1::2]))
    assert cosine.mean() >= LOWEST_CENTRED_COSINE[precision]
    errors = embedder_errors(content, Vggish(weights()), None, patches[1::2], precision)
    assert errors.mean_centred_cosine == pytest.approx(cosine.mean(), abs=1e-4)
    assert 0.0 <= errors.codes_changed_share <= 1.0


def embed_each(content: bytes, patches: Float32) -> Float32:
    embedder = TfliteEmbedder(content)
    return np.stack([embedder.embed(patch) for patch in patches])


def test_damage_that_a_plain_cosine_does_not_show_is_rejected() -> None:
    patches = probe_patches(40, seed=0)
    # Far from the origin all embeddings have nearly the same direction.
    far = {**weights(), "vggish/fc2/biases": weights()["vggish/fc2/biases"] + np.float32(1e4)}
    other = {**far, "vggish/fc2/weights": np.ascontiguousarray(far["vggish/fc2/weights"][::-1])}
    errors = embedder_errors(export_embedder(Vggish(other), "dynamic", patches[:0]), Vggish(far), None, patches, "dynamic")
    assert errors.lowest_cosine > 0.999
    with pytest.raises(EdgeDetectorError, match="mean-centred cosine"):
        require_equal(errors)


def spoiled(**changes: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    """The weights with some variables exchanged, added, or (None) removed; __ stands for /."""
    named = {f"vggish/{name.replace('__', '/')}": values for name, values in changes.items()}
    return {name: values for name, values in {**weights(), **named}.items() if values is not None}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fc2__biases": None}, "lacks vggish/fc2/biases"),
        ({"fc3__weights": np.zeros((2, 2), np.float32)}, "also holds vggish/fc3/weights"),
        ({"conv1__weights": np.zeros((3, 3, 1, 9), np.float32)}, r"conv1/weights is \(3, 3, 1, 9\), VGGish's is \(3, 3, 1, 8\)"),
        ({"fc2__biases": np.zeros(128, np.float64)}, "is float64"),
        ({"fc2__biases": np.full(128, np.nan, np.float32)}, "not finite"),
    ],
)
def test_another_models_checkpoint_is_rejected_by_the_name_of_a_variable(
    changes: dict[str, NDArray[Any] | None], what: str, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "other.ckpt", spoiled(**changes))
    with pytest.raises(EdgeDetectorError, match=what):
        read_checkpoint(path, NARROW)


def test_many_missing_variables_are_counted_not_listed(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "other.ckpt", {"weights": np.zeros(3, np.float32)})
    with pytest.raises(EdgeDetectorError, match="and 15 more; VGGish has 18 variables"):
        read_checkpoint(path, NARROW)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "html", "flipped late"])
def test_a_damaged_checkpoint_is_rejected(damage: str, checkpoint: Path, tmp_path: Path) -> None:
    content = checkpoint.read_bytes()
    made = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "html": b"<html>not found</html>" * 99,
        "flipped": content[:300] + bytes([content[300] ^ 1]) + content[301:],
        "flipped late": content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :],
    }
    (tmp_path / "vggish.ckpt").write_bytes(made[damage])
    with pytest.raises(EdgeDetectorError, match="cut or damaged") as failed:
        read_checkpoint(tmp_path / "vggish.ckpt", NARROW)
    assert "\n" not in str(failed.value)
