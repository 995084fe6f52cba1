"""infer: write the top classes of each record as YouTube-8M's CSV (YouTube-8M starter code, inference.py)."""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from convert.arguments import positive_int
from convert.evaluation.inference import InferPlan, is_complete, join_parts, make_part, plan_inference, read_part
from convert.evaluation.records import Predictor, log, open_model, require_embedder
from convert.locks import Lock, file_lock
from convert.metrics.multilabel import TOP_K
from convert.progress import Progress
from convert.records.files import record_files, sidecar
from convert.runners.arguments import add_runner_arguments, chosen_runner
from convert.sequence.checkpoints import trained_model
from convert.tasks import Runner, carry_out, require_made, run_here
from edge_detector.plain_text import without_controls


@dataclass(frozen=True, slots=True)
class InferResult:
    """Number of examples, classes of each, damaged records that were skipped (in all and by kind), and the CSV file."""

    examples: int
    top_k: int
    skipped: int
    skipped_kinds: Mapping[str, int]
    output: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", type=Path, metavar="FOLDER", help="folder that train made")
    parser.add_argument(
        "records", type=Path, nargs="+", metavar="RECORDS", help=".tfrecord files, or folders of them; labels are not needed"
    )
    parser.add_argument(
        "--top-k", type=positive_int, default=TOP_K, help="number of classes of each record (20, or all if there are fewer)"
    )
    parser.add_argument("--names", action="store_true", help="write the names of classes, such as dog_bark, in place of numbers")
    add_runner_arguments(parser)
    parser.add_argument("--skip-damaged", action="store_true", help="skip damaged records and count them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the CSV file")


def run(arguments: argparse.Namespace, load: Callable[[Path], Predictor] = open_model) -> InferResult:
    """Predict all records and write the file atomically."""
    started = time.monotonic()
    runner = chosen_runner(arguments)
    folder = trained_model(arguments.model).folder
    require_embedder(folder, arguments.records)
    parts = arguments.output.with_name(f"{arguments.output.name}.parts")
    plan = plan_inference(
        folder,
        record_files(arguments.records),
        parts,
        top_k=arguments.top_k,
        names=arguments.names,
        skip_damaged=arguments.skip_damaged,
    )
    with _alone(arguments.output):
        try:
            _make_all(plan, runner, load)
            found = join_parts(plan, arguments.output)
            _remove(parts, "*.csv", "*.csv.json")
        finally:
            # Finished parts stay for the next run, what was begun does not.
            _remove(parts, ".*.part")
    for sentence in found.sentences:
        log(f"skipped: {without_controls(sentence)}")
    elapsed = time.monotonic() - started
    rate = found.records / max(elapsed, 1e-9)
    log(f"num examples processed: {found.records} elapsed seconds: {elapsed:.2f} examples/sec: {rate:.2f}")
    return InferResult(found.records, found.top_k, sum(found.skipped.values()), found.skipped, str(arguments.output))


def describe(result: InferResult) -> str:
    """Format the result as text."""
    skipped = f"; {result.skipped} damaged records were skipped" if result.skipped else ""
    return f"{result.output}: the top {result.top_k} classes of {result.examples} records{skipped}"


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Wait until no other run writes the same CSV."""
    with file_lock(output, wait=False) as lock:
        if lock is not Lock.BUSY:
            yield
            return
    log(f"another run is writing {output}; waiting for it")
    with file_lock(output, wait=True):
        yield


def _make_all(plan: InferPlan, runner: Runner | None, load: Callable[[Path], Predictor]) -> None:
    """Make the parts that are missing."""
    progress = Progress("infer: record")
    missing = [number for number, part in enumerate(plan.parts) if not is_complete(part)]
    done = sum(read_part(plan.parts[number]).records for number in set(range(len(plan.parts))) - set(missing))

    def finished(number: int) -> None:
        nonlocal done
        require_made([sidecar(plan.parts[number])])
        done += read_part(plan.parts[number]).records
        progress.update(done)

    make = partial(make_part, plan, load=load)
    if runner is None:
        make = partial(make, within=lambda count: progress.update(done + count))
    carry_out(make, missing, runner or run_here, finished)
    progress.close()


def _remove(folder: Path, *patterns: str) -> None:
    """Remove files, and the folder once it is empty."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
