"""Reader of the head of a FLAC file: length, and Vorbis comments."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

HEAD_BYTES = 8_192
"""So much of a clip's beginning holds its whole head."""
_MAGIC = b"fLaC"
_STREAM_INFO, _COMMENTS, _LAST_BLOCK = 0, 4, 0x80
_INFO_BYTES = 34


@dataclass(frozen=True, slots=True)
class FlacHead:
    """Head of a FLAC file.

    Attributes:
        seconds: length; 0 where the head does not say.
        comments: Vorbis comments by their names in capitals.

    """

    seconds: float
    comments: Mapping[str, str] = field(default_factory=dict)


def read_head(content: bytes) -> FlacHead:
    """Read the first bytes of a FLAC file. Raises ValueError for other bytes."""
    if not content.startswith(_MAGIC):
        message = "it is not a FLAC file"
        raise ValueError(message)
    seconds, comments = 0.0, dict[str, str]()
    try:
        for kind, block in _blocks(content):
            if kind == _STREAM_INFO and len(block) >= _INFO_BYTES:
                (packed,) = struct.unpack_from(">Q", block, 10)  # 20 bits of rate, 3 + 5 of channels and width, 36 of samples
                rate_hz, samples = packed >> 44, packed & (1 << 36) - 1
                seconds = samples / rate_hz if rate_hz else 0.0
            elif kind == _COMMENTS:
                comments = dict(_comments(block))
    except struct.error as error:
        message = "its head is cut"
        raise ValueError(message) from error
    return FlacHead(seconds, comments)


def _blocks(content: bytes) -> Iterator[tuple[int, bytes]]:
    at, is_last = len(_MAGIC), False
    while not is_last and at + 4 <= len(content):
        is_last, kind = bool(content[at] & _LAST_BLOCK), content[at] & ~_LAST_BLOCK
        size = int.from_bytes(content[at + 1 : at + 4])
        yield kind, content[at + 4 : at + 4 + size]
        at += 4 + size


def _comments(block: bytes) -> Iterator[tuple[str, str]]:
    (vendor_bytes,) = struct.unpack_from("<I", block)
    (count,) = struct.unpack_from("<I", block, 4 + vendor_bytes)
    at = 8 + vendor_bytes
    for _ in range(count):
        (size,) = struct.unpack_from("<I", block, at)  # beyond the end it raises, so that a wrong count ends here
        name, _, value = block[at + 4 : at + 4 + size].decode(errors="replace").partition("=")
        yield name.upper(), value
        at += 4 + size
