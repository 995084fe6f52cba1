"""TFRecord files: length, masked CRC32C, payload, masked CRC32C. Own code, because TensorFlow takes seconds to load."""

import hashlib
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from convert.files import atomic_path
from convert.records.damage import Damage, DamagedRecordError
from edge_detector.errors import EdgeDetectorError, UsageError

MASK_DELTA = 0xA282EAD8
MAX_RECORD_BYTES = 1 << 30
SEARCH_BYTES = 1 << 22
"""Range of the search for the next record after a damaged length; YouTube-8M's longest record has a tenth of it."""
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + _CRC.size


def masked_crc(content: bytes) -> int:
    """Return the CRC32C, rotated and offset as TFRecord stores it (docs/reference.md, Records)."""
    crc = int(google_crc32c.value(content))
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Write a file of records atomically; return the number of records."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for record in records:
            length = _LENGTH.pack(len(record))
            file.write(length + _CRC.pack(masked_crc(length)) + record + _CRC.pack(masked_crc(record)))
            count += 1
    return count


def read_records(path: Path) -> Iterator[bytes]:
    """Yield each record's payload. Raises DamagedRecordError with file and byte position."""
    return (payload for _, payload in read_positioned(path, Damage()))


def read_positioned(path: Path, damage: Damage) -> Iterator[tuple[int, bytes]]:
    """Yield the byte position and payload of each record; one is in memory.

    After a damaged length that `damage` counts, reading continues at the next complete record within 4 MiB.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {error.strerror}") from error
    with file:
        position = 0
        while True:
            try:
                payload = _next_payload(file, path, position)
            except DamagedRecordError as error:
                damage.handle(error)
                position = file.tell()
                continue
            except OSError as error:
                raise EdgeDetectorError(f"{path}, byte {position}: reading failed ({error.strerror}); check the disk") from error
            if payload is None:
                return
            yield position, payload
            position += _HEAD_BYTES + len(payload) + _CRC.size


@dataclass(frozen=True, slots=True)
class Summary:
    """Number of records of a file, and a digest of their lengths and checksums: of equal content it is equal."""

    records: int
    digest: str


def summarise(path: Path, damage: Damage) -> Summary:
    """Count the records of a file by their lengths, without reading their content.

    A damaged length is handled by `damage`; then all records are read. Raises UsageError for a file that cannot be opened.
    """
    digest, count, position = hashlib.sha256(), 0, 0
    try:
        with path.open("rb") as file, _mapped(file) as content:
            while position < len(content):
                head = content[position : position + _HEAD_BYTES]
                end = position + _HEAD_BYTES + _LENGTH.unpack_from(head)[0] if len(head) == _HEAD_BYTES else len(content)
                if end + _CRC.size > len(content) or not _is_head(head):
                    break
                digest.update(head)
                digest.update(content[end : end + _CRC.size])
                count, position = count + 1, end + _CRC.size
            else:
                return Summary(count, digest.hexdigest())
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {error.strerror}") from error
    whole = [masked_crc(payload) for _, payload in read_positioned(path, damage)]
    return Summary(len(whole), hashlib.sha256(repr(whole).encode()).hexdigest())


def _mapped(file: BinaryIO) -> AbstractContextManager[mmap.mmap | bytes]:
    """Return a file's content without reading it; an empty file cannot be mapped."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else nullcontext(b"")


def _next_payload(file: BinaryIO, path: Path, position: int) -> bytes | None:
    """Return the next payload, or None at the end. After an error, reading can continue at the position of the file."""
    where = f"{path}, byte {position}"
    head = file.read(_HEAD_BYTES)
    if not head:
        return None
    if len(head) < _HEAD_BYTES:
        raise _truncated(where)
    length = int(_LENGTH.unpack(head[: _LENGTH.size])[0])
    if not _is_head(head):
        if not position and (program := _compressed_by(head)):
            file.seek(0, 2)
            raise DamagedRecordError("compressed", f"{path} is compressed by {program}; decompress it first")
        _seek_next_head(file, position + 1)
        what = (
            "the record's length is damaged" if position else "this is no TFRecord file, or its first record's length is damaged"
        )
        raise DamagedRecordError("damaged length", f"{where}: {what}; make or copy the file again")
    body = file.read(length + _CRC.size)
    if len(body) < length + _CRC.size:
        raise _truncated(where)
    stored, found = int(_CRC.unpack(body[length:])[0]), masked_crc(body[:length])
    if stored != found:
        raise DamagedRecordError(
            "wrong checksum",
            f"{where}: the record's content is damaged (its CRC32C is {found:#010x}, the file has {stored:#010x}); "
            "make or copy the file again",
        )
    return body[:length]


def _compressed_by(head: bytes) -> str | None:
    """Name the format of a compressed file by its first bytes (RFC 1952, RFC 1950); None for others."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zlib" if head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0 else None  # noqa: PLR2004 - RFC 1950


def _truncated(where: str) -> DamagedRecordError:
    return DamagedRecordError("cut short", f"{where}: the file ends inside a record; it was cut short, make or copy it again")


def _is_head(head: bytes) -> bool:
    length = int(_LENGTH.unpack_from(head)[0])
    return length <= MAX_RECORD_BYTES and _CRC.unpack_from(head, _LENGTH.size)[0] == masked_crc(head[: _LENGTH.size])


def _seek_next_head(file: BinaryIO, start: int) -> None:
    """Move to the next length with a correct checksum, or to the end."""
    file.seek(start)
    content = file.read(SEARCH_BYTES)
    for offset in range(len(content) - _HEAD_BYTES + 1):
        if _is_head(content[offset : offset + _HEAD_BYTES]):
            file.seek(start + offset)
            return
    file.seek(0, 2)
