"""train-embedder, through the command line: it goes on, begins anew, with another's weights, and averages."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.convert.tiny_recipe import convert, embedder_command

pytest.importorskip("tensorflow")


def test_layers_of_an_embedder_can_be_given(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lean = ("--steps", 2, "--layers", "4s,3x6p,8p", "--background", work / "clips")
    assert convert(*embedder_command(work / "clips", tmp_path / "lean", *lean)) == 0
    assert convert("export-embedder", tmp_path / "lean", "--windows", 5, "-o", tmp_path / "lean.tflite") == 0
    assert convert(*embedder_command(work / "clips", tmp_path / "wrong", "--steps", 1, "--layers", "4x")) == 2
    assert "is no list of layers" in capsys.readouterr().err


def test_training_goes_on_from_its_checkpoint(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = np.load(work / "embedder" / "checkpoint.npz")["step"]
    assert convert(*embedder_command(work / "clips", work / "again", "--steps", 2)) == 0
    assert convert(*embedder_command(work / "clips", work / "again", "--steps", 4)) == 0
    assert int(np.load(work / "again" / "checkpoint.npz")["step"]) == 4
    assert int(before) == 40
    capsys.readouterr()
    assert convert(*embedder_command(work / "clips", work / "again", "--steps", 4, "--folds", "1,3")) == 2
    assert "again holds a training begun with other clips and background; give --no-resume" in capsys.readouterr().err


def test_the_mean_of_two_trainings_lies_between_them(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ("--start", work / "embedder")
    for seed in (1, 2):
        assert convert(*embedder_command(work / "clips", tmp_path / f"{seed}", "--steps", 3, "--seed", seed, *start)) == 0
    both = ("--mean-of", tmp_path / "1", tmp_path / "2")
    assert convert(*embedder_command(work / "clips", tmp_path / "mean", *both, *start)) == 0
    first, second, mean = (np.load(tmp_path / name / "weights.npz")["embedding/kernel"] for name in ("1", "2", "mean"))
    assert not np.array_equal(first, second)
    assert np.allclose(mean, (first + second) / 2.0, atol=1e-3), "but for half precision"
    assert json.loads((tmp_path / "mean" / "embedder.json").read_text(encoding="utf-8"))["mean_of_seeds"] == [1, 2]
    capsys.readouterr()
    assert convert(*embedder_command(work / "clips", tmp_path / "other", *both)) == 2
    assert "1 holds a training begun with other start; average what was trained alike" in capsys.readouterr().err


def test_an_embedder_begins_with_what_another_has_learnt(work: Path, tmp_path: Path) -> None:
    before = np.load(work / "embedder" / "learnt.npz")
    more = ("--start", work / "embedder", "--no-masks", "--learning-rate", 1e-9)
    assert convert(*embedder_command(work / "clips", tmp_path / "on", "--steps", 1, *more)) == 0
    after = np.load(tmp_path / "on" / "checkpoint.npz")
    assert np.allclose(after["mean/conv0/kernel"], before["conv0/kernel"], atol=1e-6)
    assert not np.allclose(after["mean/classes/kernel"], before["classes/kernel"], atol=1e-3), "classes are its own"


def test_what_lacks_a_part_of_the_network_is_nothing_to_begin_with(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = tmp_path / "start"
    start.mkdir()
    (start / "embedder.json").write_bytes((work / "embedder" / "embedder.json").read_bytes())
    with np.load(work / "embedder" / "learnt.npz") as learnt:
        np.savez(start / "learnt.npz", **{name: learnt[name] for name in learnt.files if name != "hidden/kernel"})
    assert convert(*embedder_command(work / "clips", tmp_path / "on", "--steps", 1, "--start", start)) == 1
    assert "is not of a network of this shape" in capsys.readouterr().err


def test_an_embedder_can_learn_without_clips(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    background = tmp_path / "background"
    (background / "music").mkdir(parents=True)
    for clip in sorted((work / "clips" / "beep").iterdir()):
        (background / "music" / clip.name).write_bytes(clip.read_bytes())
    small = ("--width", 0.0625, "--batch", 8, "--precision", "float32", "--pca-windows", 300, "--steps", 2)
    assert convert("train-embedder", "--background", background, *small, "-o", tmp_path / "embedder") == 0
    facts = json.loads((tmp_path / "embedder" / "embedder.json").read_text(encoding="utf-8"))
    assert (facts["labels"], facts["folds"], facts["clips"]) == (["music"], [], 0)
    assert convert("train-embedder", *small, "-o", tmp_path / "nothing") == 2
    assert "nothing to learn from" in capsys.readouterr().err
    wrong = embedder_command(work / "clips", tmp_path / "wrong", "--steps", 1, "--layers", "8p,8p", "--start", work / "embedder")
    assert convert(*wrong) == 2
    assert "has the layers 0.0625, not 8p,8p" in capsys.readouterr().err


def test_hidden_layers_can_learn_by_muon_and_heads_never_do(work: Path, tmp_path: Path) -> None:
    for name in ("adam", "muon"):
        more = ("--start", work / "embedder", "--steps", 2, "--optimiser", name)
        assert convert(*embedder_command(work / "clips", tmp_path / name, *more)) == 0
    adam, muon = (np.load(tmp_path / name / "checkpoint.npz") for name in ("adam", "muon"))
    # Adam keeps a mean of squares of every gradient; what Muon teaches has none.
    assert {name for name in adam.files if name.startswith("second/") and not np.any(muon[name])} == {
        f"second/{layer}/kernel" for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "hidden", "embedding")
    }
