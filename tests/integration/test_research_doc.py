"""docs/research.md: the worked example gives the figures that are written beside it."""

import re
import shlex
from pathlib import Path

import numpy as np

from convert.__main__ import parser
from convert.metrics.multilabel import MetricAccumulator
from convert.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "research.md").read_text(encoding="utf-8")


def test_the_worked_example_gives_its_figures() -> None:
    table = PAGE.split("<!-- worked example -->")[1].split("\n\n")[0]
    rows = [line.strip("| ").split("|")[1:] for line in table.strip().splitlines()[2:]]
    scores = np.array([[float(cell.strip().rstrip("\\*")) for cell in row] for row in rows])
    labels = np.array([["*" in cell for cell in row] for row in rows])
    accumulator = MetricAccumulator()
    accumulator.add(scores, labels)
    figures = accumulator.figures()
    written = {name: float(value) for name, value in re.findall(r"(Hit@1|PERR|GAP|MAP|AUC|d'|loss)\s=\s(\d\.\d{4})", PAGE)}
    found = {
        "Hit@1": figures.hit_at_1,
        "PERR": figures.perr,
        "GAP": figures.gap,
        "MAP": figures.map,
        "AUC": figures.auc,
        "d'": figures.d_prime,
        "loss": figures.loss,
    }
    assert {name: round(value, 4) for name, value in found.items() if value is not None} == written


def test_the_commands_of_the_page_have_options_and_recipe_values_that_exist() -> None:
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    convert = [shlex.split(line)[3:] for line in commands if line.startswith("python -m convert ")]
    assert convert
    for words in convert:
        arguments = parser(words).parse_args(words)
        load_recipe(arguments.recipe, arguments.replaced)
    makefiles = [word for line in commands if line.startswith("make ") for word in shlex.split(line) if word.endswith(".mk")]
    assert makefiles
    assert all((Path(__file__).parents[2] / name).exists() for name in makefiles)
