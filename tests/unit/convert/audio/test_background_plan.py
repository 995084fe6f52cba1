"""The commands from clips to a bundle that the detector loads, on synthetic sound."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.__main__ import COMMANDS
from convert.bundling.evaluation_page import evaluation_page
from convert.bundling.model_card import model_card
from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.records.files import read_dataset
from edge_detector.detection.bundle import EMBEDDER, PCA, SEQUENCE, load_bundle
from tests.support.synthetic import LABELS, RATE_HZ, loaded, sound
from tests.support.tiny_recipe import bundle_command, convert

pytest.importorskip("tensorflow")

from tests.support.narrow_vggish import taken_for_vggish, write_released


def test_the_detector_loads_the_bundle(work: Path) -> None:
    bundle = load_bundle(work / "bundle")
    assert [sound.slug for sound in bundle.manifest.classes] == list(LABELS)
    assert bundle.manifest.sequence.context_frames == 4
    assert bundle.manifest.evaluation == {}
    assert "Not measured." in (work / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert not [path.name for path in work.iterdir() if path.name.startswith(".")], "a temporary file was left behind"


def test_thresholds_are_chosen_on_background_and_written_into_the_bundle(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("speech", "animal_cat"):
        (work / "background" / label).mkdir(parents=True)
        soundfile.write(work / "background" / label / "1-x.wav", sound("thump", 7, 5.0), RATE_HZ, subtype="PCM_16")
    chosen = work / "calibration.json"
    quiet = (
        "--background",
        work / "background",
        "--set",
        "calibration.noise_minutes=0.2",
        "--clips",
        work / "clips",
        "--folds",
        "1,2",
    )
    assert convert("calibrate", work / "bundle", *quiet, "-o", chosen) == 0
    assert "0.24" in capsys.readouterr().out
    about = work / "about.json"
    about.write_text(json.dumps({"tried": ["Twice the clips: half the errors."]}), encoding="utf-8")
    assert convert(*bundle_command(work, work / "calibrated"), "--calibration", chosen, "--about", about) == 0
    manifest = load_bundle(work / "calibrated").manifest
    expected = json.loads(chosen.read_text(encoding="utf-8"))["classes"]
    for each in manifest.classes:
        assert [each.rules[hops].on for hops in (1, 2, 4)] == [found["rule"]["on"] for found in expected[each.slug].values()]
    card = (work / "calibrated" / "EVALUATION.md").read_text(encoding="utf-8")
    assert "Thresholds are not calibrated" not in card
    assert "Chosen for the lowest cost" in card
    assert "## Experiments\n\n- Twice the clips: half the errors.\n" in card


def test_verify_passes_and_reports_each_comparison(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = ("--embedder-source", work / "vggish", "--sequence-source", work / "lstm")
    with taken_for_vggish():
        assert convert("verify", work / "bundle", *sources, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["detector"]["largest_difference"] <= 1e-5
    assert result["sequence"]["largest_difference_bank"] <= 1e-5
    assert result["embedder"]["passed"]


def test_verify_rejects_a_source_that_the_bundle_was_not_made_from(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_released(tmp_path / "vggish", [loaded("hiss", seed).samples for seed in range(3)])
    with taken_for_vggish():
        assert convert("verify", work / "bundle", "--embedder-source", other) == 1
    assert f"the bundle's pca.npz is not the one in {other}; give the folder it was made from" in capsys.readouterr().err


def test_verify_fails_for_weights_of_another_training(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lstm = tmp_path / "lstm"
    lstm.mkdir()
    (lstm / "sequence.json").write_bytes((work / "lstm" / "sequence.json").read_bytes())
    with np.load(work / "lstm" / "weights.npz") as weights:
        np.savez(lstm / "weights.npz", **{name: value + 0.5 for name, value in weights.items()})
    assert convert("verify", work / "bundle", "--sequence-source", lstm) == 1
    assert "sequence: DIFFERENT" in capsys.readouterr().out


def test_score_counts_every_clip_of_the_fold(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("score", work / "bundle", work / "clips", "--folds", 3, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["clips"] == 6
    assert sum(map(sum, result["confusion"])) == 6
    assert result["right"] == sum(result["confusion"][index][index] for index in range(3))


def test_the_tables_of_a_score_are_written_into_the_card(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("score", work / "bundle", work / "clips", "--folds", 3, "--soundscapes", "--json") == 0
    (tmp_path / "score.json").write_text(capsys.readouterr().out, encoding="utf-8")
    assert convert(*bundle_command(work, tmp_path / "scored"), "--scores", tmp_path / "score.json") == 0
    evaluation = load_bundle(tmp_path / "scored").manifest.evaluation
    assert list(evaluation) == ["scores"]
    assert "Events on soundscapes" in (tmp_path / "scored" / "EVALUATION.md").read_text(encoding="utf-8")


def test_whole_clips_are_embedded_with_their_labels(work: Path) -> None:
    records = list(read_dataset(work / "whole.tfrecord"))
    assert len(records) == 12
    assert all(len(record.codes) == 2 and record.frame_labels is None for record in records)
    assert {record.labels for record in records} == {(0,), (1,), (2,)}


def test_composed_records_label_every_frame(work: Path) -> None:
    records = list(read_dataset(work / "train.tfrecord"))
    assert len(records) == 60
    for record in records:
        assert record.frame_labels is not None
        assert len(record.frame_labels) == len(record.codes)
        assert set(record.labels) == {index for labels in record.frame_labels for index in labels}


def test_the_last_frame_is_a_valid_training_target(work: Path, tmp_path: Path) -> None:
    records = (work / "train.tfrecord", "--validation", work / "validation.tfrecord")
    assert convert("train", *records, "--set", "training.epochs=1", "lstm.cells=4", "-o", tmp_path / "lstm") == 0
    assert json.loads((tmp_path / "lstm" / "sequence.json").read_text())["training"]["target"] == "last"


def test_equal_seeds_train_equal_sequence_models(work: Path, tmp_path: Path) -> None:
    records = (work / "train.tfrecord", "--validation", work / "validation.tfrecord", "--recipe", "default")
    sizes = ("--set", "training.epochs=2", "lstm.cells=4", "training.seed=5")
    for name in ("one", "other"):
        assert convert("train", *records, *sizes, "-o", tmp_path / name) == 0
    one, other = (np.load(tmp_path / name / "weights.npz") for name in ("one", "other"))
    assert all(np.allclose(one[name], other[name], atol=1e-5) for name in one.files)


@pytest.mark.parametrize(
    ("label", "error"), [({"label": ""}, "label = '' must be"), ("Beep", "classes.json: beep must be a table of keys and values")]
)
def test_an_invalid_class_name_keeps_the_existing_bundle(
    label: object, error: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {name: {"label": name} for name in LABELS} | {LABELS[0]: label}
    (tmp_path / "classes.json").write_text(json.dumps(names), encoding="utf-8")
    shutil.copytree(work / "bundle", tmp_path / "bundle")
    assert convert(*bundle_command(work, tmp_path / "bundle"), "--classes", tmp_path / "classes.json") != 0
    assert error in capsys.readouterr().err
    assert load_bundle(tmp_path / "bundle").manifest == load_bundle(work / "bundle").manifest


def test_a_damaged_bundle_is_reported_in_one_sentence(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for path in (work / "bundle").iterdir():
        (bundle / path.name).write_bytes(path.read_bytes())
    content = bytearray((bundle / "sequence.tflite").read_bytes())
    content[1_000] ^= 1
    (bundle / "sequence.tflite").write_bytes(content)
    assert convert("verify", bundle) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "sequence.tflite" in message


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("compose", "/nowhere", "-o", "x.tfrecord"), 2, "/nowhere is not a folder"),
        (("train", "/nowhere.tfrecord", "--validation", "/nowhere.tfrecord", "-o", "x"), 2, "does not exist"),
        (("export", "/nowhere", "-o", "x.tflite"), 2, "does not exist"),
        (("export-embedder", "/nowhere", "-o", "x.tflite"), 2, "does not exist"),
        (("verify", "/nowhere"), 1, "no bundle folder"),
        (("score", "/nowhere", "/nowhere"), 1, "no bundle folder"),
    ],
)
def test_a_missing_input_is_reported_in_one_sentence(
    arguments: Sequence[str], code: int, error: str, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    assert convert(*arguments) == code
    message = capsys.readouterr().err
    assert error in message
    assert message.count("\n") == 1
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        convert(command, "--help")
    assert exited.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_the_default_bundle_s_pages_match_its_manifest() -> None:
    shipped = load_bundle(DEFAULT_BUNDLE)
    sizes = {name: (DEFAULT_BUNDLE / name).stat().st_size for name in (EMBEDDER, SEQUENCE, PCA)}
    card = (DEFAULT_BUNDLE / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card == model_card(shipped.manifest)
    figures = (DEFAULT_BUNDLE / "EVALUATION.md").read_text(encoding="utf-8")
    assert figures == evaluation_page(shipped.manifest, sizes)
    assert "is the weighted mean in log-odds of the LSTM's" in figures
