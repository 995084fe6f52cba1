"""Files of embedding records, written and read one record at a time, and the names of their classes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.files import read_json, write_json
from convert.records import protobuf, tfrecord
from convert.records.classes import ClassName, as_json, from_json, named
from convert.records.damage import Damage, DamagedRecordError
from convert.records.forms import ANY_FORM, Form, Record, decode_record, encode_record
from convert.records.identity import KEYS, identity_of
from edge_detector.errors import EdgeDetectorError, UsageError

__all__ = [
    "ANY_FORM",
    "Form",
    "Record",
    "decode_record",
    "encode_record",
    "find_classes",
    "find_embedder",
    "find_folds",
    "read_classes",
    "read_dataset",
    "record_files",
    "sidecar",
    "write_dataset",
]


def write_dataset(
    path: Path,
    records: Iterable[Record],
    classes: Sequence[str] | Sequence[ClassName],
    *,
    made_of: Mapping[str, Any] | None = None,
    damage: Damage | None = None,
) -> int:
    """Write the records, and beside them `<path>.json` with the names of the classes.

    The JSON also says what the records were made of, and how many `damage` passed over meanwhile.
    """
    damage = damage or Damage()
    before = Counter(damage.kinds)
    count = tfrecord.write_records(path, (encode_record(record) for record in records))
    known = [named(each) if isinstance(each, str) else each for each in classes]
    content = {"labels": [each.slug for each in known], "classes": as_json(known), "records": count, "bytes": path.stat().st_size}
    skipped = dict(Counter(damage.kinds) - before)
    write_json(sidecar(path), {**content, "skipped": skipped, **({"made_of": dict(made_of)} if made_of else {})})
    return count


def sidecar(path: Path) -> Path:
    """Where the names of a file's classes stand."""
    return path.with_name(path.name + ".json")


def read_classes(path: Path) -> tuple[ClassName, ...]:
    """The classes of a file."""
    content = read_json(sidecar(path))
    return from_json([str(label) for label in content.get("labels", ())], content.get("classes", {}))


def find_classes(path: Path) -> tuple[ClassName, ...] | None:
    """The classes of a file, or of a folder whose files agree; None where they have none."""
    found = {read_classes(file) for file in record_files(path) if sidecar(file).exists()}
    if len(found) > 1:
        raise EdgeDetectorError(f"the files in {path} have different classes; keep records of one set of classes in a folder")
    return next(iter(found), None) or None


def find_embedder(path: Path) -> Mapping[str, str] | None:
    """What the records of a file or folder were embedded by (`CodeEmbedder.made_of`); None where that is not known."""
    known: dict[str, Mapping[str, str]] = {}
    for file in record_files(path):
        made_of = read_json(sidecar(file)).get("made_of", {}) if sidecar(file).exists() else {}
        if (identity := identity_of(made_of)) is not None:
            known.setdefault(identity.digest, {name: str(made_of[name]) for name in KEYS if name in made_of})
    if len(known) > 1:
        one, other = [identity_of(made_of) for made_of in known.values()][:2]
        raise EdgeDetectorError(f"the files in {path} are of two embedders, {one} and {other}; keep those of one in a folder")
    return next(iter(known.values()), None)


def find_folds(path: Path) -> frozenset[int] | None:
    """The folds of the clips that the records of a file or folder were embedded from; None where that is not known."""
    found = [read_json(sidecar(file)).get("made_of", {}) if sidecar(file).exists() else {} for file in record_files(path)]
    return frozenset(int(fold) for each in found for fold in each["folds"]) if all("folds" in each for each in found) else None


def record_files(path: Path) -> tuple[Path, ...]:
    """The file itself, or a folder's .tfrecord files by name. Raises UsageError when there is none."""
    files = tuple(sorted(path.glob("*.tfrecord"))) if path.is_dir() else (path,)
    if not files or not files[0].exists():
        raise UsageError(
            f"{path} {'has no .tfrecord file' if path.is_dir() else 'does not exist'}; make one with embed, or get AudioSet's"
        )
    return files


def read_dataset(path: Path, form: Form = ANY_FORM, damage: Damage | None = None) -> Iterator[Record]:
    """Yield each record of a file, or of a folder's .tfrecord files, one in memory at a time.

    One that cannot be used is an error that names the file and the byte position, or is what `damage` makes of it.
    """
    damage = damage or Damage()
    for file in record_files(path):
        for position, content in tfrecord.read_positioned(file, damage):
            try:
                record = decode_record(content, form)
            except protobuf.WireError as error:
                message = f"{file}, byte {position}: {error}; mend the record or leave it out"
                damaged = DamagedRecordError(error.kind, message)
                damaged.__cause__ = error
                damage.met(damaged)
                continue
            yield record
