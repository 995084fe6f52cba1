"""compose: compose training sequences of clips in other sound, embed them, and label every frame."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.arguments import folds
from convert.audio.training_mixtures import Composer, MixtureSettings, split_by_source
from convert.embedder.arguments import add_embedder_argument, load_embedder
from convert.embedder.corpus import FRAME_SECONDS, labelled, loaded
from convert.embedder.provenance import provenance
from convert.embedder.pseudo_labels import Doubts
from convert.embedder.readout import Readout, read_readout
from convert.embedder.runtime import CodeEmbedder
from convert.files import read_json
from convert.progress import Progress
from convert.recipe import add_recipe_arguments, load_recipe
from convert.records.classes import classes_from_json
from convert.records.damage import Damage
from convert.records.files import Record, write_dataset
from convert.records.record_set import RecordSet
from edge_detector.audio.clips import NO_CLASS, Clip, LoadedClip
from edge_detector.class_names import ClassName
from edge_detector.errors import UsageError
from edge_detector.types import Codes

UNREAD = np.zeros(0, np.float32)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("clips", type=Path, metavar="DIR", help="folder of clips: LABEL/FOLD-SOURCE-TAKE.ogg")
    parser.add_argument("--folds", type=folds, help="folds to use (all)")
    parser.add_argument(
        "--background",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="LABEL/anything.wav: speech and music, more recordings of the classes, and other sound",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="AudioSet labels of each class, in the form bundle reads: a class has no target where YAMNet may detect it in other "
        "sound (needs --embedder FILE, with its read-out)",
    )
    parser.add_argument(
        "--part", choices=("all", "train", "validation"), default="all", help="part of the original recordings (all)"
    )
    add_embedder_argument(parser)
    add_recipe_arguments(parser, "default")
    parser.add_argument("--skip-damaged", action="store_true", help="skip recordings that cannot be used and count them")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".tfrecord file; class names go to FILE.json")


def run(arguments: argparse.Namespace) -> RecordSet:
    """Compose the sequences and write their records."""
    recipe = load_recipe(arguments.recipe, arguments.replaced, tables=("mixtures",))
    settings = recipe.section("mixtures", MixtureSettings)
    if arguments.classes is not None and arguments.embedder.is_dir():
        raise UsageError("--classes needs an embedder with a read-out beside it; give --embedder FILE")
    if arguments.output.is_dir():
        raise UsageError(f"{arguments.output} is a folder; name a file")
    damage = Damage(skip=arguments.skip_damaged)
    work = _work(arguments, settings, load_embedder(arguments.embedder), damage)
    return RecordSet(
        output=arguments.output,
        records=write_dataset(arguments.output, _composed(work), work.classes, made_of=work.made_of),
        files=1,
        files_made_before=0,
        skipped=damage.skipped,
        clips=work.recordings,
        labels=tuple(each.slug for each in work.classes),
    )


def describe(result: RecordSet) -> str:
    """Format the result as text."""
    return result.describe()


@dataclass(frozen=True, slots=True)
class _Work:
    """Sequences to compose.

    Attributes:
        sequences: their number.
        recordings: number of recordings that they are made of.
        classes: classes of their labels.
        made_of: all facts that they depend on.
        compose: returns the record of a sequence, independent of earlier ones.

    """

    sequences: int
    recordings: int
    classes: Sequence[ClassName]
    made_of: Mapping[str, object]
    compose: Callable[[int], Record]


def _composed(work: _Work) -> Iterator[Record]:
    progress = Progress("compose: sequence", work.sequences)
    for number in range(work.sequences):
        yield work.compose(number)
        progress.update(number + 1)
    progress.close()


@dataclass(frozen=True, slots=True)
class _ReadOut:
    """AudioSet read-out of codes, and the classes that each label may hold."""

    readout: Readout
    doubts: Doubts

    @classmethod
    def of(cls, embedder: Path, path: Path, classes: Sequence[ClassName]) -> "_ReadOut":
        """Load the read-out beside an embedder, for classes whose labels a file names."""
        readout = read_readout(embedder)
        return cls(readout, Doubts.of([label.name for label in readout.labels], _audioset_labels(path, classes)))

    def unknown(self, codes: Codes, labels: Sequence[Sequence[int]], unlabelled: Sequence[bool]) -> tuple[tuple[int, ...], ...]:
        """Return the classes that may sound in each frame besides its own."""
        return self.doubts.unknown(self.readout.probabilities(codes), labels, unlabelled)

    def rivals(self, clips: Sequence[LoadedClip], embedder: CodeEmbedder) -> list[list[LoadedClip]]:
        """Return the clips of no class most similar to each class (hard negatives)."""
        others = [clip for clip in clips if clip.class_index == NO_CLASS]
        progress = Progress("compose: other sound", len(others))
        probabilities = []
        for number, clip in enumerate(others, 1):
            probabilities.append(self.readout.probabilities(embedder.codes(clip.samples)))
            progress.update(number)
        progress.close()
        return [[others[number] for number in found] for found in self.doubts.rivals_of_classes(probabilities)]


def _work(arguments: argparse.Namespace, settings: MixtureSettings, embedder: CodeEmbedder, damage: Damage) -> _Work:
    def in_background(clip: Clip) -> bool:
        return any(folder in clip.path.parents for folder in arguments.background)

    chosen, classes = labelled(arguments.clips, arguments.folds, arguments.background)
    if arguments.part != "all":
        # The split is by file name; no file is read.
        kept, held_out = split_by_source([LoadedClip(clip, index, UNREAD) for clip, index in chosen], settings.validation_share)
        chosen = [(clip.clip, clip.class_index) for clip in (kept if arguments.part == "train" else held_out)]
    if not chosen:
        raise UsageError(f"there is no recording for --part {arguments.part}: no sound has two originals; record more of them")
    used = sorted({clip.fold for clip, _ in chosen if not in_background(clip)})
    clips = loaded(chosen, damage)
    read_out = _ReadOut.of(arguments.embedder, arguments.classes, classes) if arguments.classes else None
    rivals = read_out.rivals(clips, embedder) if read_out else ()
    composer = Composer(clips, settings.context_frames, settings.seed, rivals)

    def compose(number: int) -> Record:
        scene = composer.compose(number)
        codes = embedder.codes(scene.samples)
        labels = scene.frame_labels[: len(codes)]
        unknown = read_out.unknown(codes, labels, scene.unlabelled[: len(codes)]) if read_out else None
        return Record(f"scene-{number:06d}", 0.0, len(codes) * FRAME_SECONDS, scene.labels, codes, labels, unknown, scene.folds)

    return _Work(
        sequences=settings.sequences,
        recordings=len(chosen),
        classes=classes,
        made_of={
            **provenance(embedder, [(f"{clip.label}/{clip.path.name}", clip.path) for clip, _ in chosen], used),
            "sequences": settings.sequences,
            "context": settings.context_frames,
            "seed": settings.seed,
            **({"doubts": [list(own) for own in read_out.doubts.own]} if read_out else {}),
        },
        compose=compose,
    )


def _audioset_labels(path: Path, classes: Sequence[ClassName]) -> list[tuple[str, ...]]:
    named = read_json(path)
    if missing := [each.slug for each in classes if each.slug not in named]:
        raise UsageError(f"{path} does not name the class {missing[0]}; add it with its AudioSet labels")
    return [each.audioset for each in classes_from_json([each.slug for each in classes], named)]
