"""train: train one of YouTube-8M's models on embedding records streamed from disk."""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convert.arguments import folds, positive_int
from convert.files import write_arrays, write_json
from convert.fingerprint import FINGERPRINT, check_resume, digest_of_files
from convert.records.batches import MAX_FRAMES
from convert.records.classes import ClassName, as_json, numbered, read_class_names
from convert.records.files import find_classes, find_embedder, find_folds, record_files
from convert.records.identity import identity_of, require_same
from convert.records.training_set import SHUFFLED_RECORDS, Target, TrainingSet
from convert.sequence.options import MODELS, add_options, chosen
from edge_detector.errors import UsageError

CHECKPOINT = "checkpoint.npz"
FOR_HOW_LONG = ("epochs", "max_steps", "patience", "checkpoint_seconds", "checkpoints")
OF_A_TRAINING = ("sequence.json", "weights.npz", CHECKPOINT, FINGERPRINT, "best.npz", "curve.csv", "curve.svg", "training.log")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("records", type=Path, nargs="+", metavar="TFRECORD", help="files, or folders of them, to learn from")
    parser.add_argument("--validation", type=Path, nargs="+", help="records to stop by, from other original recordings")
    parser.add_argument("--model", choices=MODELS, default="lstm")
    parser.add_argument(
        "--target",
        choices=("frame", "last"),
        help="what the loss looks at: every frame, or as in YouTube-8M the last (every frame where records label each and the "
        "model is lstm, otherwise the last); most defaults depend on it",
    )
    parser.add_argument("--classes", type=positive_int, help="number of classes, for records without a file of class names")
    parser.add_argument(
        "--class-names", type=Path, metavar="FILE.csv", help="or their names, in AudioSet's form: class_labels_indices.csv"
    )
    parser.add_argument("--context", type=positive_int, default=10, help="frames of an example at most, up to 300 (10)")
    parser.add_argument(
        "--without-folds",
        type=folds,
        default=(),
        help="folds to leave out: records made from their clips are kept for testing (none)",
    )
    parser.add_argument("--skip-damaged", action="store_true", help="pass over damaged records and count them")
    parser.add_argument(
        "--shuffle",
        type=positive_int,
        default=SHUFFLED_RECORDS,
        metavar="N",
        help=f"records held in memory to draw the order from ({SHUFFLED_RECORDS})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of first weights, order and everything drawn (0)")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help="go on from the checkpoint")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for weights.npz and sequence.json")
    add_options(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and write the best epoch's weights."""
    if arguments.context > MAX_FRAMES:
        raise UsageError(f"--context {arguments.context} is above {MAX_FRAMES}, the most frames that these models look at")
    classes = choose_classes(arguments.records, arguments.classes, arguments.class_names)
    target = _target(arguments, len(classes))
    choices = chosen(arguments, target)
    training = _set(arguments, arguments.records, len(classes), target)
    validation = _set(arguments, arguments.validation, len(classes), target) if arguments.validation else None
    # Both are read before TensorFlow is loaded, so that a damaged record is reported at once.
    examples = training.examples
    if missing := set(arguments.without_folds) - training.left_out:
        raise UsageError(
            f"no record of {arguments.records[0]} says that it is of fold {min(missing)}; leave it out of --without-folds, or "
            "embed the clips again"
        )
    held_out = validation.examples if validation else 0

    from convert.sequence.base import Options  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.models import FACTS, WEIGHTS, build_model  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.plan import Plan  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.training import CHECKPOINTS, Training  # noqa: PLC0415 - TensorFlow takes seconds to load

    if not arguments.resume:
        for name in OF_A_TRAINING:
            (arguments.output / name).unlink(missing_ok=True)
        shutil.rmtree(arguments.output / CHECKPOINTS, ignore_errors=True)
    plan = Plan(target=target, seed=arguments.seed, **choices.plan)
    model = build_model(arguments.model, Options(**choices.model), len(classes), arguments.seed)
    facts: dict[str, Any] = {
        **model.facts,
        "parameters": model.parameters,
        "macs_per_frame": model.macs_per_frame,
        "labels": [each.slug for each in classes],
        "classes": as_json(classes),
        "made_of": _embedder(arguments),
        "folds": _folds(arguments),
        "context": arguments.context,
        "target": target,
        "seed": arguments.seed,
        "sequences": examples,
        "validation_sequences": held_out,
        "skipped": training.damage.skipped,
        "plan": asdict(plan),
    }
    check_resume(arguments.output / CHECKPOINT, _key(facts, {**model.facts, "shuffle": arguments.shuffle}, training, validation))
    outcome = Training(model, training, validation, plan, folder=arguments.output, facts=facts).run()
    result = {
        **facts,
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "best_epoch": outcome.best_epoch,
        "validation_loss": outcome.best_loss,
    }
    write_arrays(arguments.output / WEIGHTS, outcome.weights)
    write_json(arguments.output / FACTS, result)
    return result


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    loss = "" if result["validation_loss"] is None else f", validation loss {result['validation_loss']:.4f}"
    return (
        f"{result['model']}: {result['parameters']:,} parameters, {result['steps']} steps over {result['sequences']} examples, "
        f"weights of epoch {result['best_epoch']}{loss}"
    )


def _key(facts: dict[str, Any], options: dict[str, Any], training: TrainingSet, validation: TrainingSet | None) -> dict[str, Any]:
    """Return the options and data that must match on resume: all but the training length."""
    plan = {name: value for name, value in facts["plan"].items() if name not in FOR_HOW_LONG}
    return {
        "records": digest_of_files(training.files),
        "validation_records": digest_of_files(validation.files) if validation else None,
        "classes": facts["classes"],
        "options": {**options, **plan, "context": facts["context"], "seed": facts["seed"], "folds": facts["folds"]},
    }


def _set(arguments: argparse.Namespace, paths: list[Path], classes: int, target: Target) -> TrainingSet:
    return TrainingSet(
        paths,
        classes,
        arguments.context,
        target,
        skip=arguments.skip_damaged,
        buffer=arguments.shuffle,
        without_folds=arguments.without_folds,
    )


def _target(arguments: argparse.Namespace, classes: int) -> Target:
    if arguments.target is not None:
        return "frame" if arguments.target == "frame" else "last"
    every = arguments.model == "lstm" and _set(arguments, arguments.records, classes, "last").has_frame_labels()
    return "frame" if every else "last"


def choose_classes(records: Sequence[Path], count: int | None, names: Path | None) -> tuple[ClassName, ...]:
    """Return the records' class names, else those of a CSV file, else only their number."""
    found = {find_classes(path) for path in records if record_files(path)}
    if len(found) > 1:
        raise UsageError("the records are of different classes; give records of one set of classes")
    given = read_class_names(names) if names else None
    classes = next(iter(found)) or given or numbered(count or 0)
    if not classes:
        raise UsageError(
            f"{records[0]} has no file of class names beside it; give --class-names FILE.csv, or their number with --classes "
            "(AudioSet: 527)"
        )
    if given and given != classes:
        raise UsageError(f"{records[0]} has class names of its own; leave out --class-names")
    if count not in (None, len(classes)):
        raise UsageError(f"--classes {count}, but there are names of {len(classes)}; leave the option out")
    return classes


def _embedder(arguments: argparse.Namespace) -> dict[str, str]:
    """Return checksums of the records' embedder; empty if unknown."""
    paths = [*arguments.records, *(arguments.validation or ())]
    known = [(path, dict(each)) for path in paths if (each := find_embedder(path)) is not None]
    for path, each in known[1:]:
        first, of_first = known[0]
        require_same(identity_of(of_first), f"{first}", identity_of(each), f"{path}", "embed all recordings with one embedder")
    return known[0][1] if known else {}


def _folds(arguments: argparse.Namespace) -> list[int] | None:
    """Return the folds used for training or early stopping; None if unknown."""
    found = [find_folds(path) for path in (*arguments.records, *(arguments.validation or ()))]
    known = [folds for folds in found if folds is not None]
    if len(known) < len(found):
        return None
    return sorted(frozenset[int]().union(*known) - frozenset(arguments.without_folds))
