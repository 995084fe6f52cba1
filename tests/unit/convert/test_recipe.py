"""Recipes: read by name or file, single values replaced, and every key checked."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from convert.recipe import load_recipe
from edge_detector.errors import UsageError


@dataclass(frozen=True, slots=True)
class Lstm:
    cells: int
    head: str


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text('model = "lstm"\n[lstm]\ncells = 128\nhead = "logistic"\n[moe]\nmixtures = 2\n')
    return path


def test_a_value_is_replaced_and_the_rest_stays(recipe: Path) -> None:
    read = load_recipe(str(recipe), ["lstm.cells=256"])
    assert read.section("lstm", Lstm) == Lstm(256, "logistic")
    assert load_recipe(str(recipe), ["lstm.head=moe"]).section("lstm", Lstm).head == "moe"
    assert load_recipe(str(recipe), ["model=dbof"]).text("model", ("lstm", "dbof")) == "dbof"


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ("lstm.cells=many", r"own\.toml \[lstm\]: cells must be a whole number, not 'many'"),
        ("lstm.cell=1", r"own\.toml \[lstm\] has no key 'cell'; it has cells, head"),
        ("dbof.clusters=1", r"own\.toml has no table \[dbof\]"),
        ("lstm.cells", r"is not TABLE\.KEY=VALUE"),
        ("moe.mixtures=1", r"--set moe: only model, lstm are read here"),
    ],
)
def test_a_wrong_replacement_is_one_sentence(recipe: Path, replaced: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(str(recipe), [replaced], tables=("model", "lstm")).section("lstm", Lstm)


def test_a_recipe_that_does_not_exist_is_named_beside_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist; name a file, or a recipe that ships"):
        load_recipe(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("content", ["model = ", "[" * 5_000, "a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "broken.toml").write_text(content)
    with pytest.raises(UsageError, match=r"broken\.toml is not a readable TOML file"):
        load_recipe(str(tmp_path / "broken.toml"))
