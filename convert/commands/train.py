"""train: train one of YouTube-8M's models on embedding records streamed from disk."""

import argparse
from pathlib import Path

from convert.arguments import folds
from convert.recipe import add_recipe_arguments, load_recipe
from convert.sequence.facts import SequenceFacts
from convert.sequence.training_job import TABLES, ModelSettings, TrainingJob, choose_classes, train_model


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("records", type=Path, nargs="+", metavar="TFRECORD", help="training files, or folders of them")
    parser.add_argument("--validation", type=Path, nargs="+", default=[], help="records of other recordings, for early stopping")
    add_recipe_arguments(parser, "youtube8m")
    parser.add_argument(
        "--classes",
        metavar="N|FILE.csv",
        help="number of classes, or their names in the form of AudioSet's class_labels_indices.csv, for records without names",
    )
    parser.add_argument(
        "--without-folds",
        type=folds,
        default=(),
        help="leave out records made from clips of these folds, to test on them (none)",
    )
    parser.add_argument("--skip-damaged", action="store_true", help="skip damaged records and count them")
    parser.add_argument(
        "--resume", action=argparse.BooleanOptionalAction, default=True, help="resume from the checkpoint in the folder (yes)"
    )
    parser.add_argument("--tensorboard", action="store_true", help="write the curves to OUTPUT/tensorboard too")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for weights.npz and sequence.json")


def run(arguments: argparse.Namespace) -> SequenceFacts:
    """Train and write the best epoch's weights."""
    recipe = load_recipe(arguments.recipe, arguments.replaced, tables=TABLES)
    settings = ModelSettings.of(recipe)
    recipe.require_read(("model", "training", settings.model))
    classes = choose_classes(arguments.records, arguments.classes)
    return train_model(
        TrainingJob(
            records=arguments.records,
            validation=arguments.validation,
            classes=classes,
            settings=settings,
            output=arguments.output,
            without_folds=arguments.without_folds,
            skip_damaged=arguments.skip_damaged,
            resume=arguments.resume,
            tensorboard=arguments.tensorboard,
        )
    )


def describe(result: SequenceFacts) -> str:
    """Format the result as text."""
    training = result.training
    if training is None:
        return f"{result.model}: {result.parameters:,} parameters"
    loss = "" if training.validation_loss is None else f", validation loss {training.validation_loss:.4f}"
    return (
        f"{result.model}: {result.parameters:,} parameters, {training.steps} steps over {training.sequences} examples, "
        f"weights of epoch {training.best_epoch}{loss}"
    )
