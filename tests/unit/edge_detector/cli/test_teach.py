"""teach: from a folder of recordings to a bundle that detects them beside the classes of another bundle."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_detector.cli.main import main
from edge_detector.detection.bundle import EMBEDDER, PCA, SEQUENCE, load_bundle
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.streams import codes_of, outputs_of
from edge_detector.types import Float32
from tests.support.synthetic import LABELS, RATE_HZ, sound, write_recordings

SLUGS = tuple(f"{label}_of_the_oven" for label in LABELS)


def teach(*arguments: object) -> int:
    return main(["teach", *map(str, arguments)])


def outputs(bundle: Path) -> Float32:
    """Every output of a bundle on half a minute of beeps."""
    networks = networks_of(load_bundle(bundle))
    return outputs_of(networks, codes_of(networks, np.concatenate([sound("beep", seed, 5.0) for seed in range(6)])))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings, half a minute of room noise, and the bundle."""
    folder = tmp_path_factory.mktemp("teach")
    write_recordings(folder / "sounds")
    # A beep may be shorter than a window.
    soundfile.write(folder / "sounds" / "Beep of the oven" / "take 0.wav", sound("beep", 0, 0.8), RATE_HZ)
    (folder / "sounds" / "background").mkdir()
    noise = 0.001 * np.random.default_rng(0).standard_normal(30 * RATE_HZ)
    soundfile.write(folder / "sounds" / "background" / "evening.wav", noise, RATE_HZ)
    assert teach(folder / "sounds", "-o", folder / "my.bundle") == 0
    return folder


def test_the_new_classes_follow_the_kept_ones(made: Path) -> None:
    shipped, extended = load_bundle(DEFAULT_BUNDLE).manifest, load_bundle(made / "my.bundle").manifest
    assert extended.classes[: len(shipped.classes)] == shipped.classes
    assert tuple(each.slug for each in extended.classes[len(shipped.classes) :]) == SLUGS
    assert extended.classes[-1].label == "Thump of the oven"
    assert extended.name == "my.bundle"


def test_the_networks_and_the_probabilities_of_kept_classes_are_equal_to_the_bit(made: Path) -> None:
    for name in (EMBEDDER, SEQUENCE, PCA):
        assert (made / "my.bundle" / name).read_bytes() == (DEFAULT_BUNDLE / name).read_bytes()
    shipped = outputs(DEFAULT_BUNDLE)
    assert np.array_equal(outputs(made / "my.bundle")[:, : shipped.shape[1]], shipped)


def test_the_service_detects_a_taught_sound(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "unseen.wav", np.concatenate([np.zeros(2 * RATE_HZ), sound("beep", 77, 4.0)]), RATE_HZ)
    assert main(["listen", str(tmp_path / "unseen.wav"), "--bundle", str(made / "my.bundle"), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["slug"] for line in lines if line.get("event_type") == "start"] == ["beep_of_the_oven"]
    probabilities = next(line["probabilities"] for line in lines if line["type"] == "probabilities")
    assert set(SLUGS) < set(probabilities)


def test_the_list_of_classes_names_what_was_taught(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classes", "--search", "oven", "--bundle", str(made / "my.bundle")]) == 0
    shown = capsys.readouterr().out
    assert shown.count("taught from recordings") == 3
    assert "untested" not in shown
    assert main(["classes", "--search", "beep of", "--bundle", str(made / "my.bundle"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["taught"] == "beep_of_the_oven"


def test_the_card_describes_training_and_evaluation(made: Path) -> None:
    manifest = load_bundle(made / "my.bundle").manifest
    figures = manifest.evaluation["taught"]
    assert isinstance(figures, dict)
    assert figures["recordings"] == 12
    card = (made / "my.bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Each recording was left out once" in card
    assert "Few recordings: beep_of_the_oven (4)" in card
    assert "h of own background" in card
    assert (DEFAULT_BUNDLE / "MODEL_CARD.md").read_text(encoding="utf-8") in card


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
    assert manifest.named_outputs.taught == ("hiss", "rain")


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
    before = outputs(made / "my.bundle")
    assert np.array_equal(outputs(made / "again")[:, : before.shape[1]], before)
    facts = second.training["taught"]
    assert isinstance(facts, list)
    assert [list(each["recordings"]) for each in facts] == [list(SLUGS), ["kettle"]]


def test_a_folder_that_is_no_bundle_is_not_replaced(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert teach(made / "sounds", "-o", made / "sounds") == 2
    assert "is no bundle" in capsys.readouterr().err
    assert (made / "sounds" / "background" / "evening.wav").exists()


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


def test_the_room_alone_is_too_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "background").mkdir()
    soundfile.write(tmp_path / "background" / "room.wav", sound("hiss", 1), RATE_HZ)
    assert teach(tmp_path, "-o", tmp_path / "bundle") == 2
    assert "has recordings of the room only; record a sound too: edge-detector record NAME" in capsys.readouterr().err


def test_progress_in_a_log_names_the_stage(made: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_detector", "teach", str(made / "sounds"), "--json", "-o", str(tmp_path / "bundle")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "teach 5/5  write the bundle: 1 of 1" in result.stderr
    assert json.loads(result.stdout)["bundle"] == str(tmp_path / "bundle")


def test_the_same_recordings_give_the_same_classifier(made: Path, tmp_path: Path) -> None:
    assert teach(made / "sounds", "-o", tmp_path / "bundle") == 0
    assert (tmp_path / "bundle" / "taught.npz").read_bytes() == (made / "my.bundle" / "taught.npz").read_bytes()


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
        (("sounds", "--negatives", "/nowhere", "-o", "x"), 2, "/nowhere cannot be read"),
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


def test_chosen_classes_are_taught_with_what_is_not_them_and_the_rest_is_sound_without_them(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = tmp_path / "sounds"
    shutil.copytree(made / "sounds", sounds)
    shutil.copytree(sounds / "Thump of the oven", sounds / "not" / SLUGS[1])
    assert teach(sounds, "--classes", "Hiss of the oven", "-o", tmp_path / "bundle", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["recordings"]) == [SLUGS[1]]
    assert result["wrong"] == {SLUGS[1]: 4}
    assert result["thresholds"]["hours"].keys() == {"synthetic noise", "own background", "speech and music", "other sound"}
    alarms = result["thresholds"]["chosen"][SLUGS[1]]["1"]["false_alarms"]["sound that is not it"]
    assert any(f"not {SLUGS[1]} still give events of it: {alarms} in 4" in limit for limit in result["limits"]) == (alarms > 0)
    assert np.array_equal(outputs(tmp_path / "bundle")[:, : outputs(DEFAULT_BUNDLE).shape[1]], outputs(DEFAULT_BUNDLE))


def test_recordings_that_are_directly_in_the_folder_of_what_is_not_a_class_are_unused(made: Path, tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    shutil.copytree(made / "sounds", sounds)
    (sounds / "not").mkdir()
    shutil.copy(sounds / "background" / "evening.wav", sounds / "not")
    assert teach(sounds, "-o", tmp_path / "bundle") == 0
    assert (tmp_path / "bundle" / "taught.npz").read_bytes() == (made / "my.bundle" / "taught.npz").read_bytes()
