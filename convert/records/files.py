"""Files of embedding records, one record in memory at a time, each with a JSON file that describes it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from convert.files import read_json, write_json
from convert.plain_data import from_plain
from convert.records import protobuf, tfrecord
from convert.records.classes import classes_from_json, classes_to_json
from convert.records.damage import Damage, Damaged, DamagedRecordError
from convert.records.forms import ANY_FORM, Form, Record, decode_record, encode_record
from convert.records.identity import KEYS, embedder_id
from edge_detector.class_names import ClassName, named
from edge_detector.errors import EdgeDetectorError, UsageError

__all__ = [
    "ANY_FORM",
    "Form",
    "Record",
    "Records",
    "decode_record",
    "encode_record",
    "find_classes",
    "find_embedder",
    "find_folds",
    "named_records",
    "read_classes",
    "read_dataset",
    "read_sidecar",
    "record_files",
    "sidecar",
    "write_dataset",
]


Records: TypeAlias = Path | Sequence[Path]
"""A file of records, a folder of them, or several of both."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The JSON file beside a file of records.

    Attributes:
        labels: slugs of the classes.
        classes: label, identifier and AudioSet labels of each class, by slug (convert.records.classes).
        records: number of records.
        bytes: size of the file of records.
        skipped: number of damaged records by kind of damage.
        made_of: all facts that the records depend on; None if unknown.
        damaged: recordings that were skipped, by name; None if there are none, or only counts.

    """

    labels: tuple[str, ...] = ()
    classes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    records: int = 0
    bytes: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    made_of: Mapping[str, object] | None = None
    damaged: tuple[Damaged, ...] | None = None


def write_dataset(
    path: Path,
    records: Iterable[Record],
    classes: Sequence[str] | Sequence[ClassName],
    *,
    made_of: Mapping[str, object] | None = None,
    damage: Damage | None = None,
    damaged: Collection[Damaged] = (),
) -> int:
    """Write the records, and `<path>.json` beside them, with the damaged records that `damage` counts meanwhile.

    `damaged` may grow while the records are made. Returns the number of records.
    """
    damage = damage or Damage()
    before = Counter(damage.kinds)
    count = tfrecord.write_records(path, (encode_record(record) for record in records))
    known = [named(each) if isinstance(each, str) else each for each in classes]
    content = Sidecar(
        labels=tuple(each.slug for each in known),
        classes=classes_to_json(known),
        records=count,
        bytes=path.stat().st_size,
        skipped=Counter(damage.kinds) - before,
        made_of=made_of or None,
        damaged=tuple(sorted(damaged)) or None,
    )
    write_json(sidecar(path), content)
    return count


def sidecar(path: Path) -> Path:
    """Return the path of the JSON file beside a file of records."""
    return path.with_name(path.name + ".json")


def read_sidecar(path: Path) -> Sidecar:
    """Read the JSON file beside a file of records. Raises UsageError if it is missing or wrong."""
    return from_plain(Sidecar, read_json(sidecar(path)), str(sidecar(path)), ignore_unknown=True)


def read_classes(path: Path) -> tuple[ClassName, ...]:
    """Return the classes of a file."""
    content = read_sidecar(path)
    return classes_from_json(content.labels, content.classes)


def find_classes(records: Records) -> tuple[ClassName, ...] | None:
    """Return the classes of files that agree; None without a JSON file."""
    found = {read_classes(file) for file in record_files(records) if sidecar(file).exists()}
    if len(found) > 1:
        text = f"the files in {named_records(records)} have different classes; give records of one set of classes"
        raise EdgeDetectorError(text)
    return next(iter(found), None) or None


def find_embedder(records: Records) -> Mapping[str, str] | None:
    """Return checksums and name of the embedder of files (`CodeEmbedder.made_of`); None if unknown."""
    known: dict[str, Mapping[str, str]] = {}
    for file in record_files(records):
        made_of = _made_of(file)
        if (identity := embedder_id(made_of)) is not None:
            known.setdefault(identity.digest, {name: str(made_of[name]) for name in KEYS if name in made_of})
    if len(known) > 1:
        one, other = [embedder_id(made_of) for made_of in known.values()][:2]
        text = f"the files in {named_records(records)} are of two embedders, {one} and {other}; keep those of one in a folder"
        raise EdgeDetectorError(text)
    return next(iter(known.values()), None)


def find_folds(path: Path) -> frozenset[int] | None:
    """Return the folds of the clips that a file or folder was embedded from; None if unknown."""
    found = [from_plain(_Folds, _made_of(file), str(sidecar(file)), ignore_unknown=True).folds for file in record_files(path)]
    known = [folds for folds in found if folds is not None]
    return frozenset(fold for folds in known for fold in folds) if len(known) == len(found) else None


@dataclass(frozen=True, slots=True)
class _Folds:
    """Folds among the facts of `made_of`."""

    folds: tuple[int, ...] | None = None


def _made_of(file: Path) -> Mapping[str, object]:
    """Return the facts that a file depends on; empty if unknown."""
    return (read_sidecar(file).made_of or {}) if sidecar(file).exists() else {}


def named_records(records: Records) -> str:
    """Name records in a sentence: the first of several."""
    return str(records if isinstance(records, Path) else records[0])


def record_files(records: Records) -> tuple[Path, ...]:
    """Return the files, and each folder's .tfrecord files by name. Raises UsageError where there are none."""
    return tuple(file for path in ([records] if isinstance(records, Path) else records) for file in _files_of(path))


def _files_of(path: Path) -> tuple[Path, ...]:
    files = tuple(sorted(path.glob("*.tfrecord"))) if path.is_dir() else (path,)
    if not files or not files[0].exists():
        raise UsageError(
            f"{path} {'has no .tfrecord file' if path.is_dir() else 'does not exist'}; make one with embed, or get AudioSet's"
        )
    return files


def read_dataset(records: Records, form: Form = ANY_FORM, damage: Damage | None = None) -> Iterator[Record]:
    """Yield each record of the files; one is in memory.

    `damage` raises or counts damaged records; its error names file and byte position.
    """
    damage = damage or Damage()
    for file in record_files(records):
        for position, content in tfrecord.read_positioned(file, damage):
            try:
                record = decode_record(content, form)
            except protobuf.WireError as error:
                message = f"{file}, byte {position}: {error}; mend the record or leave it out"
                damaged = DamagedRecordError(error.kind, message)
                damaged.__cause__ = error
                damage.handle(damaged)
                continue
            yield record
