"""cross-validate: add up the scores of several bundles, each measured on its held-out clips.

Reads outputs of `score --json` made with the same options. The result has the same keys, summed over all clips and sounds, and
`parts`: the figures of each bundle. Latencies are those of all events. Background and recordings of other sounds count once for
each bundle: false shares are of bundles x recordings.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from convert.evaluation.curve_picture import draw_other_sounds
from convert.evaluation.score import ScoreResult, cross_validation, read_score
from convert.evaluation.tables import score_text
from convert.files import write_bytes
from edge_detector.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("scores", type=Path, nargs="+", metavar="FILE", help="output of score --json, one for each bundle")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="draw found over false of other sounds at every strictness"
    )


def run(arguments: argparse.Namespace) -> ScoreResult:
    """Add up the scores."""
    results = [read_score(path) for path in arguments.scores]
    _require_alike(arguments.scores, results)
    result = cross_validation(results)
    if arguments.picture:
        if result.other_sounds is None:
            raise UsageError("--picture draws false events in other sounds; score with --others, or leave it out")
        write_bytes(arguments.picture, draw_other_sounds(result.other_sounds))
    return result


def describe(result: ScoreResult) -> str:
    """Format the result as text."""
    return score_text(result)


def _require_alike(paths: Sequence[Path], results: Sequence[ScoreResult]) -> None:
    seen: dict[int, Path] = {}
    for path, result in zip(paths, results, strict=True):
        if result.version is None:
            raise UsageError(f"{path} is a cross-validation; give the scores that it adds up")
        if not result.folds:
            raise UsageError(f"{path} is a score of all clips; score with --folds, those held out from its bundle")
        for fold in result.folds:
            if fold in result.training_folds:
                raise UsageError(f"{path} scores a bundle on fold {fold}, on which it was trained; score it on others")
            if fold in seen:
                raise UsageError(f"{seen[fold]} and {path} are both of fold {fold}; give each fold once")
            seen[fold] = path
        if result.shape() != results[0].shape():
            raise UsageError(f"{path} was scored with other classes or options than {paths[0]}; score both alike")
