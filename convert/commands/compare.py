"""compare: train and measure several models on the same records with several seeds; prints one table."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convert.arguments import folds, positive_int, seeds, share
from convert.commands import export, train
from convert.evaluation.comparison import (
    BASELINE,
    Command,
    Contender,
    Steps,
    baseline,
    export_and_time,
    summary,
    table,
    train_and_measure,
)
from convert.evaluation.records import Measuring, log, open_model
from convert.files import write_bytes, write_json
from convert.metrics.multilabel import TOP_K
from convert.records.batches import MAX_FRAMES
from convert.records.damage import Damage
from convert.sequence.splits import SplitPlan, write_splits
from edge_detector.errors import UsageError

MODELS = ("lstm", "dbof", "frame-logistic", "moe", "logistic")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("records", type=Path, metavar="RECORDS", help="a .tfrecord file, or a folder of them")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="which ones (all)")
    parser.add_argument("--seeds", type=seeds, default=(0, 1, 2), help="comma-separated (0,1,2)")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="MODEL:NAME=VALUE",
        help="an option of train for one model, or for all: --option lstm:cells=256 --option all:epochs=20",
    )
    parser.add_argument(
        "--split",
        choices=("segments", "folds"),
        default="segments",
        help="measure on a share of the recordings, or on each fold of clips called FOLD-SOURCE-TAKE in turn (segments)",
    )
    parser.add_argument("--folds", type=folds, default=(), help="with --split folds: which ones are measured on (all)")
    parser.add_argument("--test", type=Path, metavar="RECORDS", help="measure on these instead of a part of RECORDS")
    parser.add_argument("--test-share", type=share, default=0.25, help="share of the recordings to measure on (0.25)")
    parser.add_argument("--validation-share", type=share, default=0.15, help="share of the others to stop training by (0.15)")
    parser.add_argument("--classes", type=positive_int, help="number of classes, for records without a file of class names")
    parser.add_argument(
        "--class-names", type=Path, metavar="FILE.csv", help="or their names, as AudioSet's class_labels_indices.csv"
    )
    parser.add_argument(
        "--precision", choices=("float32", "float16", "dynamic"), default="dynamic", help="of the TFLite step (dynamic)"
    )
    parser.add_argument("--top-k", type=positive_int, default=TOP_K, help="best classes of each example in GAP and MAP (20)")
    parser.add_argument("--map-over", choices=("labelled", "all"), default="labelled", help="as in eval (labelled)")
    parser.add_argument("--batch", type=positive_int, default=1024, help="examples of a batch when measuring (1024)")
    parser.add_argument("--max-frames", type=positive_int, default=MAX_FRAMES, help="frames of an example that count (300)")
    parser.add_argument("--skip-damaged", action="store_true", help="pass over damaged records and count them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the splits, models, table.md and table.json")


def run(arguments: argparse.Namespace, steps: Steps | None = None) -> dict[str, Any]:
    """Train and measure every model; finished runs of an interrupted comparison are kept."""
    does = steps or Steps(command_of("train", train), command_of("export", export), open_model)
    contenders = [Contender(kind, options_of(kind, arguments.option)) for kind in arguments.models]
    classes = train.choose_classes([arguments.records], arguments.classes, arguments.class_names)
    measuring = Measuring(arguments.top_k, arguments.map_over, arguments.batch, arguments.max_frames)
    parting = SplitPlan(arguments.split, arguments.folds, arguments.test, arguments.test_share, arguments.validation_share)
    damage = Damage(skip=arguments.skip_damaged)
    splits = write_splits(arguments.records, parting, classes, arguments.output / "splits", damage)
    runs = [baseline(split, len(classes), measuring) for split in splits]
    costs: dict[str, dict[str, Any]] = {}
    for contender in contenders:
        for seed in arguments.seeds:
            for split in splits:
                folder = arguments.output / contender.kind / f"{split.name}-seed-{seed}"
                found = train_and_measure(does, contender, split, seed=seed, folder=folder, measuring=measuring)
                runs.append(found)
                log(f"{contender.kind}, {split.name}, seed {seed}: GAP {found['gap']:.4f} MAP {found['map']:.4f}")
        first = arguments.output / contender.kind / f"{splits[0].name}-seed-{arguments.seeds[0]}"
        costs[contender.kind] = export_and_time(does, first, arguments.precision)
    rows = summary(runs, costs)
    text = table(rows, arguments.precision)
    data = {
        "records": str(arguments.records),
        "splits": [split.name for split in splits],
        "skipped": damage.skipped,
    }
    result = {**data, "seeds": list(arguments.seeds), "precision": arguments.precision, "rows": rows, "runs": runs}
    write_bytes(arguments.output / "table.md", f"{text}\n".encode())
    write_json(arguments.output / "table.json", result)
    return result


def describe(result: dict[str, Any]) -> str:
    """Format the table with its data and settings."""
    tested = sum(run["examples"] for run in result["runs"] if run["model"] == BASELINE)
    several = [f"{len(result[of])} {of}" for of in ("splits", "seeds") if len(result[of]) > 1]
    spread = f"; ± is the standard deviation over {', then over '.join(several)}".replace("splits", "folds") if several else ""
    refused = [f"{row['model']} was not exported: {row['export_error']}" for row in result["rows"] if "export_error" in row]
    return "\n".join([table(result["rows"], result["precision"]), "", f"Measured on {tested} examples{spread}.", *refused])


def options_of(kind: str, given: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of train that --option gives to this model."""
    words: list[str] = []
    for option in given:
        model, _, text = option.partition(":")
        name, is_valued, value = text.partition("=")
        if model not in (*MODELS, "all") or not name:
            raise UsageError(f"--option {option} is not MODEL:NAME=VALUE with a MODEL of {', '.join(MODELS)} or all")
        if model in (kind, "all"):
            words += [f"--{name}", value] if is_valued else [f"--{name}"]
    return tuple(words)


def command_of(name: str, module: Any) -> Command:  # noqa: ANN401 - a module
    """Return a command as a function of its arguments."""

    def call(words: Sequence[str]) -> dict[str, Any]:
        parser = argparse.ArgumentParser(prog=f"python -m convert {name}")
        module.configure(parser)
        result: dict[str, Any] = module.run(parser.parse_args(words))
        return result

    return call
