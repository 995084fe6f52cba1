"""embed: embed whole recordings into AudioSet-format records."""

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path

from convert.arguments import folds, positive_int
from convert.embedder.arguments import add_embedder_argument, load_embedder
from convert.embedder.corpus import Recording, embedded, labelled, recordings_of, unlabelled
from convert.embedder.provenance import provenance
from convert.embedder.runtime import CodeEmbedder
from convert.records.damage import Damage
from convert.records.record_set import RecordSet, write_record_set
from convert.records.shards import Work
from edge_detector.class_names import ClassName
from edge_detector.errors import UsageError


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
    embedder = load_embedder(arguments.embedder)
    work = _unlabelled(arguments.inputs, embedder) if plain else _labelled(arguments.inputs[0], arguments.folds, embedder)
    return write_record_set(work, arguments.output, arguments.shards, Damage(skip=arguments.skip_damaged))


def describe(result: RecordSet) -> str:
    """Format the result as text."""
    return result.describe()


def _unlabelled(inputs: Sequence[Path], embedder: CodeEmbedder) -> Work:
    return _work(unlabelled(inputs), (), embedder, None)


def _labelled(folder: Path, used: Collection[int] | None, embedder: CodeEmbedder) -> Work:
    clips, classes = labelled(folder, used)
    return _work(recordings_of(clips), classes, embedder, sorted({clip.fold for clip, _ in clips}))


def _work(
    recordings: Sequence[Recording], classes: Sequence[ClassName], embedder: CodeEmbedder, used: Sequence[int] | None
) -> Work:
    return Work(
        what="recording",
        total=len(recordings),
        recordings=len(recordings),
        classes=classes,
        made_of=provenance(embedder, [(recording.name, recording.path) for recording in recordings], used),
        make=lambda number: embedded(recordings[number], embedder),
    )
