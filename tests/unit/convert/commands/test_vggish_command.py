"""VGGish on the command line: exported, measured, verified, and described for a bundle. A narrow network keeps it fast."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from convert.__main__ import main
from convert.audio.probe_signals import probe_patches
from convert.download import released
from convert.download.released import ReleasedFile
from convert.embedder import smoke_test
from convert.embedder.runtime import read_pca
from convert.embedder.smoke_test import Statistics, sine_patches
from convert.files import sha256_of
from edge_detector.detection.tflite import TfliteEmbedder
from tests.support.synthetic import write_clips
from tests.support.vggish_reference import embedding, write_checkpoint

pytest.importorskip("tensorflow")

from tests.support.narrow_vggish import taken_for_vggish, weights


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "vggish_model.ckpt", weights())


@pytest.fixture
def narrow() -> Iterator[None]:
    with taken_for_vggish():
        yield


@pytest.fixture
def fetched(checkpoint: Path, tmp_path: Path) -> Path:
    """A folder as fetch leaves it, with parameters of Google's form: double precision, means as a column."""
    folder = tmp_path / "vggish"
    folder.mkdir()
    (folder / checkpoint.name).write_bytes(checkpoint.read_bytes())
    rng = np.random.default_rng(0)
    np.savez(folder / "vggish_pca_params.npz", pca_eigen_vectors=rng.normal(size=(128, 128)), pca_means=rng.normal(size=(128, 1)))
    return folder


def convert(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.usefixtures("narrow")
def test_the_command_writes_the_files_of_a_bundle(fetched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out" / "embedder.tflite"
    assert convert("export-embedder", fetched, "--set", "embedder.measured_windows=20", "-o", output, "--json") == 0
    errors = json.loads(capsys.readouterr().out)
    assert errors == json.loads((tmp_path / "out" / "embedder.tflite.errors.json").read_text())
    assert errors["codes_by"] == "its own PCA"
    assert "published" not in errors, "these are not Google's weights"
    facts = json.loads((tmp_path / "out" / "embedder.json").read_text())
    assert facts["parameters"] == sum(values.size for values in weights().values())
    assert facts["checkpoint_sha256"] == sha256_of(fetched / "vggish_model.ckpt")
    given = np.load(fetched / "vggish_pca_params.npz")
    pca = read_pca(tmp_path / "out" / "pca.npz")
    assert np.array_equal(pca.matrix, given["pca_eigen_vectors"].astype(np.float32))
    assert np.array_equal(pca.means, given["pca_means"][:, 0].astype(np.float32))


@pytest.mark.usefixtures("narrow")
def test_an_export_without_pca_parameters_is_rejected_by_embed_and_bundle(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "embedder.tflite"
    assert (
        convert("export-embedder", checkpoint, "--precision", "float32", "--set", "embedder.measured_windows=5", "-o", output)
        == 0
    )
    said = f"{output} has no pca.npz beside it, and its codes need PCA parameters; export it again with VGGish's beside\n"
    capsys.readouterr()
    (tmp_path / "lstm").mkdir()
    assert convert("bundle", tmp_path / "lstm", "--embedder", output, "-o", tmp_path / "bundle") == 2
    assert capsys.readouterr().err == f"convert bundle: {said}"
    clips = write_clips(tmp_path / "clips", folds=1, takes=1)
    assert convert("embed", clips, "--embedder", output, "-o", tmp_path / "x.tfrecord") == 2
    assert capsys.readouterr().err == f"convert embed: {said}"


@pytest.mark.usefixtures("narrow")
def test_int8_is_fitted_to_recordings(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "int8.tflite"
    command = ("export-embedder", checkpoint, "--precision", "int8", "--set", "embedder.measured_windows=20", "-o", output)
    assert convert(*command) == 2
    assert "--clips" in capsys.readouterr().err
    assert convert(*command, "--clips", write_clips(tmp_path / "clips")) == 0
    assert "codes changed" in capsys.readouterr().out
    assert not (tmp_path / "pca.npz").exists(), "none was given"
    raw = TfliteEmbedder(output.read_bytes()).embed(probe_patches(1, 0)[0])
    assert raw.dtype == np.float32


@pytest.mark.usefixtures("narrow")
def test_the_file_in_the_old_flattening_order_fails_verify(
    fetched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "embedder.tflite"
    assert convert("export-embedder", fetched, "--set", "embedder.measured_windows=20", "-o", output) == 0
    verify = ("verify", "--embedder", output, "--embedder-source")
    assert convert(*verify, fetched) == 0
    order = np.arange(6 * 4 * 32).reshape(6, 4, 32).transpose(2, 0, 1).reshape(-1)
    wrong = {**weights(), "vggish/fc1/fc1_1/weights": weights()["vggish/fc1/fc1_1/weights"][order]}
    assert convert(*verify, write_checkpoint(tmp_path / "wrong.ckpt", wrong)) == 1
    assert "embedder: DIFFERENT" in capsys.readouterr().out


@pytest.mark.usefixtures("narrow")
def test_another_embedders_folder_is_not_overwritten(fetched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "embedder.json").write_text('{"name": "yamnet-body"}')
    assert convert("export-embedder", fetched, "-o", tmp_path / "embedder.tflite") == 2
    assert "another embedder's folder" in capsys.readouterr().err
    assert not (tmp_path / "embedder.tflite").exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("verify",), "give a bundle folder"),
        (("verify", "bundle", "--embedder", "x.tflite"), "either a bundle or --embedder"),
        (("verify", "--embedder-source", "{checkpoint}"), "is not Google's"),
        (("verify", "--embedder", "/nowhere.tflite", "--embedder-source", "{checkpoint}"), "cannot be read"),
        (("export-embedder", "{empty}", "-o", "x.tflite"), "does not exist"),
    ],
)
@pytest.mark.usefixtures("narrow")
def test_wrong_usage_is_one_sentence(
    arguments: Sequence[str], what: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(*(text.format(checkpoint=checkpoint, empty=tmp_path) for text in arguments)) == 2
    message = capsys.readouterr().err
    assert what in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"<html>"])
@pytest.mark.usefixtures("narrow")
def test_damaged_pca_parameters_are_rejected(
    content: bytes, fetched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fetched / "vggish_pca_params.npz").write_bytes(content)
    assert convert("export-embedder", fetched, "-o", tmp_path / "x.tflite") == 1
    assert "is not an npz file of numbers" in capsys.readouterr().err


@pytest.mark.usefixtures("narrow")
def test_googles_own_weights_need_the_published_smoke_test(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(released, "CHECKPOINT", ReleasedFile("vggish_model.ckpt", sha256_of(checkpoint), 1_000_000))
    output = tmp_path / "embedder.tflite"
    command = ("export-embedder", checkpoint, "--precision", "float32", "--set", "embedder.measured_windows=20", "-o", output)
    assert convert(*command) == 1
    assert "fails VGGish's published smoke test" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

    raw = embedding(weights(), sine_patches())
    monkeypatch.setattr(smoke_test, "NOW", Statistics(float(raw.mean()), float(raw.std()), 126.0, 89.3))
    assert convert(*command) == 0
    assert "published smoke test: passed" in capsys.readouterr().out
    assert convert("verify", "--embedder-source", checkpoint) == 0
    assert convert("verify", "--embedder-source", checkpoint, "--embedder", output, "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["published_source"]["passed"]
    assert result["published"]["passed"]
