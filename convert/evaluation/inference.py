"""Inference by files of records: each gives a part of the CSV, whole or absent, and the parts are joined in order."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from convert.evaluation.records import BATCH_EXAMPLES, Predictor, form_of, open_model, predicted
from convert.files import atomic_path, read_json, write_json
from convert.fingerprint import digest_of_files
from convert.metrics.rows import ranked_classes
from convert.plain_data import from_plain
from convert.records.batches import batches
from convert.records.damage import SHOWN, Damage
from convert.records.files import read_dataset, sidecar
from convert.sequence.facts import FACTS, WEIGHTS, read_facts
from convert.tasks import Outcome
from edge_detector import __version__
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.types import Float32

HEADER = "VideoId,LabelConfidencePairs"
UNNAMED = b"\r"
"""Begins the line of a record without id in a part, which an id cannot: its number is known once the parts are joined."""

KEY_CHARACTERS = 16
MOST_NAME_CHARACTERS = 40
"""Of a file, in the name of its part: a name has 255 bytes at most, a character up to four."""


@dataclass(frozen=True, slots=True)
class InferPlan:
    """Everything that the CSV depends on; all paths are absolute.

    Attributes:
        model: folder of the model.
        digest: of its files.
        files: files of records, in order.
        parts: part of each; its name tells what it depends on.
        top_k: number of classes of each record.
        names: write names of classes in place of numbers.
        skip_damaged: leave out damaged records; otherwise they are errors.

    """

    model: Path
    digest: str
    files: tuple[Path, ...]
    parts: tuple[Path, ...]
    top_k: int
    names: bool
    skip_damaged: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The JSON file beside a part.

    Attributes:
        bytes: size of the part.
        records: number of its records.
        top_k: number of classes of each.
        skipped: number of damaged records by kind.
        sentences: errors of the first few.

    """

    bytes: int
    records: int
    top_k: int
    skipped: Mapping[str, int]
    sentences: tuple[str, ...]


def plan_inference(model: Path, files: Sequence[Path], folder: Path, *, top_k: int, names: bool, skip_damaged: bool) -> InferPlan:
    """Plan the parts in `folder`. Raises UsageError for a file that cannot be read."""
    digest = digest_of_files([model / FACTS, model / WEIGHTS])
    absolute = tuple(file.absolute() for file in files)

    def part_of(file: Path) -> Path:
        try:
            facts = file.stat()
        except OSError as error:
            raise UsageError(f"{file} cannot be opened: {error.strerror}") from error
        depends_on = [digest, str(file), facts.st_size, facts.st_mtime_ns, top_k, names, skip_damaged, __version__]
        key = hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:KEY_CHARACTERS]
        return folder.absolute() / f"{file.stem[:MOST_NAME_CHARACTERS]}-{key}.csv"

    return InferPlan(model.absolute(), digest, absolute, tuple(map(part_of, absolute)), top_k, names, skip_damaged)


def make_part(
    plan: InferPlan, number: int, *, load: Callable[[Path], Predictor] = open_model, within: Callable[[int], None] | None = None
) -> Outcome:
    """Predict the records of file `number`. Batches never cross files, so that each part is the same wherever it is made.

    `within` gets the number of records done.
    """
    try:
        if not is_complete(plan.parts[number]):
            _write(plan, number, _model(load, plan.model, plan.digest), within)
    except EdgeDetectorError as error:
        return Outcome.of_error(number, error)
    return Outcome(number, "made")


def is_complete(part: Path) -> bool:
    """Return whether a part has the size that the JSON file beside it names."""
    return part.exists() and sidecar(part).exists() and read_part(part).bytes == part.stat().st_size


def read_part(part: Path) -> Part:
    """Read the JSON file beside a part."""
    return from_plain(Part, read_json(sidecar(part)), str(sidecar(part)))


def join_parts(plan: InferPlan, output: Path) -> Part:
    """Join the parts into the CSV, atomically; return their sums. A record without id is called by its number among all."""
    parts = [read_part(part) for part in plan.parts]
    skipped: Counter[str] = Counter()
    for part in parts:
        skipped.update(part.skipped)
    count = 0
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        file.write(f"{HEADER}\n".encode())
        for part_file in plan.parts:
            with part_file.open("rb") as part_lines:
                for line in part_lines:
                    file.write(line if line[:1] != UNNAMED else b"record-%d%b" % (count, line[1:]))
                    count += 1
        size = file.tell()
    sentences = tuple(sentence for part in parts for sentence in part.sentences)[:SHOWN]
    return Part(size, count, max(part.top_k for part in parts), dict(sorted(skipped.items())), sentences)


def lines(names: tuple[str, ...], probabilities: Float32, top_k: int, classes: Sequence[object]) -> Iterator[str]:
    """Yield `ID,CLASS SCORE CLASS SCORE …` per row of probabilities (n, V), best first; ties give the lower class first."""
    ranking = ranked_classes(probabilities.astype(np.float64))[:, :top_k]
    for name, row, best in zip(names, probabilities, ranking, strict=True):
        if "\n" in name or "\r" in name:
            raise EdgeDetectorError(f"the id {name!r} has a line break, which the CSV cannot hold; rename the record")
        yield f"{name or UNNAMED.decode()},{' '.join(f'{classes[index]} {row[index]:g}' for index in best)}\n"


def _write(plan: InferPlan, number: int, model: Predictor, within: Callable[[int], None] | None) -> None:
    classes = read_facts(plan.model).labels if plan.names else range(model.classes)
    damage = Damage(skip=plan.skip_damaged, stream=io.StringIO())
    # Labels are ignored, so they may come from any set of classes.
    records = read_dataset(plan.files[number], form_of(model, labelled=False), damage)
    unlabelled = (replace(record, labels=()) for record in records)
    part, count = plan.parts[number], 0
    with atomic_path(part) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for batch, probabilities in predicted(model, batches(unlabelled, model.classes, BATCH_EXAMPLES)):
            file.writelines(lines(batch.ids, probabilities, plan.top_k, classes))
            count += len(batch.ids)
            if within is not None:
                within(count)
    content = Part(part.stat().st_size, count, min(plan.top_k, model.classes), damage.kinds, tuple(damage.sentences))
    write_json(sidecar(part), content)


@lru_cache(maxsize=1)
def _model(load: Callable[[Path], Predictor], folder: Path, digest: str) -> Predictor:
    """Return this process's model. Raises EdgeDetectorError if it is not the one that the plan was made with."""
    if digest_of_files([folder / FACTS, folder / WEIGHTS]) != digest:
        raise EdgeDetectorError(f"{folder} holds another model than on the machine that planned; share the folder")
    return load(folder)
