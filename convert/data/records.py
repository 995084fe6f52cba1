"""Files of embedding records, written and read one record at a time, and the names of their classes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from convert.data import protobuf, tfrecord
from convert.data.damage import Damage, DamagedRecordError
from convert.data.record_forms import ANY_FORM, Form, Record, decode_record, encode_record
from convert.files import read_json, write_json
from edge_detector.errors import EdgeDetectorError, UsageError

__all__ = [
    "ANY_FORM",
    "Form",
    "Record",
    "decode_record",
    "encode_record",
    "find_labels",
    "read_dataset",
    "read_labels",
    "record_files",
    "sidecar",
    "write_dataset",
]


def write_dataset(path: Path, records: Iterable[Record], labels: Sequence[str]) -> int:
    """Write the records, and beside them `<path>.json` with the names of the classes."""
    count = tfrecord.write_records(path, (encode_record(record) for record in records))
    write_json(sidecar(path), {"labels": list(labels), "records": count})
    return count


def sidecar(path: Path) -> Path:
    """Where the names of a file's classes stand."""
    return path.with_name(path.name + ".json")


def read_labels(path: Path) -> tuple[str, ...]:
    """The names of a file's classes."""
    return tuple(str(label) for label in read_json(sidecar(path)).get("labels", ()))


def find_labels(path: Path) -> tuple[str, ...] | None:
    """The names of the classes of a file, or of a folder whose files agree; None where they have none."""
    named = {file: read_labels(file) for file in record_files(path) if sidecar(file).exists()}
    if len(set(named.values())) > 1:
        raise EdgeDetectorError(f"the files in {path} have different classes; keep records of one set of classes in a folder")
    return next(iter(named.values()), None)


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
