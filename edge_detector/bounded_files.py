"""Reads what others made within limits: regular files, JSON without NaN, npz archives that fit before they are unpacked."""

import errno
import io
import json
import math
import os
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAX_HEADER_BYTES = 1 << 14
"""NumPy's own headers have 128 bytes, and it reads none of more than 10,000 characters."""
MAX_NPZ_MEMBERS = 10_000
MAX_DIMENSIONS = 32

_KNOWN_PACKING = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What NumPy writes. The others may ask for gigabytes before they give the first byte."""
_ENCRYPTED = 1
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError, OverflowError)

_NO_HEADER = (ValueError, KeyError, TypeError, RecursionError, MemoryError, SyntaxError, tokenize.TokenError)
"""What NumPy raises for a damaged header, which it evaluates as Python: each was seen, under fuzzing."""


def read_regular(path: Path, most_bytes: int, *, follow_links: bool = True) -> bytes:
    """All bytes of a regular file of at most `most_bytes`. Raises OSError, also for a pipe, a device, or a file too large.

    Args:
        path: the file.
        most_bytes: the limit, checked before anything is read and again while reading: the file may grow.
        follow_links: whether `path` itself may be a symbolic link.

    """
    # Without O_NONBLOCK the open of a pipe that nobody writes to never returns.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags if follow_links else flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow_links:
            raise OSError(error.errno, "it is a symbolic link", str(path)) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a Path cannot be opened without following links
        # As much as is there, and one more byte for a file that grows: memory is taken for what is asked for.
        content = file.read(status.st_size + 1) if status.st_size <= most_bytes else None
    if content is None or len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {megabytes(most_bytes)}", str(path))
    return content


def require_regular(path: Path) -> None:
    """Refuse a pipe or a device, whose opening may hang or whose bytes may never end. Raises OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def megabytes(count: int) -> str:
    """A limit in words: 4 MB, 200 kB."""
    return f"{count // 1_000_000} MB" if count >= 1_000_000 else f"{count // 1_000} kB"  # noqa: PLR2004 - units


def parse_json(content: bytes | str) -> Any:  # noqa: ANN401 - JSON may hold anything
    """JSON whose numbers are all finite. Raises ValueError, also for what is nested too deeply."""
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error


def _refuse_constant(name: str) -> float:
    message = f"{name} is no number of JSON"
    raise ValueError(message)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = f"the number {text[:20]} is too large"
        raise ValueError(message)
    return number


def read_npz(file: IO[bytes], most_bytes: int) -> dict[str, NDArray[Any]]:
    """The arrays of an npz archive by name, `most_bytes` at most in all by their headers. Raises ValueError.

    Headers are read first: an archive of a few kilobytes can unpack into any size.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _require_sizes(archive, members, most_bytes)
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except _DAMAGED_ZIP as error:
        message = f"it is cut or damaged ({' '.join(str(error).split())[:100]})"
        raise ValueError(message) from error


def _require_sizes(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], most_bytes: int) -> None:
    if len(members) > MAX_NPZ_MEMBERS or len({member.filename for member in members}) < len(members):
        message = f"it has more than {MAX_NPZ_MEMBERS} members, or two of one name"
        raise ValueError(message)
    claimed = 0
    for member in members:
        with _opened(archive, member) as packed:
            shape, kind, _ = _header(packed, member.filename)[0]
        claimed += math.prod(shape) * kind.itemsize
    if claimed > most_bytes:
        message = f"its arrays have more than {megabytes(most_bytes)}"
        raise ValueError(message)


_Header = tuple[tuple[int, ...], np.dtype[Any], bool]
"""Shape, kind of number, and whether columns come first."""


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    if member.compress_type not in _KNOWN_PACKING or member.flag_bits & _ENCRYPTED:
        message = f"its member {member.filename[:100]!r} is packed in a way that NumPy does not use"
        raise ValueError(message)
    return archive.open(member)


def _header(packed: IO[bytes], name: str) -> tuple[_Header, bytes]:
    """The header of a member, and what was read of the numbers after it."""
    beginning = io.BytesIO(packed.read(MAX_HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(beginning)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_column, kind = read(beginning)
    except _NO_HEADER as error:
        message = f"its member {name[:100]!r} is no array"
        raise ValueError(message) from error
    whole = len(shape) <= MAX_DIMENSIONS and all(type(size) is int and size >= 0 for size in shape)
    if not whole or kind.hasobject or kind.kind not in "biufcSU":
        message = f"its member {name[:100]!r} is no array of numbers"
        raise ValueError(message)
    return (shape, kind, by_column), beginning.read()


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with _opened(archive, member) as packed:
        (shape, kind, by_column), first = _header(packed, member.filename)
        size = math.prod(shape) * kind.itemsize
        # A byte more than there should be, so that the archive's checksum is met, and compared.
        content = first + packed.read(max(size - len(first), 0) + 1)
    if len(content) != size:
        message = f"its member {member.filename[:100]!r} is not as long as it says"
        raise ValueError(message)
    if not size:
        return np.zeros(shape, kind)
    return np.frombuffer(bytearray(content), kind).reshape(shape, order="F" if by_column else "C")


def arrays_of(content: bytes, most_bytes: int) -> Mapping[str, NDArray[Any]]:
    """The same of bytes in memory."""
    return read_npz(io.BytesIO(content), most_bytes)
