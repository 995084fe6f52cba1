"""The recipes' own commands: each is one that convert understands, and is given files that a step before it made."""

import importlib
import itertools
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import convert
from convert.__main__ import main

ROOT = Path(convert.__file__).parent.parent
RECIPES = Path(convert.__file__).parent / "recipes"
WRITES = ("-o", ">", "--picture")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(recipe: str, work: Path) -> list[list[str]]:
    """What a recipe would run of convert, where nothing is made but the embedder."""
    (work / "embedder.tflite").touch()
    places = {
        "PYTHON": "python",
        "DATA": work / "data",
        "WORK": work / "work",
        "BACKGROUND": work / "background",
        "EMBEDDER": work / "embedder.tflite",
        "OUTPUT": work / "work" / "bundle",
        "OTHERS": work / "data" / "check",
    }
    told = ["make", "-n", "-f", str(RECIPES / recipe), *(f"{name}={place}" for name, place in places.items())]
    said = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = said.stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("python -m convert ")]


def written(words: Sequence[str]) -> list[str]:
    return [word for before, word in itertools.pairwise(words) if before in WRITES]


def understood(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse a command, and run nothing."""
    told = words[3:]
    end = told.index(">") if ">" in told else len(told)
    module = importlib.import_module(f"convert.commands.{told[0].replace('-', '_')}")
    monkeypatch.setattr(module, "run", lambda _arguments: {})
    assert main([*told[:end], *(() if "--json" in told else ("--json",))]) == 0


@pytest.mark.parametrize("recipe", ["default.mk", "cross_validation.mk", "esc10.mk"])
def test_every_command_of_a_recipe_is_understood(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = commands(recipe, tmp_path)
    assert len(found) > 1
    for words in found:
        understood(words, monkeypatch)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("recipe", ["default.mk", "cross_validation.mk"])
def test_every_file_that_a_step_is_given_was_made_by_a_step_before(recipe: str, tmp_path: Path) -> None:
    work = f"{tmp_path}/work/"
    made: set[str] = {f"{work}train.tfrecord"}
    for words in commands(recipe, tmp_path):
        output = written(words)
        given = {word.partition("=")[2] or word for word in words if work in word} - set(output)
        missing = [path for path in given if path not in made and not any(path.startswith(f"{each}/") for each in made)]
        assert not missing, f"{' '.join(words)} needs {missing[0]}"
        made |= set(output)
    assert made


def test_the_bundle_and_each_of_the_cross_validation_are_calibrated_on_folds_that_nothing_of_theirs_has_met(
    tmp_path: Path,
) -> None:
    without: dict[str, set[str]] = {}
    calibrated = {}
    for words in commands("cross_validation.mk", tmp_path) + commands("default.mk", tmp_path):
        name = Path(words[-1]).parent.name
        if words[3] == "train":
            folds = words[words.index("--without-folds") + 1] if "--without-folds" in words else ""
            without[name] = set(folds.split(",")) - {""}
        if words[3] == "calibrate":
            first = words.index("--held-out") + 1
            pairs = [word.partition("=") for word in words[first : words.index("-o")]]
            calibrated[name] = {fold: Path(draft).parent.name for fold, _, draft in pairs}
    assert set(calibrated) == {"all", "1", "2", "3", "4"}
    for name, drafts in calibrated.items():
        assert set(drafts) == {"1", "2", "3", "4"} - without[name]
        for fold, other in drafts.items():
            assert without[other] == {fold, *without[name]}
