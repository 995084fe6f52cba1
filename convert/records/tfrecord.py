"""TFRecord files: length, masked CRC32C, payload, masked CRC32C. Own code, because TensorFlow takes seconds to load."""

import struct
from collections.abc import Iterable, Iterator
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
    """Return the CRC32C, rotated and offset as TFRecord stores it."""
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
        while True:
            position = file.tell()
            try:
                payload = _next_payload(file, path, position)
            except DamagedRecordError as error:
                damage.handle(error)
                continue
            except OSError as error:
                raise EdgeDetectorError(f"{path}, byte {position}: reading failed ({error.strerror}); check the disk") from error
            if payload is None:
                return
            yield position, payload


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
