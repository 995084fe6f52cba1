"""eval: measure a trained model on records, once or at each new checkpoint, or arrays of scores."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from convert.arguments import positive_float, positive_int
from convert.evaluation.records import (
    Log,
    Measuring,
    Predictor,
    as_json,
    evaluate,
    evaluate_model,
    log,
    open_model,
    require_embedder,
)
from convert.files import read_arrays
from convert.metrics.multilabel import TOP_K
from convert.records.batches import MAX_FRAMES
from convert.records.damage import Damage
from convert.sequence.checkpoints import Checkpoint, newest_checkpoint, trained_model
from edge_detector.errors import EdgeDetectorError, UsageError

SCORE_ROWS = 4_096


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", type=Path, nargs="?", metavar="FOLDER", help="folder that train made")
    parser.add_argument("records", type=Path, nargs="?", metavar="RECORDS", help="a .tfrecord file, or a folder of them")
    parser.add_argument("--scores", type=Path, metavar="FILE.npz", help="measure arrays `predictions` and `labels`, (N, V) each")
    parser.add_argument("--watch", action="store_true", help="measure each new checkpoint until interrupted")
    parser.add_argument("--poll-seconds", type=positive_float, default=10.0, help="how often --watch looks (10)")
    parser.add_argument("--idle-seconds", type=positive_float, help="end --watch after this long without a new checkpoint")
    parser.add_argument("--history", type=Path, metavar="FILE", help="add each result to FILE as a line of JSON")
    parser.add_argument("--top-k", type=positive_int, default=TOP_K, help="best classes of each example in GAP and MAP (20)")
    parser.add_argument(
        "--map-over",
        choices=("labelled", "all"),
        default="labelled",
        help="classes that MAP averages over: those with an example, or all with 0 for the others, as before 2019",
    )
    parser.add_argument("--batch", type=positive_int, default=1024, help="examples of a batch (1024)")
    parser.add_argument("--max-frames", type=positive_int, default=MAX_FRAMES, help="frames of an example that count (300)")
    parser.add_argument("--skip-damaged", action="store_true", help="pass over damaged records and count them")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the model or the arrays."""
    measuring = _measuring(arguments)
    if arguments.scores is not None:
        if arguments.model or arguments.watch:
            raise UsageError("--scores measures finished arrays; leave out FOLDER, RECORDS and --watch")
        figures = evaluate(read_scores(arguments.scores), measuring, say=_silent)
        return {"scores": str(arguments.scores), **as_json(figures, measuring)}
    if arguments.model is None or arguments.records is None:
        raise UsageError("name the FOLDER of a trained model and the RECORDS to measure it on, or --scores FILE.npz")
    if not arguments.watch:
        return _kept(arguments.history, measure(arguments, trained_model(arguments.model)))
    return watch(
        lambda: newest_checkpoint(arguments.model),
        lambda checkpoint: _kept(arguments.history, measure(arguments, checkpoint)),
        poll_seconds=arguments.poll_seconds,
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
) -> dict[str, Any]:
    """Measure one checkpoint on the records."""
    measuring = _measuring(arguments)
    require_embedder(checkpoint.folder, arguments.records)
    say(f"Loading checkpoint for eval: {checkpoint.folder}")
    model = load(checkpoint.folder)
    say(f"enter eval_once loop global_step_val = {checkpoint.step}. ")
    damage = Damage(skip=arguments.skip_damaged)
    figures = evaluate_model(model, arguments.records, measuring, damage, step=checkpoint.step, say=say)
    facts = {"model": str(checkpoint.folder), "step": checkpoint.step, "records": str(arguments.records)}
    return {**facts, **as_json(figures, measuring), "skipped": damage.skipped, "skipped_kinds": damage.kinds}


def watch(
    find: Callable[[], Checkpoint | None],
    measured: Callable[[Checkpoint], dict[str, Any]],
    *,
    poll_seconds: float,
    idle_seconds: float | None,
    sleep: Callable[[float], None] = time.sleep,
    say: Log = log,
) -> dict[str, Any]:
    """Measure each new checkpoint; return the last result after `idle_seconds` without one."""
    seen: Checkpoint | None = None
    result: dict[str, Any] = {}
    count, idle, told = 0, 0.0, False
    while idle_seconds is None or idle < idle_seconds:
        found = find()
        if found is not None and found != seen:
            result = measured(found)
            seen, count, idle, told = found, count + 1, 0.0, False
            continue
        if not told:
            same = f"skip this checkpoint global_step_val={found.step} (same as the previous one)." if found else ""
            say(same or "No checkpoint file found.")
            told = True
        sleep(poll_seconds)
        idle += poll_seconds
    if not count:
        raise EdgeDetectorError(f"no checkpoint came within {idle_seconds:g} s; start train, or name its folder")
    return {**result, "evaluations": count}


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    over = f"{result['labelled_classes']} labelled" if result["map_over"] == "labelled" else f"all {result['classes']}"
    lines = [
        f"{result['examples']} examples, {result['classes']} classes",
        f"Hit@1    {result['hit_at_1']:.4f}",
        f"PERR     {result['perr']:.4f}",
        f"GAP@{result['top_k']:<4} {result['gap']:.4f}",
        f"MAP@{result['top_k']:<4} {result['map']:.4f}  over {over} classes",
        f"mAP      {result['map_all_scores']:.4f}  with every score ranked, as AudioSet's papers have it",
        f"AUC      {_or_none(result['auc'])}",
        f"d'       {_or_none(result['d_prime'])}",
        f"loss     {result['loss']:.4f}",
    ]
    if result.get("skipped"):
        kinds = ", ".join(f"{count} {kind}" for kind, count in result["skipped_kinds"].items())
        lines.append(f"{result['skipped']} damaged records were passed over: {kinds}")
    return "\n".join(lines)


def _measuring(arguments: argparse.Namespace) -> Measuring:
    return Measuring(arguments.top_k, arguments.map_over, arguments.batch, arguments.max_frames)


def _or_none(value: float | None) -> str:
    return "none: every class is perfect, in all examples or in none" if value is None else f"{value:.4f}"


def _kept(history: Path | None, result: dict[str, Any]) -> dict[str, Any]:
    if history is not None:
        try:
            with history.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result, allow_nan=False) + "\n")
        except OSError as error:
            raise EdgeDetectorError(f"{history} cannot be written: {error.strerror}") from error
    return result


def _silent(_line: str) -> None:
    """Accept log lines without writing them: arrays have no training step."""
