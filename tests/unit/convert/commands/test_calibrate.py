"""calibrate, from a bundle, clips and background to the thresholds of another bundle."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convert.commands import calibrate as command
from convert.evaluation.score_streams import Labelled
from convert.files import read_json, write_json
from edge_detector.detection.bundle import Bundle, load_bundle
from edge_detector.types import Float32
from tests.support.labelled_embedder import CLASSES, bundle_command
from tests.support.synthetic import LABELS, RATE_HZ, sound
from tests.support.tiny_recipe import convert

pytest.importorskip("tensorflow")

HOPS = ("0.96", "0.48", "0.24")
KINDS = ("speech", "animal_cat", "machine_car")


@pytest.fixture(scope="module")
def background(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("background")
    for number, (name, label) in enumerate(zip(KINDS, LABELS, strict=True)):
        (folder / name).mkdir()
        for take in range(2):
            samples = sound(label, 100 + number + take, 4.0)
            soundfile.write(folder / name / f"1-x_0000-{take:04d}.wav", samples, RATE_HZ, subtype="PCM_16")
    return folder


def calibrate(bundle: Path, background: Path, output: Path, *more: object) -> int:
    short = ("--set", "calibration.noise_minutes=0.2", "calibration.hours=1.2")
    return convert("calibrate", bundle, "--background", background, *more, "-o", output, *short)


def copied(bundle: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A bundle with another manifest."""
    folder.mkdir()
    for path in bundle.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = read_json(folder / "manifest.json")
    change(manifest)
    write_json(folder / "manifest.json", manifest)
    return folder


def of_folds(bundle: Path, folder: Path, *folds: int, part: str = "sequence") -> Path:
    """A bundle that says that one of its networks has learnt from these folds, and the other from none."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["name"] = folder.name
        for name in ("embedder", "sequence"):
            manifest["training"][name]["folds"] = list(folds) if name == part else []

    return copied(bundle, folder, change)


def test_every_class_gets_thresholds_at_each_hop_whatever_it_is_made_of(
    labelled: Path, background: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = tmp_path / "chosen.json"
    assert calibrate(labelled / "bundle", background, chosen, "--clips", labelled / "clips", "--folds", "1,2") == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + len(CLASSES) * len(HOPS)
    result = read_json(chosen)
    assert (result["clips"], result["folds"], result["held_out"]) == (12, [1, 2], False)
    assert set(result["hours"]) == {"speech", "animal", "machine", "synthetic noise"}
    assert set(result["classes"]) == set(CLASSES), "whistle and engine are made of labels alone; engine and hiss are off"
    for slug, hops in result["classes"].items():
        assert tuple(hops) == HOPS
        for found in hops.values():
            assert found["clips"] == (4 if slug in LABELS else 0)
            assert found["recall"] == (found["found"] / 4 if slug in LABELS else None)
            assert slug in LABELS or found["rule"]["on"] >= 0.3
    assert convert(*bundle_command(labelled, "fused", tmp_path / "calibrated", "--calibration", chosen)) == 0
    before, after = (load_bundle(folder).manifest for folder in (labelled / "bundle", tmp_path / "calibrated"))
    for old, new in zip(before.classes, after.classes, strict=True):
        wanted = [found["rule"]["on"] for found in result["classes"][new.slug].values()]
        assert [new.rules[hops].on for hops in (1, 2, 4)] == wanted
        assert new.enabled == old.enabled
    card = (tmp_path / "calibrated" / "EVALUATION.md").read_text(encoding="utf-8")
    assert "Chosen for the lowest cost, where missing all clips of a class costs 1" in card
    assert "trained without its fold" not in card


def test_a_bundle_of_labels_alone_is_calibrated_too_and_without_clips(labelled: Path, background: Path, tmp_path: Path) -> None:
    assert calibrate(labelled / "labels-bundle", background, tmp_path / "chosen.json") == 0
    result = read_json(tmp_path / "chosen.json")
    assert (result["clips"], result["folds"]) == (0, [])
    assert all(found["rule"]["on"] >= 0.3 for hops in result["classes"].values() for found in hops.values())


def test_the_less_other_sounds_cost_the_lower_are_all_thresholds(labelled: Path, background: Path, tmp_path: Path) -> None:
    on = []
    for cost in (1_000, 0.001):
        costs = ("--set", f"calibration.recordings_cost={cost}", f"calibration.hour_cost={cost}")
        assert calibrate(labelled / "bundle", background, tmp_path / "chosen.json", "--clips", labelled / "clips", *costs) == 0
        result = read_json(tmp_path / "chosen.json")
        assert result["costs"] == {"recordings": cost, "hour": cost}
        on.append([found["rule"]["on"] for hops in result["classes"].values() for found in hops.values()])
    assert all(dear >= cheap for dear, cheap in zip(*on, strict=True))
    assert sum(dear > cheap for dear, cheap in zip(*on, strict=True)) >= len(HOPS) * len(LABELS)


def test_clips_of_a_held_out_fold_run_through_the_bundle_trained_without_it(
    labelled: Path, background: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: Counter[str] = Counter()

    def finest_probabilities(bundle: Bundle) -> Callable[[Float32], Float32]:
        def probabilities(_samples: Float32) -> Float32:
            given[bundle.manifest.name] += 1
            return np.full((42, len(CLASSES)), 0.2 if bundle.manifest.name == "bundle" else 0.9, np.float32)

        return probabilities

    monkeypatch.setattr(command, "networks_of", lambda bundle, _classes: bundle)
    monkeypatch.setattr(command, "finest_probabilities", finest_probabilities)
    monkeypatch.setattr(
        command, "labelled_by", lambda bundle, _: lambda samples: Labelled(finest_probabilities(bundle)(samples), None)
    )
    second, third = (of_folds(labelled / "bundle", tmp_path / f"without-{fold}", 1, 5 - fold) for fold in (2, 3))
    told = ("--clips", labelled / "clips", "--held-out", f"2={second}", f"3={third}")
    assert calibrate(labelled / "bundle", background, tmp_path / "chosen.json", *told) == 0
    of_bundle = {"speech at two levels": 2, "recordings": 4, "noise": 1}
    assert given == {"without-2": 6, "without-3": 6, "bundle": sum(of_bundle.values())}, f"the bundle is given {of_bundle}"
    result = read_json(tmp_path / "chosen.json")
    assert (result["clips"], result["folds"], result["held_out"]) == (12, [2, 3], True)
    assert {found["recall"] for slug in LABELS for found in result["classes"][slug].values()} == {1.0}
    monkeypatch.undo()
    more = ("--calibration", tmp_path / "chosen.json")
    assert convert(*bundle_command(labelled, "fused", tmp_path / "calibrated", *more)) == 0
    card = (tmp_path / "calibrated" / "EVALUATION.md").read_text(encoding="utf-8")
    assert "the clips, each with a sequence model of the same recipe that was trained without its fold" in card


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (("2={bundle}",), "was trained on fold 2; name a bundle trained without it, or leave --held-out out"),
        (("1={free}", "3={embedder}"), "was trained on fold 3; name a bundle trained without it"),
        (("1={free}", "2={others}"), "has other classes than"),
        (("1={free}", "9={free}"), "has no clip of fold 9"),
        (("1=nowhere",), "nowhere"),
    ],
)
def test_a_bundle_trained_on_the_fold_or_with_other_classes_is_refused_first(
    labelled: Path, told: tuple[str, ...], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles = {
        "bundle": labelled / "bundle",
        "others": labelled / "labels-bundle",
        "free": of_folds(labelled / "bundle", tmp_path / "free"),
        "embedder": of_folds(labelled / "bundle", tmp_path / "embedder", 3, part="embedder"),
    }
    held_out = [text.format(**bundles) for text in told]
    more = ("--clips", labelled / "clips", "--held-out", *held_out)
    assert calibrate(labelled / "bundle", tmp_path / "no background", tmp_path / "chosen.json", *more) != 0
    *_, message = capsys.readouterr().err.splitlines()
    assert what in message
    assert not (tmp_path / "chosen.json").exists()


def test_held_out_needs_clips(labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(labelled / "bundle", tmp_path, tmp_path / "chosen.json", "--held-out", "1=anything") == 2
    assert "--held-out needs clips; give --clips DIR too" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["3", "=bundle", "three=bundle", "3="])
def test_a_fold_and_its_bundle_are_written_with_an_equals_sign(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        convert("calibrate", "bundle", "--background", "some", "--held-out", text, "-o", "chosen.json")
    assert f"{text!r} is not FOLD=BUNDLE, such as 3=build/recipe/3/draft" in capsys.readouterr().err


def test_folds_are_chosen_or_held_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        convert("calibrate", "bundle", "--background", "some", "--folds", "1", "--held-out", "2=other", "-o", "chosen.json")
    assert "argument --held-out: not allowed with argument --folds" in capsys.readouterr().err
