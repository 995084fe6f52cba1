"""Bounded readers for untrusted input: regular files, JSON of finite numbers, npz archives checked before unpacking."""

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
"""NumPy writes headers of 128 bytes and refuses more than 10,000 characters."""
MAX_NPZ_MEMBERS = 10_000
MAX_DIMENSIONS = 32

_NUMPY_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods that NumPy writes. Others may allocate gigabytes before the first byte."""
_ENCRYPTED = 1
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError, OverflowError)

_HEADER_ERRORS = (ValueError, KeyError, TypeError, RecursionError, MemoryError, SyntaxError, tokenize.TokenError)
"""Errors of NumPy for a damaged header, which it evaluates as Python; each occurred under fuzzing."""


def read_regular(path: Path, most_bytes: int, *, follow_links: bool = True) -> bytes:
    """Read a regular file of at most `most_bytes`. Raises OSError, also for a pipe, a device or a larger file.

    Args:
        path: the file.
        most_bytes: limit, checked before and while reading, since the file may grow.
        follow_links: whether `path` itself may be a symbolic link.

    """
    # Without O_NONBLOCK, opening a pipe without a writer never returns.
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
        # read() allocates the requested size: ask for the file's size, and one byte more to detect growth.
        content = file.read(status.st_size + 1) if status.st_size <= most_bytes else None
    if content is None or len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {megabytes(most_bytes)}", str(path))
    return content


def require_regular(path: Path) -> None:
    """Reject a pipe or a device, which may block or never end. Raises OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def megabytes(count: int) -> str:
    """Format a limit: 4 MB, 200 kB."""
    return f"{count // 1_000_000} MB" if count >= 1_000_000 else f"{count // 1_000} kB"  # noqa: PLR2004 - units


def parse_json(content: bytes | str) -> Any:  # noqa: ANN401 - JSON may hold anything
    """Parse JSON whose numbers are all finite. Raises ValueError, also for too deep nesting."""
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    try:
        return json.loads(text, parse_constant=_reject_constant, parse_float=_finite)
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error


def _reject_constant(name: str) -> float:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = f"the number {text[:20]} is too large"
        raise ValueError(message)
    return number


def read_npz(file: IO[bytes], most_bytes: int) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz archive, by name; `most_bytes` limits their total size. Raises ValueError.

    Sizes are checked in the headers first, because a few kilobytes can unpack to any size.
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
            shape, dtype, _ = _header(packed, member.filename)[0]
        claimed += math.prod(shape) * dtype.itemsize
    if claimed > most_bytes:
        message = f"its arrays have more than {megabytes(most_bytes)}"
        raise ValueError(message)


_Header = tuple[tuple[int, ...], np.dtype[Any], bool]
"""Shape, dtype, and whether the order is column-major."""


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    if member.compress_type not in _NUMPY_COMPRESSION or member.flag_bits & _ENCRYPTED:
        message = f"its member {member.filename[:100]!r} is packed in a way that NumPy does not use"
        raise ValueError(message)
    return archive.open(member)


def _header(packed: IO[bytes], name: str) -> tuple[_Header, bytes]:
    """Return the header of a member, and the bytes of the array read with it."""
    start = io.BytesIO(packed.read(MAX_HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(start)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_column, dtype = read(start)
    except _HEADER_ERRORS as error:
        message = f"its member {name[:100]!r} is not an array"
        raise ValueError(message) from error
    valid = len(shape) <= MAX_DIMENSIONS and all(type(size) is int and size >= 0 for size in shape)
    if not valid or dtype.hasobject or dtype.kind not in "biufcSU":
        message = f"its member {name[:100]!r} is not an array of numbers"
        raise ValueError(message)
    return (shape, dtype, by_column), start.read()


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with _opened(archive, member) as packed:
        (shape, dtype, by_column), first = _header(packed, member.filename)
        size = math.prod(shape) * dtype.itemsize
        # One byte past the end, so that zipfile reaches the end and compares the checksum.
        content = first + packed.read(max(size - len(first), 0) + 1)
    if len(content) != size:
        message = f"its member {member.filename[:100]!r} does not have the length in its header"
        raise ValueError(message)
    if not size:
        return np.zeros(shape, dtype)
    return np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if by_column else "C")


def arrays_of(content: bytes, most_bytes: int) -> Mapping[str, NDArray[Any]]:
    """Read an npz archive from bytes in memory, see `read_npz`."""
    return read_npz(io.BytesIO(content), most_bytes)


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an uncompressed npz archive of arrays by name; the same arrays give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            # Without a date of its own, a member gets the current time.
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return archive.getvalue()
