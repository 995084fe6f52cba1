"""teach: from a folder of recordings to a bundle that detects them besides the classes of another bundle."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convert.__main__ import main
from convert.commands.teach import DEFAULT_NEGATIVES
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.records.files import find_embedder, read_classes
from convert.records.identity import embedder_id
from convert.sequence.probe_codes import stream_codes
from convert.sequence.steps import Step
from edge_detector.cli.main import main as edge_detector
from edge_detector.detection.bundle import load_bundle
from tests.support.synthetic import LABELS, RATE_HZ, sound, write_recordings

pytest.importorskip("tensorflow")

SHORTER = ("--set", "few_shot.sequences=60", "few_shot.epochs=3", "few_shot.parts=2", "few_shot.noise_minutes=1.0")
SLUGS = tuple(f"{label}_of_the_oven" for label in LABELS)


def teach(*arguments: object) -> int:
    return main(["teach", *map(str, (*arguments, *SHORTER))])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings, half a minute of room noise, and the bundle."""
    folder = tmp_path_factory.mktemp("teach")
    write_recordings(folder / "sounds")
    # A beep may be shorter than a window.
    soundfile.write(folder / "sounds" / "Beep of the oven" / "take 0.wav", sound("beep", 0, 0.8), RATE_HZ)
    (folder / "room").mkdir()
    noise = 0.001 * np.random.default_rng(0).standard_normal(30 * RATE_HZ)
    soundfile.write(folder / "room" / "evening.wav", noise, RATE_HZ)
    assert teach(folder / "sounds", "--background", folder / "room", "-o", folder / "my.bundle") == 0
    return folder


def test_the_new_classes_follow_the_kept_ones(made: Path) -> None:
    shipped, extended = load_bundle(DEFAULT_BUNDLE).manifest, load_bundle(made / "my.bundle").manifest
    assert extended.classes[: len(shipped.classes)] == shipped.classes
    assert tuple(each.slug for each in extended.classes[len(shipped.classes) :]) == SLUGS
    assert extended.classes[-1].label == "Thump of the oven"
    assert extended.name == "my.bundle"


def test_the_probabilities_of_kept_classes_are_equal_to_the_bit(made: Path) -> None:
    shipped, extended = (Step.of_bundle(load_bundle(folder)) for folder in (DEFAULT_BUNDLE, made / "my.bundle"))
    codes = stream_codes(40, 1)
    assert np.array_equal(extended.in_a_bank(10, codes)[:, : shipped.classes], shipped.in_a_bank(10, codes))


def test_the_detector_runs_the_bundle(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = next((made / "sounds").glob("*/*.wav"))
    assert edge_detector(["listen", str(recording), "--bundle", str(made / "my.bundle"), "--json"]) == 0
    (line, *_) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "probabilities" in line)
    assert set(SLUGS) < set(line["probabilities"])
    assert main(["verify", str(made / "my.bundle")]) == 0


def test_the_model_card_describes_training_and_evaluation(made: Path) -> None:
    manifest = load_bundle(made / "my.bundle").manifest
    assert manifest.evaluation["clips"] == 12
    card = (made / "my.bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Each recording of the new classes was left out once" in card
    assert "Trained on few recordings: beep_of_the_oven (4)" in card
    assert "minutes of the user's background" in card
    assert "thresholds of the classes kept from default " in card
    assert "ESC-10" in card, "the credits of the extended bundle are kept"


@pytest.fixture(scope="module")
def alone(made: Path) -> Path:
    """A bundle of new classes alone, one with the slug of a class that ships."""
    shutil.copytree(made / "sounds" / "Beep of the oven", made / "few" / "rain")
    shutil.copytree(made / "sounds" / "Hiss of the oven", made / "few" / "hiss")
    assert teach(made / "few", "--only", "-o", made / "alone") == 0
    return made / "alone"


def test_only_leaves_the_new_classes(alone: Path) -> None:
    manifest = load_bundle(alone).manifest
    assert [each.slug for each in manifest.classes] == ["hiss", "rain"]
    assert [state.name for state in manifest.sequence.states] == ["h0", "c0"]


def test_a_new_class_replaces_the_class_of_its_slug(made: Path, alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = load_bundle(DEFAULT_BUNDLE).manifest.classes
    assert teach(alone.parent / "few", "-o", made / "replaced", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["replaced"] == ["rain"]
    assert result["kept"] == [each.slug for each in shipped if each.slug != "rain"]
    classes = load_bundle(made / "replaced").manifest.classes
    assert [each.slug for each in classes] == [*result["kept"], "hiss", "rain"]
    assert classes[-1].mid == next(each.mid for each in shipped if each.slug == "rain")


def test_a_bundle_with_new_classes_can_be_extended_again(made: Path) -> None:
    one = made / "one"
    shutil.copytree(made / "sounds" / "Hiss of the oven", one / "kettle")
    assert teach(one, "--from", made / "my.bundle", "-o", made / "again") == 0
    first, second = (load_bundle(made / name).manifest for name in ("my.bundle", "again"))
    assert [each.slug for each in second.classes] == [*(each.slug for each in first.classes), "kettle"]


def test_the_shipped_negatives_are_of_the_shipped_embedder() -> None:
    shipped = load_bundle(DEFAULT_BUNDLE)
    negatives, own = (
        embedder_id(made_of or {}) for made_of in (find_embedder(DEFAULT_NEGATIVES), CodeEmbedder.of_bundle(shipped).made_of)
    )
    assert negatives is not None
    assert own is not None
    assert negatives.digest == own.digest
    assert tuple(each.slug for each in read_classes(DEFAULT_NEGATIVES)) == shipped.manifest.named_outputs.sequence


def test_a_folder_that_is_no_bundle_is_not_replaced(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert teach(made / "sounds", "-o", made / "room") == 2
    assert "is no bundle" in capsys.readouterr().err
    assert (made / "room" / "evening.wav").exists()


def test_too_few_recordings_are_rejected_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sounds" / "beep").mkdir(parents=True)
    soundfile.write(tmp_path / "sounds" / "beep" / "1.wav", sound("beep", 1), RATE_HZ)
    assert teach(tmp_path / "sounds", "-o", tmp_path / "bundle") == 2
    assert "has 1 recordings of beep; teach needs 3" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_takes_of_one_original_are_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sounds" / "beep").mkdir(parents=True)
    for take in range(4):
        soundfile.write(tmp_path / "sounds" / "beep" / f"1-beep-{take}.wav", sound("beep", take), RATE_HZ)
    assert teach(tmp_path / "sounds", "-o", tmp_path / "bundle") == 2
    assert "4 recordings of beep, by their names (FOLD-ORIGINAL-TAKE) of 1 originals only" in capsys.readouterr().err


def test_negatives_of_another_embedder_are_rejected(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for end in ("", ".json"):
        shutil.copy(f"{DEFAULT_NEGATIVES}{end}", tmp_path / f"other.tfrecord{end}")
    facts = tmp_path / "other.tfrecord.json"
    facts.write_text(facts.read_text().replace('"embedder": "', '"embedder": "0'))
    assert teach(made / "sounds", "--negatives", tmp_path / "other.tfrecord", "-o", tmp_path / "bundle") == 2
    message = capsys.readouterr().err
    assert "other.tfrecord is of the embedder " in message
    assert message.endswith("; make the records with embed --bundle, or leave them out\n")


@pytest.fixture
def among_recordings(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder is the one with the recordings."""
    monkeypatch.chdir(made)


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("/nowhere", "-o", "x"), 2, "/nowhere is not a folder"),
        (("sounds", "--from", "/nowhere", "-o", "x"), 1, "no bundle folder"),
        (("sounds", "--background", "/nowhere", "-o", "x"), 2, "holds no recordings"),
        (("sounds", "--set", "few_shot.cells=0", "-o", "x"), 2, "cells must be above 0"),
    ],
)
@pytest.mark.usefixtures("among_recordings")
def test_missing_input_is_one_sentence(
    arguments: Sequence[str], code: int, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert teach(*arguments) == code
    message = capsys.readouterr().err
    assert what in message
    assert message.count("\n") == 1
