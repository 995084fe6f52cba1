"""Plan of an embedding run: what each file of records is made of. Any process that sees the folders can make any file of it."""

import hashlib
import io
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from convert.embedder.arguments import load_embedder
from convert.embedder.corpus import Recording, embedded
from convert.embedder.provenance import RECORDINGS, recordings_digest, set_facts
from convert.embedder.runtime import CodeEmbedder
from convert.files import abandoned, atomic_path
from convert.locks import Lock, file_lock
from convert.records.classes import classes_to_json
from convert.records.damage import Damage, Damaged, DamagedRecordError
from convert.records.files import Record, Sidecar, read_sidecar, sidecar, write_dataset
from convert.tasks import Outcome
from edge_detector.class_names import ClassName
from edge_detector.errors import EdgeDetectorError, UsageError

DAMAGED = "damaged.tsv"
"""List of the recordings that cannot be used: name, kind of damage and sentence in each line."""

_OF_A_SHARD = re.compile(r"\.(.+-\d{5,}-of-\d{5,}\.tfrecord)\..*")
"""Name of a lock or a temporary file."""


@dataclass(frozen=True, slots=True)
class EmbedPlan:
    """Everything that the files of a set depend on; all paths are absolute.

    Attributes:
        output: folder of the files, or the only file.
        files: the files.
        recordings: those of each file, in the order of its records.
        digests: digest of each file's recordings.
        embedder: file or bundle.
        classes: classes of the labels.
        facts: what all files of the set have in common.
        skip_damaged: leave out recordings that cannot be used; otherwise they are errors.
        keep: keep files that are complete.

    """

    output: Path
    files: tuple[Path, ...]
    recordings: tuple[tuple[Recording, ...], ...]
    digests: tuple[str, ...]
    embedder: Path
    classes: tuple[ClassName, ...]
    facts: Mapping[str, object]
    skip_damaged: bool
    keep: bool


def plan_embedding(
    recordings: Sequence[Recording],
    classes: Sequence[ClassName],
    folds: Sequence[int] | None,
    *,
    embedder: Path,
    output: Path,
    shards: int | None,
    skip_damaged: bool,
) -> EmbedPlan:
    """Plan one file, or FOLDER/NAME-00000-of-000NN.tfrecord with `shards`; NAME is that of the folder.

    The names of recordings decide about their file, so that one more recording changes one file.

    Raises UsageError for a folder without `shards`, for one with other records, and for a recording that cannot be read.
    """
    if output.is_dir() and not shards:
        raise UsageError(f"{output} is a folder; give --shards N with it, or name a file")
    output = output.absolute()
    absolute = [Recording(each.path.absolute(), each.name, each.labels, each.folds) for each in recordings]
    if shards:
        name = output.resolve().name
        files = tuple(output / f"{name}-{number:05d}-of-{shards:05d}.tfrecord" for number in range(shards))
        contents = _shared_out(absolute, shards)
    else:
        files, contents = (output,), (tuple(absolute),)
    plan = EmbedPlan(
        output=output,
        files=files,
        recordings=contents,
        digests=tuple(recordings_digest((f"{each.name}\0{each.labels}", each.path) for each in own) for own in contents),
        embedder=embedder.absolute(),
        classes=tuple(classes),
        facts={**set_facts(load_embedder(embedder), folds), **({"assignment": "by name"} if shards else {})},
        skip_damaged=skip_damaged,
        keep=bool(shards),
    )
    require_one_set(plan)
    return plan


def make_shard(plan: EmbedPlan, number: int, *, wait: bool, within: Callable[[int], None] | None = None) -> Outcome:
    """Make file `number`: it and the JSON file beside it are whole or absent, and the same bytes wherever they are made.

    Args:
        plan: the plan.
        number: of the file.
        wait: for another process that is making it; otherwise the outcome is `busy`.
        within: gets the number of recordings done.

    """
    path = plan.files[number]
    try:
        with file_lock(path, wait=wait) as lock:
            if lock is Lock.BUSY:
                return Outcome(number, "busy")
            if lock is Lock.HELD:
                # No other process writes the file now: these are of killed runs.
                _remove(abandoned(path))
            # What another run made while this one waited is not made twice, even where nothing is kept.
            if not ((plan.keep or wait) and is_complete(plan, number)):
                _write(plan, number, within)
    except EdgeDetectorError as error:
        return Outcome.of_error(number, error)
    return Outcome(number, "made")


def is_complete(plan: EmbedPlan, number: int) -> bool:
    """Return whether a file has the size, the facts and the recordings that it must have.

    Raises UsageError for a file of another set, which another run may have begun in the same folder.
    """
    path = plan.files[number]
    if not (path.exists() and sidecar(path).exists()):
        return False
    held = read_sidecar(path)
    changed = _changes(plan, held)
    if changed and plan.keep:
        different = ", ".join(changed)
        raise UsageError(f"{path} differs in {different} from these records; remove {path.parent}, or give another folder")
    same = not changed and (held.made_of or {}).get(RECORDINGS) == plan.digests[number]
    return same and held.bytes == path.stat().st_size


def require_one_set(plan: EmbedPlan) -> None:
    """Raise UsageError for a folder with other records than this set's."""
    if not plan.keep:
        return
    if other := sorted(set(plan.output.glob("*.tfrecord")) - set(plan.files)):
        raise UsageError(f"{other[0]} is not one of these {len(plan.files)} shards; remove it, or give another folder")
    for number in range(len(plan.files)):
        is_complete(plan, number)


def write_damaged(plan: EmbedPlan) -> tuple[Path | None, tuple[Damaged, ...]]:
    """List the recordings that cannot be used, from the JSON files beside the records; None if there are none."""
    found = sorted(each for path in plan.files for each in read_sidecar(path).damaged or ())
    path = plan.output / DAMAGED if plan.keep else plan.output.with_name(f"{plan.output.name}.{DAMAGED}")
    if not found:
        path.unlink(missing_ok=True)
        return None, ()
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines("\t".join(map(_in_a_column, (each.name, each.kind, each.sentence))) + "\n" for each in found)
    return path, tuple(found)


def tidy(plan: EmbedPlan) -> None:
    """Remove what killed runs left, for another number of shards too, unless another run is at it."""
    begun = set(plan.files)
    if plan.keep:
        found = (_OF_A_SHARD.match(entry.name) for entry in os.scandir(plan.output))
        begun = {plan.output / each[1] for each in found if each}
    for path in begun:
        with file_lock(path, wait=False) as lock:
            if lock is Lock.HELD:
                _remove(abandoned(path))


def _shared_out(recordings: Sequence[Recording], shards: int) -> tuple[tuple[Recording, ...], ...]:
    shared: list[list[Recording]] = [[] for _ in range(shards)]
    for each in sorted(recordings, key=lambda each: each.name):
        digest = hashlib.sha256(each.name.encode(errors="surrogateescape")).hexdigest()
        shared[int(digest, 16) % shards].append(each)
    return tuple(map(tuple, shared))


def _changes(plan: EmbedPlan, held: Sidecar) -> list[str]:
    """Name what the set has in common and a file of it has not."""
    facts = held.made_of or {}
    changed = [name for name, value in plan.facts.items() if facts.get(name) != value]
    same = held.labels == tuple(each.slug for each in plan.classes) and held.classes == classes_to_json(plan.classes)
    return changed if same else [*changed, "classes"]


def _write(plan: EmbedPlan, number: int, within: Callable[[int], None] | None) -> None:
    path, embedder = plan.files[number], _embedder_of(plan)
    damage = Damage(skip=plan.skip_damaged, stream=io.StringIO())
    damaged: list[Damaged] = []

    def records() -> Iterator[Record]:
        for place, recording in enumerate(plan.recordings[number]):
            if within is not None:
                within(place)
            try:
                yield embedded(recording, embedder)
            except DamagedRecordError as error:
                _require_there(recording)
                damage.handle(error)
                damaged.append(Damaged(recording.name, error.kind, str(error)))
        # Gone just before the file changes: a JSON file never stands beside records that it does not describe, and an error
        # above leaves both as they were.
        sidecar(path).unlink(missing_ok=True)

    made_of = {**plan.facts, RECORDINGS: plan.digests[number]}
    write_dataset(path, records(), plan.classes, made_of=made_of, damage=damage, damaged=damaged)


def _embedder_of(plan: EmbedPlan) -> CodeEmbedder:
    """Return this process's embedder. Raises EdgeDetectorError if the plan was made with another one, or another program."""
    embedder = _embedder(plan.embedder, str(plan.facts["embedder"]))
    here = set_facts(embedder, None)
    if changed := [name for name, value in here.items() if plan.facts[name] != value]:
        raise EdgeDetectorError(
            f"{plan.embedder} on {socket.gethostname()} differs in {', '.join(changed)} from the machine that planned; "
            "install the same program, with the same embedder, on every machine"
        )
    return embedder


@lru_cache(maxsize=1)
def _embedder(path: Path, _: str) -> CodeEmbedder:
    return load_embedder(path)


def _require_there(recording: Recording) -> None:
    """Raise EdgeDetectorError for a recording that was there when the run was planned: it is elsewhere, not damaged."""
    if not recording.path.exists():
        raise EdgeDetectorError(
            f"{recording.path} is not there on {socket.gethostname()}; share its folder under the same path on every machine, "
            "or run the command again if it was removed"
        )


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _in_a_column(text: str) -> str:
    """A name may have tabs and line breaks, which separate columns and lines here."""
    return " ".join(text.replace("\t", " ").splitlines())
