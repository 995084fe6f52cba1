"""embed: clips to AudioSet-format records, or sequences composed from clips with labels for every frame."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from convert.arguments import folds, positive_int
from convert.data.clips import NO_CLASS, LoadedClip, find_clips, labels_of, load_clips, with_background
from convert.data.records import Record, write_dataset
from convert.data.soundscape import Composer, split_by_source
from convert.progress import Progress
from convert.serving import CodeEmbedder
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END

FRAME_SECONDS = FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("clips", type=Path, metavar="DIR", help="folder of clips: LABEL/FOLD-SOURCE-TAKE.ogg")
    parser.add_argument("--folds", type=folds, help="folds to use (all)")
    parser.add_argument("--embedder", type=Path, required=True, help="the .tflite embedder")
    parser.add_argument("--pca", type=Path, required=True, help="pca.npz that belongs to it")
    parser.add_argument("--soundscapes", type=positive_int, metavar="N", help="compose N sequences instead of taking clips whole")
    parser.add_argument("--background", type=Path, metavar="DIR", help="LABEL/1-ORIGIN.wav: speech, music, others of no class")
    parser.add_argument("--context", type=positive_int, default=10, help="longest composed sequence in frames (10)")
    parser.add_argument(
        "--part", choices=("all", "train", "validation"), default="all", help="clips split by original recording (all)"
    )
    parser.add_argument("--validation-share", type=float, default=0.15, help="share of originals held out by --part (0.15)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .tfrecord file; class names go to FILE.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Embed and write."""
    found = find_clips(arguments.clips, arguments.folds)
    labels = labels_of(found)
    clips = load_clips(found, labels)
    if arguments.background:
        clips, labels = with_background(clips, labels, arguments.background)
    if arguments.part != "all":
        kept, held_out = split_by_source(clips, arguments.validation_share)
        clips = kept if arguments.part == "train" else held_out
    if not clips:
        message = f"--validation-share {arguments.validation_share} leaves no clip for --part {arguments.part}; change it"
        raise UsageError(message)
    embedder = CodeEmbedder.load(arguments.embedder, arguments.pca)
    if arguments.soundscapes:
        records = composed(Composer(clips, arguments.context, arguments.seed), arguments.soundscapes, embedder)
    else:
        records = whole(clips, embedder)
    count = write_dataset(arguments.output, records, labels)
    return {"records": count, "clips": len(clips), "labels": list(labels), "output": str(arguments.output)}


def whole(clips: Sequence[LoadedClip], embedder: CodeEmbedder) -> Iterator[Record]:
    """Each clip as it is, labelled as a whole."""
    progress = Progress("embed: clip", len(clips))
    for number, clip in enumerate(clips, 1):
        codes = embedder.codes(clip.samples)
        yield Record(
            clip.clip.path.stem,
            0.0,
            len(codes) * FRAME_SECONDS,
            () if clip.class_index == NO_CLASS else (clip.class_index,),
            codes,
        )
        progress.update(number)
    progress.close()


def composed(composer: Composer, count: int, embedder: CodeEmbedder) -> Iterator[Record]:
    """Composed sequences, labelled frame by frame."""
    progress = Progress("embed: sequence", count)
    for number in range(count):
        scene = composer.compose(number)
        codes = embedder.codes(scene.samples)
        yield Record(
            f"scene-{number:06d}", 0.0, len(codes) * FRAME_SECONDS, scene.labels, codes, scene.frame_labels[: len(codes)]
        )
        progress.update(number + 1)
    progress.close()
