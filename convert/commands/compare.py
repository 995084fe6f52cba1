"""compare: train and measure several models on the same records with several seeds; prints one table."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from convert.arguments import folds, seeds
from convert.evaluation.comparison import (
    BASELINE,
    PRECISION,
    Cost,
    Row,
    Run,
    baseline,
    export_and_time,
    summary,
    table,
    train_and_measure,
)
from convert.evaluation.records import log
from convert.files import write_bytes, write_json
from convert.plain_data import to_plain
from convert.recipe import add_recipe_arguments, load_recipe
from convert.records.damage import Damage
from convert.sequence.options import TRAINED_MODELS
from convert.sequence.splits import SplitPlan, SplitSettings, write_splits
from convert.sequence.training_job import TABLES, ModelSettings, choose_classes
from edge_detector.errors import UsageError


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison: its data, its runs, and a row for each model."""

    records: tuple[Path, ...]
    splits: tuple[str, ...]
    skipped: int
    seeds: tuple[int, ...]
    precision: str
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORDS", help=".tfrecord files, or folders of them")
    parser.add_argument("--models", nargs="+", choices=tuple(TRAINED_MODELS), default=tuple(TRAINED_MODELS), help="models (all)")
    parser.add_argument("--seeds", type=seeds, default=(0, 1, 2), help="comma-separated (0,1,2)")
    add_recipe_arguments(parser, "youtube8m")
    parser.add_argument(
        "--folds",
        type=folds,
        default=(),
        help="test on each of these folds of clips called FOLD-SOURCE-TAKE in turn (a share of the recordings)",
    )
    parser.add_argument(
        "--test", type=Path, nargs="+", default=(), metavar="RECORDS", help="test on these records instead of a part of RECORDS"
    )
    parser.add_argument(
        "--classes",
        metavar="N|FILE.csv",
        help="number of classes, or their names in the form of AudioSet's class_labels_indices.csv, for records without names",
    )
    parser.add_argument("--skip-damaged", action="store_true", help="skip damaged records and count them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the splits, models, table.md and table.json")


def run(arguments: argparse.Namespace) -> Comparison:
    """Train and measure every model; finished runs of an interrupted comparison are kept."""
    recipes = {
        (model, seed): load_recipe(
            arguments.recipe, [*arguments.replaced, f"model={model}", f"training.seed={seed}"], tables=(*TABLES, "splits")
        )
        for model in arguments.models
        for seed in arguments.seeds
    }
    settings = {key: ModelSettings.of(recipe) for key, recipe in recipes.items()}
    if any(each.training.features != "audio" for each in settings.values()):
        raise UsageError('compare is for training.features = "audio"; train and eval take others')
    shares = next(iter(recipes.values())).section("splits", SplitSettings)
    classes = choose_classes(arguments.records, arguments.classes)
    plan = SplitPlan(arguments.folds, tuple(arguments.test), shares)
    damage = Damage(skip=arguments.skip_damaged)
    splits = write_splits(arguments.records, plan, classes, arguments.output / "splits", damage)
    runs = [baseline(split, len(classes)) for split in splits]
    costs: dict[str, Cost] = {}
    for model in arguments.models:
        for seed in arguments.seeds:
            for split in splits:
                folder = arguments.output / model / f"{split.name}-seed-{seed}"
                found = train_and_measure(settings[model, seed], classes, split, folder)
                runs.append(found)
                log(f"{model}, {split.name}, seed {seed}: GAP {found.figures.gap:.4f} MAP {found.figures.map:.4f}")
        costs[model] = export_and_time(arguments.output / model / f"{splits[0].name}-seed-{arguments.seeds[0]}")
    rows = summary(runs, costs)
    names = tuple(split.name for split in splits)
    result = Comparison(tuple(arguments.records), names, damage.skipped, arguments.seeds, PRECISION, rows, tuple(runs))
    write_bytes(arguments.output / "table.md", f"{table(rows)}\n".encode())
    write_json(arguments.output / "table.json", to_plain(result))
    return result


def describe(result: Comparison) -> str:
    """Format the table with its data and settings."""
    tested = sum(run.figures.examples for run in result.runs if run.model == BASELINE)
    several = [f"{len(each)} {name}" for name, each in (("folds", result.splits), ("seeds", result.seeds)) if len(each) > 1]
    spread = f"; ± is the standard deviation over {', then over '.join(several)}" if several else ""
    refused = [f"{row.model} was not exported: {row.cost.export_error}" for row in result.rows if row.cost.export_error]
    limited = [
        f"{row.model} had not stopped improving in {row.at_limit} of its trainings; raise training.epochs in the recipe"
        for row in result.rows
        if row.at_limit
    ]
    about = f"Measured on {tested} examples{spread}; epochs: those of the weights that were kept."
    return "\n".join([table(result.rows), "", about, *limited, *refused])
