"""eval: measure a trained model on records, once or at each new checkpoint, or arrays of scores."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from convert.arguments import positive_float, positive_int
from convert.evaluation.records import (
    Log,
    Measuring,
    Predictor,
    evaluate,
    evaluate_model,
    log,
    open_model,
    require_embedder,
)
from convert.files import read_arrays
from convert.metrics.multilabel import TOP_K, Figures, MapOver
from convert.plain_data import to_plain
from convert.records.damage import Damage
from convert.sequence.checkpoints import Checkpoint, newest_checkpoint, trained_model
from edge_detector.errors import EdgeDetectorError, UsageError

SCORE_ROWS = 4_096
POLL_SECONDS = 10.0
"""Time between two looks for a new checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalResult(Figures):
    """Figures of a model or of arrays.

    Attributes:
        top_k, map_over: options.
        scores: file of the arrays.
        model, step, records: the checkpoint, its training steps, and the files or folders of records.
        skipped, skipped_kinds: damaged records that were skipped, in all and by kind.
        evaluations: number of checkpoints that --watch measured.

    """

    top_k: int
    map_over: MapOver
    scores: str | None = None
    model: str | None = None
    step: int | None = None
    records: tuple[str, ...] | None = None
    skipped: int | None = None
    skipped_kinds: Mapping[str, int] | None = None
    evaluations: int | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", type=Path, nargs="?", metavar="FOLDER", help="folder that train made")
    parser.add_argument("records", type=Path, nargs="*", metavar="RECORDS", help=".tfrecord files, or folders of them")
    parser.add_argument("--scores", type=Path, metavar="FILE.npz", help="measure arrays `predictions` and `labels`, (N, V) each")
    repeated = parser.add_mutually_exclusive_group()
    repeated.add_argument("--run_once", "--run-once", action="store_true", help="measure once (the default)")
    repeated.add_argument(
        "--watch",
        action="store_true",
        help="measure the newest checkpoint, then each newer one, until interrupted; train keeps training.checkpoints of them",
    )
    parser.add_argument("--idle-seconds", type=positive_float, help="end --watch after this long without a new checkpoint")
    parser.add_argument("--history", type=Path, metavar="FILE", help="append each result to FILE as a line of JSON")
    parser.add_argument("--top-k", type=positive_int, default=TOP_K, help="classes of each example that enter GAP and MAP (20)")
    parser.add_argument(
        "--map-over",
        choices=("labelled", "all"),
        default="labelled",
        help="classes that MAP averages over: those with an example, or all, with 0 for those without, as before 2019 (labelled)",
    )
    parser.add_argument("--skip-damaged", action="store_true", help="skip damaged records and count them")


def run(arguments: argparse.Namespace) -> EvalResult:
    """Measure the model or the arrays."""
    measuring = Measuring(arguments.top_k, arguments.map_over)
    if arguments.scores is not None:
        if arguments.model or arguments.watch:
            raise UsageError("--scores measures finished arrays; leave out FOLDER, RECORDS and --watch")
        figures = evaluate(read_scores(arguments.scores), measuring, say=_silent)
        return replace(_result(figures, measuring), scores=str(arguments.scores))
    if arguments.model is None or not arguments.records:
        raise UsageError("there is nothing to measure; name the FOLDER of a trained model and RECORDS, or --scores FILE.npz")
    if not arguments.watch:
        return _kept(arguments.history, measure(arguments, trained_model(arguments.model)))
    return watch(
        lambda: newest_checkpoint(arguments.model),
        lambda checkpoint: _kept(arguments.history, measure(arguments, checkpoint)),
        idle_seconds=arguments.idle_seconds,
    )


def read_scores(path: Path) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield predictions and labels from an npz file, some rows at a time."""
    arrays = read_arrays(path)
    try:
        predictions, labels = arrays["predictions"], arrays["labels"]
    except KeyError as error:
        raise EdgeDetectorError(f"{path} has {', '.join(arrays) or 'no arrays'}; it needs `predictions` and `labels`") from error
    if predictions.shape != labels.shape or predictions.ndim != 2:  # noqa: PLR2004 - (N, V)
        raise EdgeDetectorError(f"{path}: predictions {predictions.shape} and labels {labels.shape} must both be (N, V)")
    for first in range(0, len(predictions), SCORE_ROWS):
        yield predictions[first : first + SCORE_ROWS], labels[first : first + SCORE_ROWS]


def measure(
    arguments: argparse.Namespace, checkpoint: Checkpoint, load: Callable[[Path], Predictor] = open_model, say: Log = log
) -> EvalResult:
    """Measure one checkpoint on the records."""
    measuring = Measuring(arguments.top_k, arguments.map_over)
    require_embedder(checkpoint.folder, arguments.records)
    say(f"Loading checkpoint for eval: {checkpoint.folder}")
    model = load(checkpoint.folder)
    say(f"enter eval_once loop global_step_val = {checkpoint.step}. ")
    damage = Damage(skip=arguments.skip_damaged)
    figures = evaluate_model(model, arguments.records, measuring, damage, step=checkpoint.step, say=say)
    return replace(
        _result(figures, measuring),
        model=str(checkpoint.folder),
        step=checkpoint.step,
        records=tuple(map(str, arguments.records)),
        skipped=damage.skipped,
        skipped_kinds=damage.kinds,
    )


def watch(
    find: Callable[[], Checkpoint | None],
    measured: Callable[[Checkpoint], EvalResult],
    *,
    idle_seconds: float | None,
    sleep: Callable[[float], None] = time.sleep,
    say: Log = log,
) -> EvalResult:
    """Measure each new checkpoint; return the last result after `idle_seconds` without one."""
    seen: Checkpoint | None = None
    result: EvalResult | None = None
    count, idle, is_logged = 0, 0.0, False
    while idle_seconds is None or idle < idle_seconds:
        found = find()
        if found is not None and found != seen:
            try:
                result = measured(found)
            except UsageError:
                # train deletes its oldest checkpoints, at times while one is loaded.
                if found.exists():
                    raise
                say(f"{found.folder} was replaced by newer checkpoints while it was loaded.")
                continue
            seen, count, idle, is_logged = found, count + 1, 0.0, False
            continue
        if not is_logged:
            same = f"skip this checkpoint global_step_val={found.step} (same as the previous one)." if found else ""
            say(same or "No checkpoint file found.")
            is_logged = True
        sleep(POLL_SECONDS)
        idle += POLL_SECONDS
    if result is None:
        raise EdgeDetectorError(f"no checkpoint came within {idle_seconds:g} s; start train, or name its folder")
    return replace(result, evaluations=count)


def describe(result: EvalResult) -> str:
    """Format the result as text."""
    over = f"{result.labelled_classes} labelled" if result.map_over == "labelled" else f"all {result.classes}"
    lines = [
        f"{result.examples} examples, {result.classes} classes",
        f"Hit@1    {result.hit_at_1:.4f}",
        f"PERR     {result.perr:.4f}",
        f"GAP@{result.top_k:<4} {result.gap:.4f}",
        f"MAP@{result.top_k:<4} {result.map:.4f}  over {over} classes",
        f"mAP      {result.map_all_scores:.4f}  with every score ranked, as in AudioSet's papers",
        f"AUC      {_or_none(result.auc)}",
        f"d'       {_or_none(result.d_prime)}",
        f"loss     {result.loss:.4f}",
    ]
    if result.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in (result.skipped_kinds or {}).items())
        lines.append(f"{result.skipped} damaged records were skipped: {kinds}")
    return "\n".join(lines)


def _result(figures: Figures, measuring: Measuring) -> EvalResult:
    return EvalResult(**asdict(figures), top_k=measuring.top_k, map_over=measuring.map_over)


def _or_none(value: float | None) -> str:
    return "none: every class is perfect, in all examples or in none" if value is None else f"{value:.4f}"


def _kept(history: Path | None, result: EvalResult) -> EvalResult:
    if history is not None:
        try:
            with history.open("a", encoding="utf-8") as file:
                file.write(json.dumps(to_plain(result), allow_nan=False) + "\n")
        except OSError as error:
            raise EdgeDetectorError(f"{history} cannot be written: {error.strerror}") from error
    return result


def _silent(_line: str) -> None:
    """Accept log lines without writing them: arrays have no training step."""
