"""embed: embed whole recordings into AudioSet-format records."""

import argparse
import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from convert.arguments import folds, positive_int
from convert.embedder.arguments import add_embedder_argument
from convert.embedder.corpus import Recording, labelled, recordings_of, unlabelled
from convert.embedder.plan import EmbedPlan, is_complete, make_shard, plan_embedding, require_one_set, tidy, write_damaged
from convert.progress import Progress
from convert.records.damage import SHOWN
from convert.records.files import read_sidecar, sidecar
from convert.records.record_set import RecordSet
from convert.runners.arguments import add_runner_arguments, chosen_runner
from convert.tasks import Runner, carry_out_shared, require_made, run_here
from edge_detector.class_names import ClassName
from edge_detector.errors import UsageError
from edge_detector.plain_text import without_controls


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folder of recordings: LABEL/anything.wav, or LABEL/FOLD-SOURCE-TAKE.ogg; recordings themselves have no label",
    )
    parser.add_argument("--unlabelled", action="store_true", help="every recording in folders and folders below, without label")
    parser.add_argument("--folds", type=folds, help="folds to use (all)")
    add_embedder_argument(parser)
    parser.add_argument(
        "--shards", type=positive_int, metavar="N", help="write N files to the folder OUTPUT; finished files are kept"
    )
    add_runner_arguments(parser)
    parser.add_argument("--skip-damaged", action="store_true", help="skip recordings that cannot be used and count them")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help=".tfrecord file, or with --shards a folder; class names go to FILE.json",
    )


def run(arguments: argparse.Namespace) -> RecordSet:
    """Embed the recordings and write the records."""
    plain = arguments.unlabelled or any(path.is_file() for path in arguments.inputs)
    if plain and arguments.folds:
        raise UsageError("recordings without labels have no folds; leave out --folds")
    if not plain and len(arguments.inputs) > 1:
        raise UsageError("give one folder with a folder of recordings for each label, or --unlabelled")
    runner = chosen_runner(arguments)
    if runner is not None and not arguments.shards:
        raise UsageError("several processes need several files; give --shards N with --jobs or --runner, at least four for each")
    plan = _planned(arguments, *(_unlabelled(arguments.inputs) if plain else _labelled(arguments.inputs[0], arguments.folds)))
    made_before = _make_all(plan, runner)
    require_one_set(plan)  # another run may have begun one with other options meanwhile
    tidy(plan)
    path, damaged = write_damaged(plan)
    for each in damaged[:SHOWN]:
        sys.stderr.write(f"skipped: {without_controls(each.sentence)}\n")
    sidecars = [read_sidecar(file) for file in plan.files]
    return RecordSet(
        output=arguments.output,
        records=sum(each.records for each in sidecars),
        files=len(plan.files),
        files_made_before=made_before,
        skipped=sum(sum(each.skipped.values()) for each in sidecars),
        clips=sum(map(len, plan.recordings)),
        labels=tuple(each.slug for each in plan.classes),
        damaged=path,
    )


def describe(result: RecordSet) -> str:
    """Format the result as text."""
    return result.describe()


def _unlabelled(inputs: Sequence[Path]) -> tuple[list[Recording], Sequence[ClassName], None]:
    return unlabelled(inputs), (), None


def _labelled(folder: Path, used: Collection[int] | None) -> tuple[list[Recording], Sequence[ClassName], list[int]]:
    clips, classes = labelled(folder, used)
    return recordings_of(clips), classes, sorted({clip.fold for clip, _ in clips})


def _planned(
    arguments: argparse.Namespace, recordings: Sequence[Recording], classes: Sequence[ClassName], used: Sequence[int] | None
) -> EmbedPlan:
    return plan_embedding(
        recordings,
        classes,
        used,
        embedder=arguments.embedder,
        output=arguments.output,
        shards=arguments.shards,
        skip_damaged=arguments.skip_damaged,
    )


def _make_all(plan: EmbedPlan, runner: Runner | None) -> int:
    """Make the files that are missing; return the number of those that were there."""
    sizes = [len(own) for own in plan.recordings]
    missing = [number for number in range(len(sizes)) if not (plan.keep and is_complete(plan, number))]
    progress = Progress("embed: recording", sum(sizes))
    done = sum(sizes) - sum(sizes[number] for number in missing)

    def finished(number: int) -> None:
        nonlocal done
        done += sizes[number]
        if sizes[number]:
            progress.update(done)

    make = partial(make_shard, plan)
    if runner is None:
        make = partial(make, within=lambda place: progress.update(done + place))
    carry_out_shared(make, missing, runner or run_here, finished)
    progress.close()
    require_made(sidecar(plan.files[number]) for number in missing)
    return len(sizes) - len(missing)
