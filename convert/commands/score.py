"""score: a bundle against labelled clips, through the detector's own path."""

import argparse
from pathlib import Path
from typing import Any

from convert.arguments import folds
from convert.data.clips import find_clips, load_clips
from convert.data.scoring import confusion_table, score_clips
from convert.serving import detector_model
from edge_detector.core.bundle import load_bundle
from edge_detector.params import HOPS_PER_PATCH


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("bundle", type=Path, help="bundle folder")
    parser.add_argument("clips", type=Path, metavar="DIR", help="folder of clips: SLUG/FOLD-SOURCE-TAKE.ogg")
    parser.add_argument("--folds", type=folds, help="folds to score (all)")
    parser.add_argument("--hops", type=int, choices=HOPS_PER_PATCH, default=1, help="hops per patch (1: every 0.96 s)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score."""
    bundle = load_bundle(arguments.bundle)
    slugs = [sound.slug for sound in bundle.manifest.classes]
    clips = load_clips(find_clips(arguments.clips, arguments.folds), slugs)
    confusion = score_clips(detector_model(bundle), clips, slugs, arguments.hops)
    return {"bundle": bundle.manifest.name, "version": bundle.manifest.version, **confusion.as_json()}


def describe(result: dict[str, Any]) -> str:
    """The result for people."""
    share = f"{result['right']} of {result['clips']} clips have their class on top by mean probability"
    return f"{share}: {100 * result['accuracy']:.1f} %\n\n{confusion_table(result)}"
