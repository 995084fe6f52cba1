"""train-embedder: a compact VGGish from labelled clips, optionally taught by a TFLite tagger."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.arguments import folds, positive_float, positive_int, share
from convert.begun import begin_or_go_on, digest_of_clips, digest_of_files, require_alike
from convert.data.clips import UNKNOWN_CLASS, LoadedClip, find_clips, labels_of, load_clips, with_background
from convert.data.feed import Feed
from convert.data.seeking import read_finds
from convert.data.teacher import Teacher
from convert.data.windows import WindowSource
from convert.files import read_json, write_arrays, write_json
from edge_detector.core.logmel import log_mel
from edge_detector.errors import UsageError

CHECKPOINT, LEARNT, FACTS = "checkpoint.npz", "learnt.npz", "embedder.json"
OPTIONS = (
    "width",
    "layers",
    "batch",
    "uses",
    "learning_rate",
    "masks",
    "unsorted_weight",
    "textures",
    "seek",
    "optimiser",
    "seed",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "clips",
        type=Path,
        nargs="?",
        metavar="DIR",
        help="folder of clips: LABEL/FOLD-SOURCE-TAKE.ogg (without it only the background is learnt from)",
    )
    parser.add_argument("--folds", type=folds, help="folds to learn from, such as 1,2,3")
    parser.add_argument("--validate-folds", type=folds, help="folds to report accuracy on at the end; nothing is chosen by it")
    parser.add_argument("--teacher", type=Path, help="TFLite tagger to learn from as well, such as yamnet.tflite")
    parser.add_argument("--width", type=positive_float, default=0.5, help="channels as a share of VGGish's (0.5)")
    parser.add_argument(
        "--layers",
        default="",
        help="convolutions instead of VGGish's, as 32s,16x64p,96: s stride 2, p a pool after, 16x two with 16 channels between",
    )
    parser.add_argument("--background", type=Path, metavar="DIR", help="LABEL/1-ORIGIN.wav: speech, music, others of no class")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=positive_int, help="batches to train for; the same data each time")
    length.add_argument(
        "--mean-of", type=Path, nargs="+", metavar="DIR", help="train nothing: the mean of these, trained alike but for the seed"
    )
    length.add_argument("--minutes", type=positive_float, default=15.0, help="minutes to train for (15)")
    parser.add_argument("--batch", type=positive_int, default=64, help="windows in a batch (64)")
    parser.add_argument("--uses", type=positive_int, default=2, help="times each mixed window is shown, masked anew (2)")
    parser.add_argument("--learning-rate", type=positive_float, default=2e-3, help="highest learning rate (0.002)")
    parser.add_argument(
        "--optimiser", choices=("adam", "muon"), default="adam", help="muon needs fewer batches, each 1.1 times as long"
    )
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of the convolutions")
    parser.add_argument("--pca-windows", type=positive_int, default=6000, help="windows that the PCA is fitted on (6000)")
    parser.add_argument("--start", type=Path, metavar="DIR", help="embedder to begin with: what this command wrote before")
    parser.add_argument("--masks", action=argparse.BooleanOptionalAction, default=True, help="hide stripes of windows at random")
    parser.add_argument(
        "--unsorted-weight", type=positive_float, default=4.0, help="draws of unsorted sound for each of a class (4)"
    )
    parser.add_argument(
        "--textures", type=share, default=0.0, metavar="SHARE", help="share of sounds made at random for the teacher (none)"
    )
    parser.add_argument(
        "--seek", type=share, default=0.0, metavar="SHARE", help="share of unsorted draws from where YAMNet hears a class (none)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help="go on from the checkpoint")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for weights.npz, pca.npz, learnt.npz, embedder.json"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, fit the PCA, report."""
    _require_material(arguments)
    found = find_clips(arguments.clips, arguments.folds) if arguments.clips else []
    labels = labels_of(found)
    clips = load_clips(found, labels)
    if arguments.background:
        clips, labels = with_background(clips, labels, arguments.background)
    held_out = load_clips(find_clips(arguments.clips, arguments.validate_folds), labels) if arguments.validate_folds else []
    teacher = Teacher(arguments.teacher) if arguments.teacher else None
    if teacher is None:
        # Without one there is nothing to learn from them.
        clips = [clip for clip in clips if clip.class_index != UNKNOWN_CLASS]
    key = _key(arguments, clips, labels)
    source = WindowSource(
        clips,
        len(labels),
        arguments.seed,
        texture_share=arguments.textures,
        unknown_weight=arguments.unsorted_weight,
        sought=read_finds(arguments.background, clips) if arguments.seek else (),
        sought_share=arguments.seek,
    )
    if arguments.mean_of:
        require_alike(arguments.mean_of, key, but="seed")
    else:
        checkpoint = arguments.output / CHECKPOINT
        if not arguments.resume:
            checkpoint.unlink(missing_ok=True)
        begin_or_go_on(checkpoint, key)

    from convert.graphs import embedder_training as training  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.graphs.embedder import FoldedEmbedder, Shape, folded  # noqa: PLC0415 - TensorFlow takes seconds to load

    shape = Shape(arguments.width, arguments.layers)
    if arguments.mean_of:
        learnt = training.mean_of([folder / LEARNT for folder in arguments.mean_of])
    else:
        feed = Feed(source, teacher, batch=arguments.batch, uses=arguments.uses, seed=arguments.seed, masks=arguments.masks)
        bfloat16 = arguments.precision == "bfloat16" or (arguments.precision == "auto" and training.bfloat16_is_fast())
        plan = training.Plan(
            arguments.steps,
            arguments.minutes,
            arguments.learning_rate,
            arguments.seed,
            bfloat16,
            arguments.optimiser,
            arguments.start,
        )
        learnt = training.train_embedder(feed, shape, (len(labels), teacher.classes if teacher else 0), plan, checkpoint)
    weights = folded(learnt, shape)
    model = FoldedEmbedder(weights, shape)

    windows = source.draw(np.random.default_rng([arguments.seed, 1 << 31]), arguments.pca_windows)
    matrix, means = training.fit_pca(model.embed_all(np.stack([log_mel(samples) for samples in windows.samples])))
    result: dict[str, Any] = {
        "width": arguments.width,
        "layers": arguments.layers,
        "labels": list(labels),
        "folds": list(arguments.folds or ()),
        "clips": len(found),
        "background_clips": len(clips) - len(found),
        "teacher": arguments.teacher.name if arguments.teacher else None,
        "seed": arguments.seed,
        "mean_of_seeds": [read_json(folder / FACTS)["seed"] for folder in arguments.mean_of or ()],
        "parameters": int(sum(value.size for name, value in weights.items() if not name.startswith("classes/"))),
    }
    if held_out:
        accuracy = training.clip_accuracy(model, [c.samples for c in held_out], [c.class_index for c in held_out])
        result["validation"] = {"folds": list(arguments.validate_folds), "clips": len(held_out), "accuracy": accuracy}
    # For --start and --mean-of. Half precision: it is less than a step of training changes, and halves what may be shipped.
    write_arrays(arguments.output / LEARNT, {name: value.astype(np.float16) for name, value in learnt.items()})
    write_arrays(arguments.output / "weights.npz", weights)
    write_arrays(arguments.output / "pca.npz", {"pca_eigen_vectors": matrix, "pca_means": means})
    write_json(arguments.output / FACTS, result)
    return result


def _key(arguments: argparse.Namespace, clips: Sequence[LoadedClip], labels: Sequence[str]) -> dict[str, Any]:
    """What must be the same to go on: everything but for how long, and how it is computed."""
    return {
        "clips_and_background": digest_of_clips(clips),
        "labels": labels,
        "teacher": digest_of_files([arguments.teacher]) if arguments.teacher else None,
        "start": digest_of_files([arguments.start / LEARNT]) if arguments.start else None,
        "options": {name: getattr(arguments, name) for name in OPTIONS},
    }


def _require_material(arguments: argparse.Namespace) -> None:
    if arguments.clips is None and arguments.background is None:
        raise UsageError("there is nothing to learn from; give a folder of clips, or --background, or both")
    if arguments.textures and not arguments.teacher:
        raise UsageError("--textures have no labels; give --teacher, who says what they sound like")
    if arguments.seek and not (arguments.teacher and arguments.background):
        raise UsageError(
            "--seek draws unsorted background, of which only a teacher can say what it is; give --background, --teacher"
        )
    if (arguments.clips is None) != (arguments.folds is None):
        raise UsageError("--folds belong to a folder of clips; give both or neither")
    if set(arguments.folds or ()) & set(arguments.validate_folds or ()):
        raise UsageError("--folds and --validate-folds share a fold; what is learnt from cannot be validated on")
