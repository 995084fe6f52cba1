"""Names of YAMNet's scores, and their AudioSet identifiers."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from convert.records.classes import read_class_names
from edge_detector.bounded_files import megabytes, read_regular
from edge_detector.detection.bundle import AudioSetLabel
from edge_detector.errors import UsageError

LABELS = "yamnet_label_list.txt"
"""Name of the list, in the archive and beside the file."""

AUDIOSET_LABELS = Path(__file__).parents[1] / "recipes" / "audioset_labels.csv"
"""Google's class_labels_indices.csv (CC BY 4.0): 527 classes, which include YAMNet's 521 by the same names."""

MAX_LIST_BYTES = 1_000_000
"""The released list has 6 kB."""

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
"""Errors of zipfile for an archive that is cut, damaged or encrypted."""


def read_labels(path: Path) -> tuple[str, ...]:
    """Read the names of a model's scores, in order.

    Args:
        path: .tflite file. The released one is also a zip archive that holds the list; the list beside the file is read
            otherwise.

    Raises:
        UsageError: there is no list, it cannot be read, is too large, or has a name twice.

    """
    content, where = _content(path)
    try:
        names = tuple(content.decode().splitlines())
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8 text; give YAMNet's own list") from error
    if not names or not all(names):
        raise UsageError(f"{where} is empty or has an empty line; give YAMNet's own list")
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise UsageError(f"{where} names {twice!r} twice; give YAMNet's own list")
    return names


def labelled(names: Sequence[str]) -> tuple[AudioSetLabel, ...]:
    """Add AudioSet's identifiers to names. Raises UsageError for a name that is not one of AudioSet's."""
    mids = {each.label: each.mid for each in read_class_names(AUDIOSET_LABELS)}
    if unknown := [name for name in names if name not in mids]:
        raise UsageError(f"{unknown[0]!r} is not one of AudioSet's classes; give a model with AudioSet's labels, such as YAMNet")
    return tuple(AudioSetLabel(name, mids[name]) for name in names)


def _content(path: Path) -> tuple[bytes, str]:
    if (inside := _inside(path)) is not None:
        return inside, f"{LABELS} in {path}"
    beside = path.with_name(LABELS)
    try:
        return read_regular(beside, MAX_LIST_BYTES), str(beside)
    except FileNotFoundError as error:
        fact = f"{path} holds no {LABELS}, and none is beside it" if path.exists() else f"{path} does not exist"
        raise UsageError(f"{fact}; give YAMNet's .tflite file as Google released it: python -m convert fetch yamnet") from error
    except OSError as error:
        raise UsageError(f"{beside} cannot be read ({error.strerror}); give YAMNet's own list") from error


def _inside(path: Path) -> bytes | None:
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if LABELS not in archive.namelist():
                return None
            with archive.open(LABELS) as file:
                # One byte more than allowed: the size in an archive's header may be wrong.
                content = file.read(MAX_LIST_BYTES + 1)
    except _DAMAGED as error:
        raise UsageError(f"the archive in {path} is damaged ({error}); get the file again") from error
    if len(content) > MAX_LIST_BYTES:
        raise UsageError(f"{LABELS} in {path} is larger than {megabytes(MAX_LIST_BYTES)}; give YAMNet's .tflite file")
    return content
