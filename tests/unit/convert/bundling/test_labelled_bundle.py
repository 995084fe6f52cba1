"""Bundles that compute AudioSet's labels: classes of labels, of trained outputs and of both, enabled or not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.files import read_json
from convert.records.files import write_dataset
from convert.sequence.probe_codes import stream_codes
from convert.sequence.steps import Step
from edge_detector.cli.main import main as edge_detector
from edge_detector.detection.bundle import EMBEDDER, SEQUENCE, Evidence, Outputs, load_bundle
from edge_detector.detection.classes import UNTESTED_RULE
from tests.support.labelled_embedder import AUDIOSET, CLASSES, NAMES, bundle_command, made_readout
from tests.support.synthetic import EXAMPLE_LABELS, LABELS, RATE_HZ, examples, sound
from tests.support.tiny_recipe import convert

pytest.importorskip("tensorflow")

CODES = stream_codes(40, seed=4)


def with_classes(folder: Path, output: Path, changes: dict[str, dict[str, Any]]) -> int:
    """`bundle` again, of classes that differ in this."""
    path = output.with_name(f"{output.name}.json")
    path.write_text(json.dumps({slug: about | changes.get(slug, {}) for slug, about in CLASSES.items()}), encoding="utf-8")
    return convert(*bundle_command(folder, "fused", output, "--classes", path))


def in_a_bank(bundle: Path) -> Any:  # noqa: ANN401 - an array
    return Step.of_bundle(load_bundle(bundle)).in_a_bank(4, CODES)


def test_the_outputs_are_the_labels_and_then_the_trained_classes(labelled: Path) -> None:
    assert load_bundle(labelled / "bundle").manifest.outputs == Outputs(AUDIOSET, LABELS)
    assert load_bundle(labelled / "labels-bundle").manifest.outputs == Outputs(AUDIOSET, ())


def test_a_class_is_made_of_its_trained_output_or_else_of_labels(labelled: Path) -> None:
    classes = {sound.slug: sound for sound in load_bundle(labelled / "bundle").manifest.classes}
    assert {slug: (each.output, each.audioset) for slug, each in classes.items()} == {
        "beep": ("beep", ("Beep, bleep",)),
        "hiss": ("hiss", ()),
        "thump": ("thump", ("Thump, thud", "Knock")),
        "whistle": (None, ("Whistle", "Hiss")),
        "engine": (None, ("Engine",)),
    }
    assert [slug for slug, each in classes.items() if not each.enabled] == ["hiss", "engine"]
    assert [each.class_list for each in classes.values()] == [1, 1, 1, 2, 2]
    rule = classes["whistle"].rules[1]
    assert (rule.on, rule.off) == (UNTESTED_RULE.on, UNTESTED_RULE.off)


def test_the_detector_gives_a_class_of_labels_the_highest_of_them(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = next((labelled / "clips" / "beep").glob("*.wav"))
    samples, _ = soundfile.read(recording, dtype="float32")
    codes = CodeEmbedder.load(labelled / "embedder" / EMBEDDER).codes(samples)
    read_out = made_readout().probabilities(codes)
    for name in ("bundle", "labels-bundle"):
        assert edge_detector(["listen", str(recording), "--bundle", str(labelled / name), "--json"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        found = [line["probabilities"] for line in lines if line["type"] == "probabilities"]
        assert set(found[0]) == {"beep", "thump", "whistle"}, "classes that are off are not computed"
        wanted = read_out[:, [NAMES.index("Whistle"), NAMES.index("Hiss")]].max(axis=1)
        assert [each["whistle"] for each in found[: len(wanted)]] == pytest.approx(wanted.tolist(), abs=1e-3)


def test_the_bundle_names_its_embedder_and_that_of_its_sequence_model(labelled: Path) -> None:
    for name in ("bundle", "labels-bundle"):
        manifest = load_bundle(labelled / name).manifest
        assert manifest.embedder is not None
        assert manifest.embedder.name == "made-body"
        assert manifest.sequence.embedder == manifest.embedder
        assert "made-body" in (labelled / name / "EVALUATION.md").read_text(encoding="utf-8")
    assert load_bundle(labelled / "labels-bundle").manifest.sequence.kind == "readout"


def test_the_card_lists_every_class_with_what_it_is_made_of(labelled: Path) -> None:
    card = (labelled / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "It outputs 6 AudioSet labels and 3 outputs of a trained sequence model." in card
    assert "| `thump` | Thump | Thump, thud; Knock | see below |" in card
    assert "`engine`" in card.split("Off until the configuration enables them: ")[1]
    figures = (labelled / "bundle" / "EVALUATION.md").read_text(encoding="utf-8")
    assert "| `thump` | Thump | Thump, thud; Knock | yes | yes |" in figures
    assert "| `engine` | Engine | Engine | no | no | 0.30 | AudioSet read-out, not tested |" in figures
    assert "The probability of beep, thump is the weighted mean in log-odds of the LSTM's and, with weight 0.3" in figures


def test_both_bundles_are_what_the_detector_runs(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, sequence in (("bundle", "fused"), ("labels-bundle", "readout")):
        assert convert("verify", labelled / name, "--sequence-source", labelled / sequence, "--json") == 0
        result = json.loads(capsys.readouterr().out)
        assert result["detector"]["passed"]
        assert result["sequence"]["largest_difference_bank"] <= 1e-5


def test_a_bundle_s_embedder_and_its_name_go_on_into_another(labelled: Path, tmp_path: Path) -> None:
    lent = ("--embedder", labelled / "bundle", "--classes", labelled / "classes.json")
    assert convert("bundle", labelled / "fused", *lent, "-o", tmp_path / "other") == 0
    first, other = (load_bundle(folder).manifest for folder in (labelled / "bundle", tmp_path / "other"))
    assert (other.embedder, other.classes, other.outputs) == (first.embedder, first.classes, first.outputs)


def test_the_embedder_of_a_bundle_with_names_makes_the_same_records_as_its_file(labelled: Path, tmp_path: Path) -> None:
    assert convert("embed", labelled / "clips", "--embedder", labelled / "bundle", "-o", tmp_path / "whole.tfrecord") == 0
    assert (tmp_path / "whole.tfrecord").read_bytes() == (labelled / "whole.tfrecord").read_bytes()
    one, other = (read_json(folder / "whole.tfrecord.json")["made_of"] for folder in (tmp_path, labelled))
    assert one == other


def test_evidence_in_the_file_of_classes_goes_into_the_manifest_and_the_card(labelled: Path, tmp_path: Path) -> None:
    evidence = {"originals": 8, "clips": 32, "found": 30, "others": 1_150, "false": 12}
    assert with_classes(labelled, tmp_path / "bundle", {"whistle": {"evidence": evidence}}) == 0
    classes = {sound.slug: sound for sound in load_bundle(tmp_path / "bundle").manifest.classes}
    assert classes["whistle"].evidence == Evidence(8, 32, 30, 1_150, 12)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "found 30 of 32 clips of 8 originals; false in 12 of 1150 other recordings" in card


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            ("whistle", {"audioset": ["Whistling"]}),
            "whistle is made of 'Whistling', which is no AudioSet label; check its spelling",
        ),
        (("whistle", {"audioset": []}), 'whistle has neither an output of the sequence model nor labels; give it "audioset"'),
        (("whistle", {"audioset": "Whistle"}), "whistle: audioset must be a list, not 'Whistle'"),
        (("engine", {"class_list": "two"}), "engine: class_list must be a whole number, not 'two'"),
        (
            ("engine", {"evidence": {"clips": 3}}),
            "engine: evidence: the key 'originals' is missing",
        ),
    ],
)
def test_a_wrong_class_entry_is_one_sentence(
    labelled: Path, tmp_path: Path, change: tuple[str, dict[str, Any]], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_classes(labelled, tmp_path / "bundle", dict([change])) == 2
    message = capsys.readouterr().err
    assert what in message
    assert message.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


def test_a_read_out_alone_needs_classes(labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = (labelled / "readout", "--embedder", labelled / "embedder" / EMBEDDER)
    assert convert("bundle", *parts, "-o", tmp_path / "bundle") == 2
    said = "there is no class to detect; name some, with the AudioSet labels of each, in --classes FILE"
    assert said in capsys.readouterr().err


def test_score_counts_enabled_classes_only(labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(labelled / "clips" / "beep", tmp_path / "clips" / "beep")
    shutil.copytree(labelled / "clips" / "thump", tmp_path / "clips" / "thump")
    assert convert("score", labelled / "bundle", tmp_path / "clips", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["labels"] == ["beep", "thump", "whistle"]
    assert result["learnt_from_folds"] == [1, 2, 3], "those of the sequence model"
    assert result["clips"] == 12


def test_eval_and_infer_use_the_trained_classes_of_a_fused_model(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = labelled / "whole.tfrecord"
    assert convert("eval", labelled / "fused", records, "--json") == 0
    assert json.loads(capsys.readouterr().out)["classes"] == len(LABELS)
    assert convert("infer", labelled / "fused", records, "--names", "-o", tmp_path / "out.csv") == 0
    rows = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert {word for row in rows for word in row.split(",")[1].split(" ")[::2]} == set(LABELS)
    capsys.readouterr()
    for command in (("eval", labelled / "readout", records), ("infer", labelled / "readout", records, "-o", tmp_path / "x.csv")):
        assert convert(*command) == 2
        assert "holds a read-out of AudioSet's labels and no trained class" in capsys.readouterr().err


@pytest.fixture(scope="module")
def taught(labelled: Path) -> Path:
    """Both bundles with sounds of one's own beside what they detected; one of them is called as a class of labels."""
    own = labelled / "own"
    (own / "kettle").mkdir(parents=True)
    for take in range(3):
        soundfile.write(own / "kettle" / f"{take}.wav", sound("hiss", 70 + take), RATE_HZ)
    for name, more in (("labels-bundle", None), ("bundle", "engine")):
        if more is not None:
            shutil.copytree(labelled / "clips" / "thump", own / more)
        assert convert("teach", own, "--from", labelled / name, "-o", labelled / f"taught-{name}") == 0
    return labelled


@pytest.mark.parametrize(("name", "new"), [("bundle", ("engine", "kettle")), ("labels-bundle", ("kettle",))])
def test_teaching_keeps_the_networks_and_appends_outputs(taught: Path, name: str, new: tuple[str, ...]) -> None:
    before, after = in_a_bank(taught / name), in_a_bank(taught / f"taught-{name}")
    assert np.array_equal(after, before)
    old, now = (load_bundle(taught / each).manifest for each in (name, f"taught-{name}"))
    assert now.named_outputs == replace(old.named_outputs, taught=new)
    assert now.embedder == old.embedder
    assert [sound for sound in now.classes if sound.slug not in new] == [sound for sound in old.classes if sound.slug not in new]
    assert convert("verify", taught / f"taught-{name}") == 0


def test_a_taught_class_takes_the_place_of_one_that_labels_made(taught: Path) -> None:
    manifest = load_bundle(taught / "taught-bundle").manifest
    assert [sound.slug for sound in manifest.classes] == ["beep", "hiss", "thump", "whistle", "engine", "kettle"]
    engine = manifest.classes[-2]
    assert (engine.label, engine.mid, engine.taught, engine.audioset) == ("Engine", "/m/02mk9", "engine", ())
    assert engine.enabled, "whoever teaches a sound wants it detected"


def test_a_bundle_before_there_were_labels_goes_on_without_them(tmp_path: Path) -> None:
    records = tmp_path / "old.tfrecord"
    write_dataset(records, examples(20), EXAMPLE_LABELS)
    commands = (
        ("train", records, "--set", "model=frame-logistic", "training.epochs=1", "-o", tmp_path / "model"),
        ("export", tmp_path / "model"),
        ("bundle", tmp_path / "model", "--embedder", DEFAULT_BUNDLE, "-o", tmp_path / "bundle"),
    )
    assert [convert(*command) for command in commands] == [0, 0, 0]
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert manifest.named_outputs == Outputs((), EXAMPLE_LABELS)
    assert [(sound.slug, sound.output, sound.audioset) for sound in manifest.classes] == [(x, None, ()) for x in EXAMPLE_LABELS]
    assert (tmp_path / "bundle" / SEQUENCE).stat().st_size > 0
