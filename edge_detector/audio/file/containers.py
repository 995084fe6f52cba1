"""Container checks of audio files: missing bytes, damaged bytes, and several recordings in one file.

libsndfile silently stops after the first recording of a file, and does not detect truncated files.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20

_OGG, _OGG_HEADER_BYTES = b"OggS", 27
_BEGINS, _ENDS = 2, 4
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
"""The marker and the header of the block after it: 8 bytes, unlikely in compressed sound."""
_FLAC_START_BYTES = 8

_CHUNKED = {(b"RIFF", b"WAVE"): "little", (b"RIFX", b"WAVE"): "big", (b"FORM", b"AIFF"): "big", (b"FORM", b"AIFC"): "big"}
_SMALLEST_CHUNKED = 36
_SIZES_OF_STREAMS = tuple(range(31, 65))
"""Exponents of placeholder sizes: a program that writes to a pipe gives about a power of two for the unknown size."""
_NEAR_BYTES = 1 << 16

_ID3, _ID3_BYTES = b"ID3", 10
_MP3_HEADER_BYTES = 192
_XING = re.compile(rb"\A(\xff[\xe2-\xff]..)(.{9}|.{17}|.{32})(?:Xing|Info)(....)(.{8})", re.DOTALL)
_HAS_FRAMES, _HAS_BYTES = 1, 2


@dataclass(slots=True)
class Layout:
    """Layout of a file.

    Attributes:
        parts: first byte and end of each recording in the file; a single one is the whole file.
        cut: the end of the file is missing.
        damaged: bytes in the middle are missing or wrong.
        counts_frames: the header counts the samples, so that fewer mean damage.

    """

    parts: list[tuple[int, int]]
    cut: bool = False
    damaged: bool = False
    counts_frames: bool = True


def is_size_of_stream(size: int) -> bool:
    """Return whether a size in a header is a placeholder for an unknown size."""
    return size == 0 or any(abs(size - (1 << bits)) <= _NEAR_BYTES for bits in _SIZES_OF_STREAMS)


def layout_of(file: BinaryIO, size: int) -> Layout:
    """Determine the layout of a file of `size` bytes; an unknown container counts as one complete recording."""
    start = _after_id3(file, 0)
    head = _at(file, start, 12)
    if head.startswith(_OGG):
        return _ogg(file, start, size)
    if head.startswith(b"fLaC"):
        return _flac(file, start, size)
    if (head[:4], head[8:]) in _CHUNKED:
        return _chunked(file, start, size)
    if len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE2:  # noqa: PLR2004 - an MPEG frame begins with eleven set bits
        return _mp3(file, start, size)
    return Layout([(0, size)])


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _after_id3(file: BinaryIO, position: int) -> int:
    head = _at(file, position, _ID3_BYTES)
    while head.startswith(_ID3) and len(head) == _ID3_BYTES:
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        position += _ID3_BYTES + length
        head = _at(file, position, _ID3_BYTES)
    return position


@dataclass(slots=True)
class _Streams:
    """Logical streams of one link of an Ogg chain: the newest page number of each, and those not ended."""

    newest: dict[bytes, int] = field(default_factory=dict)
    running: set[bytes] = field(default_factory=set)
    has_data: bool = False


def _ogg(file: BinaryIO, position: int, size: int) -> Layout:
    layout = Layout([])
    starts, streams = [0], _Streams()
    while position < size:
        page = _page(file, position)
        if page is None:
            following = _next_page(file, position + 1)
            if following is None:
                # Other data may follow the last page; an incomplete page means a truncated file.
                layout.cut = layout.cut or _at(file, position, 4) == _OGG
                break
            layout.damaged = layout.damaged or bool(streams.running)
            position = following
            continue
        flags, serial, number, length, intact = page
        layout.damaged = layout.damaged or not intact
        if flags & _BEGINS and streams.has_data:
            starts.append(position)
            streams = _Streams()
        streams.has_data = not flags & _BEGINS
        before = streams.newest.get(serial)
        layout.damaged = layout.damaged or (before is not None and number != before + 1 & 0xFFFFFFFF)
        streams.newest[serial] = number
        (streams.running.discard if flags & _ENDS else streams.running.add)(serial)
        position += length
    layout.cut = layout.cut or bool(streams.running)
    layout.parts = _ranges(starts, size)
    return layout


def _page(file: BinaryIO, position: int) -> tuple[int, bytes, int, int, bool] | None:
    """Read the page at `position`: flags, serial, number, length, whether its checksum matches; None if there is no page."""
    header = _at(file, position, _OGG_HEADER_BYTES)
    if len(header) < _OGG_HEADER_BYTES or not header.startswith(_OGG):
        return None
    lengths = file.read(header[26])
    body = file.read(sum(lengths))
    if len(lengths) < header[26] or len(body) < sum(lengths):
        return None
    page = header[:22] + bytes(4) + header[26:] + lengths + body
    # Ogg's CRC has the bit order reversed from zlib's, initial value 0 and no final inversion.
    register = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    intact = int(f"{register:032b}"[::-1], 2) == int.from_bytes(header[22:26], "little")
    return header[5], header[14:18], int.from_bytes(header[18:22], "little"), len(page), intact


def _next_page(file: BinaryIO, position: int) -> int | None:
    for at, chunk in _chunks(file, position, len(_OGG)):
        if (found := chunk.find(_OGG)) >= 0:
            return at + found
    return None


def _chunks(file: BinaryIO, position: int, overlap: int) -> Iterator[tuple[int, bytes]]:
    while len(chunk := _at(file, position, _CHUNK_BYTES)) >= overlap:
        yield position, chunk
        position += len(chunk) - overlap + 1


def _flac(file: BinaryIO, position: int, size: int) -> Layout:
    starts = {0}
    for at, chunk in _chunks(file, position + 1, _FLAC_START_BYTES):
        starts |= {at + found.start() for found in _FLAC_START.finditer(chunk)}
    return Layout(_ranges(sorted(starts), size))


def _chunked(file: BinaryIO, position: int, size: int) -> Layout:
    starts = [0]
    while True:
        head = _at(file, position, 12)
        length = int.from_bytes(head[4:8], "little" if head.startswith(b"RIFF") else "big")
        if length < _SMALLEST_CHUNKED or is_size_of_stream(length):
            break
        position += 8 + length
        following = [at for at in (position, position + 1) if _kind(_at(file, at, 12)) in _CHUNKED]
        if not following:
            break
        position = following[0]
        starts.append(position)
    return Layout(_ranges(starts, size))


def _kind(head: bytes) -> tuple[bytes, bytes]:
    return head[:4], head[8:]


def _mp3(file: BinaryIO, position: int, size: int) -> Layout:
    """Split by the byte counts of Xing headers; a recording without one extends to the end of the file."""
    starts = [0]
    while True:
        found = _XING.match(_at(file, position, _MP3_HEADER_BYTES))
        flags = int.from_bytes(found[3], "big") if found else 0
        if found is None or flags & (_HAS_FRAMES | _HAS_BYTES) != _HAS_FRAMES | _HAS_BYTES:
            return Layout(_ranges(starts, size), counts_frames=bool(flags & _HAS_FRAMES))
        end = position + int.from_bytes(found[4][4:], "big")
        if end >= size:
            return Layout(_ranges(starts, size), cut=end > size + _MP3_HEADER_BYTES)
        position = _after_id3(file, end)
        if not _is_mp3_frame(_at(file, position, 4)):
            return Layout(_ranges(starts, size))
        starts.append(end)


def _ranges(starts: list[int], size: int) -> list[tuple[int, int]]:
    return list(zip(starts, [*starts[1:], size], strict=True))


def _is_mp3_frame(head: bytes) -> bool:
    """Return whether these bytes are a valid MPEG audio frame header: no field has a reserved value."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE2:  # noqa: PLR2004 - as in layout_of
        return False
    version, layer, bit_rate, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bit_rate != 15 and rate != 3  # noqa: PLR2004
