"""From a folder of somebody's recordings to a bundle that the detector hears with, as the README has it."""

import shlex
import shutil
from pathlib import Path

import pytest

from convert.__main__ import main
from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.files import read_json
from convert.records.files import write_dataset
from edge_detector.cli.main import main as edge_detector
from edge_detector.detection.bundle import load_bundle
from tests.support.synthetic import EXAMPLE_LABELS, LABELS, examples, write_recordings

pytest.importorskip("tensorflow")

STEPS = (
    "compose sounds --part train --set mixtures.sequences=2000 -o work/train.tfrecord",
    "compose sounds --part validation --set mixtures.sequences=300 -o work/validation.tfrecord",
    "train work/train.tfrecord --validation work/validation.tfrecord --recipe default -o work/lstm",
    "export work/lstm",
    "bundle work/lstm -o my-sounds",
)
SHORTER = {"mixtures.sequences=2000": "mixtures.sequences=60", "mixtures.sequences=300": "mixtures.sequences=20"}


def convert(command: str) -> int:
    words = [SHORTER.get(word, word) for word in shlex.split(command)]
    if words[0] == "train":
        words[-1:] = [words[-1], "--set", "lstm.cells=8", "training.epochs=3"]
    return main(words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which somebody gave the commands."""
    folder = tmp_path_factory.mktemp("newcomer")
    write_recordings(folder / "sounds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert [convert(step) for step in STEPS] == [0] * len(STEPS)
    return folder


def test_the_detector_hears_with_it(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = next((made / "sounds").glob("*/*.wav"))
    assert edge_detector(["listen", str(recording), "--bundle", str(made / "my-sounds")]) == 0
    heard = capsys.readouterr().out
    assert "Beep of the oven" in heard


def test_a_model_that_was_trained_again_must_be_exported_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert convert(f"{STEPS[2]} --no-resume --set training.seed=7") == 0
    assert convert(STEPS[4]) == 2
    assert "was not exported from the weights in work/lstm; run export again" in capsys.readouterr().err


def test_its_classes_are_called_as_the_folders_are(made: Path) -> None:
    classes = load_bundle(made / "my-sounds").manifest.classes
    assert [(sound.slug, sound.label) for sound in classes] == [
        ("beep_of_the_oven", "Beep of the oven"),
        ("hiss_of_the_oven", "Hiss of the oven"),
        ("thump_of_the_oven", "Thump of the oven"),
    ]
    assert len(classes) == len(LABELS)


def test_it_hears_through_the_embedder_that_ships_and_says_whose_that_is(made: Path) -> None:
    shipped, own = load_bundle(DEFAULT_BUNDLE), load_bundle(made / "my-sounds")
    assert own.embedder == shipped.embedder
    card = (made / "my-sounds" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"The embedder is that of the bundle default {shipped.manifest.version}" in card
    assert "K. J. Piczak" in card, "its credits come along"
    assert "Thresholds are not calibrated" in card


def test_audiosets_names_go_from_the_csv_into_model_predictions_and_bundle(tmp_path: Path) -> None:
    names = tmp_path / "class_labels_indices.csv"
    names.write_text('index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n2,/m/0bt9lr,"Dog"\n')
    records = tmp_path / "released.tfrecord"
    write_dataset(records, examples(30), EXAMPLE_LABELS)
    records.with_name("released.tfrecord.json").unlink()
    train = (
        "train",
        records,
        "--classes",
        names,
        "--set",
        "model=frame-logistic",
        "training.epochs=1",
        "-o",
        tmp_path / "model",
    )
    commands = (
        train,
        ("export", tmp_path / "model"),
        ("infer", tmp_path / "model", records, "--names", "--top-k", 1, "-o", tmp_path / "out.csv"),
        ("bundle", tmp_path / "model", "-o", tmp_path / "bundle"),
    )
    assert [main([str(word) for word in command]) for command in commands] == [0] * len(commands)
    classes = load_bundle(tmp_path / "bundle").manifest.classes
    assert [(sound.slug, sound.label, sound.mid) for sound in classes] == [
        ("speech", "Speech", "/m/09x0r"),
        ("male_speech_man_speaking", "Male speech, man speaking", "/m/05zppz"),
        ("dog", "Dog", "/m/0bt9lr"),
    ]
    best = {line.split(",")[1].split(" ")[0] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]}
    assert best <= {sound.slug for sound in classes}


def test_a_model_that_learnt_from_another_embedders_records_is_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "lstm"
    other.mkdir()
    for path in (made / "work" / "lstm").glob("se*"):
        (other / path.name).write_bytes(path.read_bytes())
    facts = other / "sequence.json"
    embedder = read_json(facts)["made_of"]["embedder"]
    facts.write_text(facts.read_text(encoding="utf-8").replace(embedder, 64 * "0"), encoding="utf-8")
    assert main(["bundle", str(other), "-o", str(tmp_path / "bundle")]) == 2
    message = capsys.readouterr().err
    assert "lstm is of the embedder " in message
    assert "embed the recordings with this embedder and train on them, or name the other embedder" in message
    assert not (tmp_path / "bundle").exists()
