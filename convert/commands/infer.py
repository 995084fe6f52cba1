"""infer: write the top classes of each record as YouTube-8M's CSV (YouTube-8M starter code, inference.py)."""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convert.arguments import positive_int
from convert.evaluation.records import BATCH_EXAMPLES, Predictor, form_of, log, open_model, predicted, require_embedder
from convert.files import atomic_path
from convert.metrics.multilabel import TOP_K
from convert.metrics.rows import ranked_classes
from convert.progress import Progress
from convert.records.batches import batches
from convert.records.damage import Damage
from convert.records.files import read_dataset
from convert.sequence.checkpoints import trained_model
from convert.sequence.facts import read_facts
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Float32

HEADER = "VideoId,LabelConfidencePairs"


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
    parser.add_argument("--skip-damaged", action="store_true", help="skip damaged records and count them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the CSV file")


def run(arguments: argparse.Namespace, load: Callable[[Path], Predictor] = open_model) -> InferResult:
    """Predict all records and write the file atomically."""
    started = time.monotonic()
    damage = Damage(skip=arguments.skip_damaged)
    folder = trained_model(arguments.model).folder
    require_embedder(folder, arguments.records)
    model = load(folder)
    classes = read_facts(folder).labels if arguments.names else range(model.classes)
    # Labels are ignored, so they may come from any set of classes.
    records = read_dataset(arguments.records, form_of(model, labelled=False), damage)
    unlabelled = (replace(record, labels=()) for record in records)
    source = batches(unlabelled, model.classes, BATCH_EXAMPLES)
    progress = Progress("infer: record")
    count = 0
    with atomic_path(arguments.output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{HEADER}\n")
        for batch, probabilities in predicted(model, source):
            names = (name or f"record-{number}" for number, name in enumerate(batch.ids, count))
            file.writelines(lines(tuple(names), probabilities, arguments.top_k, classes))
            count += len(batch.ids)
            progress.update(count)
    progress.close()
    elapsed = time.monotonic() - started
    log(f"num examples processed: {count} elapsed seconds: {elapsed:.2f} examples/sec: {count / max(elapsed, 1e-9):.2f}")
    top_k = min(arguments.top_k, model.classes)
    return InferResult(count, top_k, damage.skipped, damage.kinds, str(arguments.output))


def describe(result: InferResult) -> str:
    """Format the result as text."""
    skipped = f"; {result.skipped} damaged records were skipped" if result.skipped else ""
    return f"{result.output}: the top {result.top_k} classes of {result.examples} records{skipped}"


def lines(names: tuple[str, ...], probabilities: Float32, top_k: int, classes: Sequence[object]) -> Iterator[str]:
    """Yield `ID,CLASS SCORE CLASS SCORE …` per row of probabilities (n, V), best first; ties give the lower class first."""
    ranking = ranked_classes(probabilities.astype(np.float64))[:, :top_k]
    for name, row, best in zip(names, probabilities, ranking, strict=True):
        if "\n" in name or "\r" in name:
            raise EdgeDetectorError(f"the id {name!r} has a line break, which the CSV cannot hold; rename the record")
        yield f"{name},{' '.join(f'{classes[index]} {row[index]:g}' for index in best)}\n"
