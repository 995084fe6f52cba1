"""export-embedder with YAMNet: the files it writes, the agreement of the read-out with YAMNet, and the input it rejects."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.embedder.readout import read_readout
from convert.embedder.runtime import CodeEmbedder
from convert.files import read_json
from edge_detector.audio.clips import find_clips
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.bundle import EMBEDDER, load_bundle
from edge_detector.detection.embedding import quantise
from tests.support.recorded_clips import record
from tests.support.tiny_recipe import convert

pytest.importorskip("tensorflow")

from convert.embedder.yamnet_body import read_file
from convert.embedder.yamnet_export import LOG_OFFSET, compare_bodies

FIT_WINDOWS = 2_400
CLASSES = {
    "rain": {"label": "Rain", "mid": "/m/06mb1", "audioset": ["Rain", "Raindrop"]},
    "rooster": {"label": "Rooster", "mid": "/m/07qn5dc", "audioset": ["Crowing, cock-a-doodle-doo"]},
    "siren": {"label": "Siren", "mid": "/m/03kmc9", "audioset": ["Siren"], "enabled": False},
}


@pytest.fixture(scope="module")
def yamnet(data: Path) -> Path:
    return data / "peers" / "yamnet.tflite"


@pytest.fixture(scope="module")
def made(data: Path, yamnet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the embedder, a read-out of its labels as a sequence model, and a bundle of both."""
    folder = tmp_path_factory.mktemp("yamnet")
    fit = ("--fit", data / "world", data / "esc10", "--set", f"embedder.fit_windows={FIT_WINDOWS}")
    embedder = folder / "embedder" / EMBEDDER
    assert convert("export-embedder", yamnet, *fit, "-o", embedder) == 0
    assert convert("fuse", "--embedder", embedder, "-o", folder / "readout") == 0
    assert convert("export", folder / "readout") == 0
    (folder / "classes.json").write_text(json.dumps(CLASSES), encoding="utf-8")
    parts = (folder / "readout", "--embedder", embedder, "--classes", folder / "classes.json")
    assert convert("bundle", *parts, "-o", folder / "bundle") == 0
    return folder


@pytest.fixture(scope="module")
def errors(made: Path) -> dict[str, Any]:
    return read_json(made / "embedder" / f"{EMBEDDER}.errors.json")


def test_facts_errors_pca_and_read_out_are_beside_the_file(made: Path) -> None:
    names = {path.name for path in (made / "embedder").iterdir()}
    assert names == {EMBEDDER, f"{EMBEDDER}.errors.json", "embedder.json", "pca.npz", "readout.npz"}
    facts = read_json(made / "embedder" / "embedder.json")
    assert (facts["name"], facts["log_offset"], facts["folds"]) == ("yamnet-body", 0.001, [])
    assert FIT_WINDOWS <= facts["fitted_windows"] < FIT_WINDOWS + 60
    labels = read_readout(made / "embedder" / EMBEDDER).labels
    assert len(labels) == 521
    assert (labels[0].name, labels[0].mid) == ("Speech", "/m/09x0r")
    assert all(label.mid for label in labels)


def test_the_read_out_agrees_with_yamnet(errors: dict[str, Any]) -> None:
    assert errors["largest_difference"] == 0.0
    assert errors["windows"] >= 100
    assert errors["clipped_share"] < 0.001
    assert errors["readout"]["kept_at_15"] >= 0.9
    assert errors["readout"]["top_in_five"] > 0.98
    assert errors["readout"]["mean_difference"] < 0.1


def test_the_read_out_agrees_with_yamnet_on_recordings_that_it_is_not_fitted_to(made: Path, data: Path, yamnet: Path) -> None:
    embedder = made / "embedder" / EMBEDDER
    files = sorted((data / "check").glob("*/*.*"))[::40]
    windows = [samples[:15_600] for samples in map(read_16khz, files) if len(samples) >= 15_600]
    assert len(windows) >= 20
    compared = compare_bodies(embedder.read_bytes(), read_file(yamnet), windows)
    codes = np.concatenate([CodeEmbedder.load(embedder).codes(samples) for samples in windows])
    found = read_readout(embedder).probabilities(codes)
    sure = compared.scores >= 0.2
    assert (found[sure] >= 0.1).mean() > 0.9
    assert np.abs(found - compared.scores)[sure].mean() < 0.15


def test_the_detector_gives_the_measured_codes(made: Path, data: Path, yamnet: Path) -> None:
    bundle = load_bundle(made / "bundle")
    assert bundle.manifest.log_offset == LOG_OFFSET
    samples = read_16khz(find_clips(data / "esc10", {1})[0].path)[:15_600]
    embedding = compare_bodies(bundle.embedder, read_file(yamnet), [samples]).embeddings
    assert np.array_equal(CodeEmbedder.of_bundle(bundle).codes(samples), quantise(embedding, bundle.pca))


def test_verify_compares_a_bundle_with_yamnet(made: Path, yamnet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = ("--embedder-source", yamnet, "--sequence-source", made / "readout")
    assert convert("verify", made / "bundle", *sources, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["embedder"] == {"windows": 100, "largest_difference": 0.0, "passed": True}
    assert result["sequence"]["passed"]
    assert convert("verify", "--embedder", made / "embedder" / EMBEDDER, "--embedder-source", yamnet.parent) == 0
    assert "embedder: equal" in capsys.readouterr().out
    assert convert("verify", "--embedder-source", yamnet) == 2
    assert "give the bundle, or --embedder FILE, to compare with it" in capsys.readouterr().err


def test_verify_detects_changed_weights(made: Path, yamnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = bytearray((made / "embedder" / EMBEDDER).read_bytes())
    kernel = changed.index(bytes(changed[2_000_000:2_000_100]))
    changed[kernel : kernel + 100] = bytes((value + 64) % 256 for value in changed[kernel : kernel + 100])
    (tmp_path / EMBEDDER).write_bytes(changed)
    (tmp_path / f"{EMBEDDER}.errors.json").write_text("{}")
    assert convert("verify", "--embedder", tmp_path / EMBEDDER, "--embedder-source", yamnet) == 1
    assert "embedder: DIFFERENT" in capsys.readouterr().out


def test_the_model_card_names_the_body(made: Path) -> None:
    manifest = load_bundle(made / "bundle").manifest
    assert manifest.embedder is not None
    assert manifest.embedder.name == "yamnet-body"
    figures = (made / "bundle" / "EVALUATION.md").read_text(encoding="utf-8")
    card = (made / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Log-mel patches of 0.975 s (offset 0.001), the embedder yamnet-body (" in figures
    assert "It outputs 521 AudioSet labels and 0 outputs of a trained sequence model." in card


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "; give folders of some with --fit"),
        (("--fit", "{few}"), "--fit has 9 different windows of sound, at least 2048 are needed; give more recordings"),
        (("--fit", "{none}"), "holds no recordings ("),
        (("--fit", "/nowhere"), "holds no recordings ("),
        (("--fit", "{few}", "--clips", "{few}"), "--clips is not for YAMNet's body, which is int8 with a projection of its own"),
        (("--fit", "{few}", "--precision", "float32"), "--precision is not for YAMNet's body"),
        (("--fit", "{few}", "--clips", "{few}"), "--clips is not for YAMNet's body"),
    ],
)
def test_unusable_options_are_one_sentence(
    yamnet: Path, tmp_path: Path, options: Sequence[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(10):
        record(tmp_path / "few" / f"{'x' * (number + 1)}.wav")
    (tmp_path / "none").mkdir()
    given = (text.format(few=tmp_path / "few", none=tmp_path / "none") for text in options)
    assert convert("export-embedder", yamnet, *given, "-o", tmp_path / "out" / EMBEDDER) == 2
    *_, message = capsys.readouterr().err.splitlines()
    assert what in message
    assert not (tmp_path / "out").exists()


def test_a_recording_in_several_folders_is_used_once(yamnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        record(tmp_path / "all" / ("some" if number < 5 else "more") / f"{'x' * (number + 1)}.wav")
    for folders in (("all/some", "all"), ("all/some", "all/more"), ("all/some", "all/more", "all", "all/some")):
        fit = ("--fit", *(tmp_path / folder for folder in folders))
        assert convert("export-embedder", yamnet, *fit, "-o", tmp_path / EMBEDDER) == 2
        # Of the five in each, one is kept to measure on.
        assert "--fit has 8 different windows of sound" in capsys.readouterr().err


def test_silence_is_too_little_sound_for_the_fit(yamnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        record(tmp_path / "silence" / f"{number}.wav", seconds=30.0, level=0.0)
    assert convert("export-embedder", yamnet, "--fit", tmp_path / "silence", "-o", tmp_path / EMBEDDER) == 2
    assert "--fit has 1 different windows of sound" in capsys.readouterr().err


def test_a_file_that_is_not_yamnet_and_a_folder_of_another_embedder_are_rejected(
    yamnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(yamnet.read_bytes()[:-1])
    few = ("--fit", record(tmp_path / "few" / "a.wav").parent)
    assert convert("export-embedder", other, *few, "-o", tmp_path / EMBEDDER) == 2
    assert "is not Google's YAMNet classifier" in capsys.readouterr().err
    (tmp_path / "embedder.json").write_text(json.dumps({"name": "vggish"}))
    assert convert("export-embedder", yamnet, *few, "-o", tmp_path / EMBEDDER) == 2
    assert "is another embedder's folder; write embedder.tflite into a folder of its own" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "few").iterdir()] == ["a.wav"]
    assert not (tmp_path / EMBEDDER).exists()


def test_fit_is_not_for_vggish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vggish_model.ckpt").write_bytes(b"")
    source = tmp_path / "vggish_model.ckpt"
    assert convert("export-embedder", source, "--fit", tmp_path, "-o", tmp_path / "x.tflite") == 2
    assert "--fit is for YAMNet's body; VGGish has PCA parameters of its own, leave it out" in capsys.readouterr().err
