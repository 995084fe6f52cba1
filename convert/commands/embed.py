"""embed: recordings to AudioSet-format records, or sequences composed from them with labels for every frame."""

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.arguments import folds, positive_int, share
from convert.audio.clips import NO_CLASS, Clip, LoadedClip
from convert.audio.training_mixtures import Composer, split_by_source
from convert.embedder.corpus import FRAME_SECONDS, Recording, embedded, labelled, loaded, recordings_of, unlabelled
from convert.embedder.pseudo_labels import Doubts
from convert.embedder.readout import Readout, read_readout
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.files import read_json
from convert.progress import Progress
from convert.records.classes import ClassName, from_json
from convert.records.damage import Damage
from convert.records.files import Record
from convert.records.shards import Shard, Work, make_all, planned
from edge_detector import __version__
from edge_detector.detection.bundle import load_bundle
from edge_detector.errors import UsageError
from edge_detector.types import Codes

UNREAD = np.zeros(0, np.float32)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folder of recordings: LABEL/anything.wav, or LABEL/FOLD-SOURCE-TAKE.ogg; recordings themselves have no label",
    )
    parser.add_argument(
        "--unlabelled", action="store_true", help="take every recording in folders and folders below, without label"
    )
    parser.add_argument("--folds", type=folds, help="folds to use (all)")
    parser.add_argument(
        "--bundle", type=Path, default=DEFAULT_BUNDLE, metavar="DIR", help="bundle to embed with (the one that ships)"
    )
    parser.add_argument("--embedder", type=Path, help="a .tflite file that export-embedder wrote, in its place")
    parser.add_argument("--pca", type=Path, help="PCA parameters (.npz) that belong to it (those beside it)")
    parser.add_argument(
        "--soundscapes", type=positive_int, metavar="N", help="compose N sequences instead of taking recordings whole"
    )
    parser.add_argument(
        "--background",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="LABEL/anything.wav: speech and music, more of the clips' classes, and others of no class",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="AudioSet labels of each class, in the form bundle reads: in composed sequences, nothing is learnt of a class where"
        " YAMNet may detect it in background of no class (needs --embedder, with its read-out)",
    )
    parser.add_argument("--context", type=positive_int, default=10, help="longest composed sequence in frames (10)")
    parser.add_argument(
        "--part",
        choices=("all", "train", "validation", "background"),
        default="all",
        help="recordings split by original, or the background alone (all)",
    )
    parser.add_argument("--of", nargs="+", default=(), metavar="LABEL", help="take recordings of these labels only (of all)")
    parser.add_argument("--every", type=positive_int, default=1, metavar="N", help="take every Nth recording only (1: all)")
    parser.add_argument("--validation-share", type=share, default=0.15, help="share of originals held out by --part (0.15)")
    parser.add_argument("--seed", type=int, default=0, help="of everything composed (0)")
    parser.add_argument(
        "--shards", type=positive_int, metavar="N", help="write N files to the folder OUTPUT; those there are kept"
    )
    parser.add_argument("--skip-damaged", action="store_true", help="pass over recordings that cannot be used and count them")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the .tfrecord file, or with --shards a folder; class names go to FILE.json",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Embed the recordings and write the records."""
    if arguments.output.is_dir() and not arguments.shards:
        raise UsageError(f"{arguments.output} is a folder; give --shards N with it, or name a file")
    if arguments.part == "background" and not arguments.background:
        raise UsageError("--part background needs --background DIR")
    if arguments.classes is not None and (arguments.embedder is None or not arguments.soundscapes):
        raise UsageError("--classes goes with --soundscapes and --embedder; give all three")
    if arguments.pca is not None and arguments.embedder is None:
        raise UsageError("--pca goes with --embedder; give both, or --bundle")
    plain = arguments.unlabelled or any(path.is_file() for path in arguments.inputs)
    if plain and (arguments.soundscapes or arguments.folds or arguments.background or arguments.of or arguments.part != "all"):
        raise UsageError(
            "recordings without labels are taken whole; leave out --soundscapes, --folds, --background, --of and --part"
        )
    if not plain and len(arguments.inputs) > 1:
        raise UsageError("give one folder with a folder of recordings for each label, or --unlabelled")
    embedder = (
        CodeEmbedder.of_bundle(load_bundle(arguments.bundle))
        if arguments.embedder is None
        else CodeEmbedder.load(arguments.embedder, arguments.pca)
    )
    damage = Damage(skip=arguments.skip_damaged)
    work = (
        _whole(unlabelled(arguments.inputs)[:: arguments.every], (), embedder)
        if plain
        else _of_clips(arguments, embedder, damage)
    )
    single = [Shard(arguments.output, range(work.total))]
    shards = planned(arguments.output, work, arguments.shards) if arguments.shards else single
    unusable = damage.skipped
    counts = make_all(shards, work, damage, keep=bool(arguments.shards))
    counts["skipped"] += unusable
    labels = [each.slug for each in work.classes]
    return {**counts, "clips": work.recordings, "labels": labels, "output": str(arguments.output)}


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    before = f", {result['files_made_before']} of them made before" if result["files_made_before"] else ""
    files = f" in {result['files']} files{before}" if result["files"] > 1 else ""
    skipped = f"; {result['skipped']} recordings were passed over" if result["skipped"] else ""
    return f"{result['output']}: {result['records']} records of {result['clips']} recordings{files}{skipped}"


@dataclass(frozen=True, slots=True)
class _ReadOut:
    """AudioSet read-out of codes, and the classes that each label may hold."""

    readout: Readout
    doubts: Doubts

    @classmethod
    def of(cls, embedder: Path, path: Path, classes: Sequence[ClassName]) -> "_ReadOut":
        """Load the read-out beside an embedder, for classes whose labels a file names."""
        readout = read_readout(embedder)
        return cls(readout, Doubts.of([label.name for label in readout.labels], _own_labels(path, classes)))

    def unknown(self, codes: Codes, labels: Sequence[Sequence[int]], unlabelled: Sequence[bool]) -> tuple[tuple[int, ...], ...]:
        """Return the classes that may sound in each frame besides its own."""
        return self.doubts.unknown(self.readout.probabilities(codes), labels, unlabelled)

    def rivals(self, clips: Sequence[LoadedClip], embedder: CodeEmbedder) -> list[list[LoadedClip]]:
        """Return the clips of no class most similar to each class (hard negatives)."""
        others = [clip for clip in clips if clip.class_index == NO_CLASS]
        progress = Progress("embed: other sound", len(others))
        probabilities = []
        for number, clip in enumerate(others, 1):
            probabilities.append(self.readout.probabilities(embedder.codes(clip.samples)))
            progress.update(number)
        progress.close()
        return [[others[number] for number in found] for found in self.doubts.rivals_of_classes(probabilities)]


def _of_clips(arguments: argparse.Namespace, embedder: CodeEmbedder, damage: Damage) -> Work:
    def in_background(clip: Clip) -> bool:
        return any(folder in clip.path.parents for folder in arguments.background)

    every, classes = labelled(arguments.inputs[0], arguments.folds, arguments.background)
    chosen = every
    if arguments.part == "background":
        chosen = [(clip, index) for clip, index in every if in_background(clip)]
    elif arguments.part != "all":
        # The split is by file name; no file is read.
        kept, held_out = split_by_source([LoadedClip(clip, index, UNREAD) for clip, index in every], arguments.validation_share)
        chosen = [(clip.clip, clip.class_index) for clip in (kept if arguments.part == "train" else held_out)]
    if missing := set(arguments.of) - {clip.label for clip, _ in chosen}:
        raise UsageError(f"--of {min(missing)}: no recording of --part {arguments.part} has that label; see to its spelling")
    if arguments.of:
        chosen = [(clip, index) for clip, index in chosen if clip.label in arguments.of]
    chosen = chosen[:: arguments.every]
    if not chosen:
        raise UsageError(f"there is no recording for --part {arguments.part}: no sound has two originals; record more of them")
    folds = sorted({clip.fold for clip, _ in chosen if not in_background(clip)})
    if not arguments.soundscapes:
        return _whole(recordings_of(chosen), classes, embedder, folds)
    clips = loaded(chosen, damage)
    read_out = _ReadOut.of(arguments.embedder, arguments.classes, classes) if arguments.classes else None
    composer = Composer(clips, arguments.context, arguments.seed, read_out.rivals(clips, embedder) if read_out else ())

    def compose(number: int) -> Record:
        scene = composer.compose(number)
        codes = embedder.codes(scene.samples)
        labels = scene.frame_labels[: len(codes)]
        unknown = read_out.unknown(codes, labels, scene.unlabelled[: len(codes)]) if read_out else None
        return Record(f"scene-{number:06d}", 0.0, len(codes) * FRAME_SECONDS, scene.labels, codes, labels, unknown, scene.folds)

    return Work(
        what="sequence",
        total=arguments.soundscapes,
        recordings=len(chosen),
        classes=classes,
        made_of={
            **_made_of(embedder, [(f"{clip.label}/{clip.path.name}", clip.path) for clip, _ in chosen], folds),
            "sequences": arguments.soundscapes,
            "context": arguments.context,
            "seed": arguments.seed,
            **({"doubts": [list(own) for own in read_out.doubts.own]} if read_out else {}),
        },
        make=compose,
    )


def _own_labels(path: Path, classes: Sequence[ClassName]) -> list[tuple[str, ...]]:
    said = read_json(path)
    if missing := [each.slug for each in classes if each.slug not in said]:
        raise UsageError(f"{path} does not name the class {missing[0]}; add it with its AudioSet labels")
    return [each.audioset for each in from_json([each.slug for each in classes], said)]


def _whole(
    recordings: Sequence[Recording], classes: Sequence[ClassName], embedder: CodeEmbedder, folds: Sequence[int] | None = None
) -> Work:
    return Work(
        what="recording",
        total=len(recordings),
        recordings=len(recordings),
        classes=classes,
        made_of=_made_of(embedder, [(recording.name, recording.path) for recording in recordings], folds),
        make=lambda number: embedded(recordings[number], embedder),
    )


def _made_of(embedder: CodeEmbedder, files: Iterable[tuple[str, Path]], folds: Sequence[int] | None) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, path in files:
        # Size and date detect a changed recording; reading 100,000 again would cost more than embedding them.
        try:
            facts = path.stat()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; leave it out, or see where it went") from error
        digest.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    of_clips = {} if folds is None else {"folds": list(folds)}
    return {**embedder.made_of, "recordings": digest.hexdigest(), **of_clips, "program": __version__}
