"""TFRecord files: length, masked CRC32C, payload, masked CRC32C. Own code, because loading TensorFlow for it costs seconds."""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from convert.files import atomic_path
from edge_detector.errors import EdgeDetectorError, UsageError

MASK_DELTA = 0xA282EAD8
MAX_RECORD_BYTES = 1 << 30
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")


def masked_crc(content: bytes) -> int:
    """CRC32C, rotated and offset as TFRecord stores it."""
    crc = int(google_crc32c.value(content))
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Write a whole file of records, or none of it; gives their number."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for record in records:
            length = _LENGTH.pack(len(record))
            file.write(length + _CRC.pack(masked_crc(length)) + record + _CRC.pack(masked_crc(record)))
            count += 1
    return count


def read_records(path: Path) -> Iterator[bytes]:
    """Yield each record's payload. A damaged one is an error that names the file and the byte position."""
    try:
        file = path.open("rb")
    except OSError as error:
        message = f"{path} cannot be opened: {error.strerror}"
        raise UsageError(message) from error
    with file:
        while True:
            position = file.tell()
            head = file.read(_LENGTH.size + _CRC.size)
            if not head:
                return
            yield _payload(file, head, f"{path}, byte {position}")


def _payload(file: BinaryIO, head: bytes, where: str) -> bytes:
    length_bytes, crc_bytes = head[: _LENGTH.size], head[_LENGTH.size :]
    if len(head) < _LENGTH.size + _CRC.size:
        message = f"{where}: the file ends inside a record; it was cut short, make or copy it again"
        raise EdgeDetectorError(message)
    length = int(_LENGTH.unpack(length_bytes)[0])
    if _CRC.unpack(crc_bytes)[0] != masked_crc(length_bytes) or length > MAX_RECORD_BYTES:
        message = f"{where}: the record's length is damaged, or this is no TFRecord file"
        raise EdgeDetectorError(message)
    body = file.read(length + _CRC.size)
    if len(body) < length + _CRC.size:
        message = f"{where}: the file ends inside a record; it was cut short, make or copy it again"
        raise EdgeDetectorError(message)
    if _CRC.unpack(body[length:])[0] != masked_crc(body[:length]):
        message = f"{where}: the record's content is damaged (its CRC32C differs); make or copy the file again"
        raise EdgeDetectorError(message)
    return body[:length]
