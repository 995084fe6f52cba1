"""A disk that remembers the order of everything: each write and each flush that reaches the device, in a file.

    python -m tests.support.block_log IMAGE LOG FOLDER

serves FOLDER/disk over FUSE, as /dev/fuse speaks it, for a loop device on it. The kernel's page cache lies above the loop device,
so the log has what a real disk would have got, when it would have got it. A record is in the log before the write is answered.
"""

import ctypes
import errno
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

WRITE, FLUSH = 1, 2
_RECORD = struct.Struct("<IIQ")
"""Kind, length, offset; the data follow."""
_IN = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
_RANGE = struct.Struct("<QQI")
_WRITE_BYTES = 40
_MOST_WRITE = 1 << 17
_BUFFER = _MOST_WRITE + 4_096 + 4_096
_BLOCK = 4_096
_SECTOR_BYTES = 512
DISK_BYTES = 16 << 20
_NODE_ROOT, _NODE_DISK = 1, 2
_DIRECT_IO, _BIG_WRITES = 1, 1 << 5
_FOREVER_SECONDS = 1 << 20
FILE_NAME = "disk"


class _Op(IntEnum):
    """What the kernel asks for, by FUSE's numbers."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42


_FIXED: dict[int, bytes] = {
    _Op.INIT: struct.pack("<IIIIHHIIHH8I", 7, 31, _MOST_WRITE, _BIG_WRITES, 16, 12, _MOST_WRITE, 1, 0, 0, *[0] * 8),
    _Op.OPEN: struct.pack("<QII", 1, _DIRECT_IO, 0),
    _Op.STATFS: struct.pack("<QQQQQIIII6I", DISK_BYTES // _BLOCK, 0, 0, 2, 0, _BLOCK, 255, _BLOCK, 0, *[0] * 6),
    _Op.RELEASE: b"",
    _Op.FLUSH: b"",
    _Op.DESTROY: b"",
}
"""Answers that are always the same."""
_UNANSWERED = (_Op.FORGET, _Op.INTERRUPT, _Op.BATCH_FORGET)


@dataclass(frozen=True, slots=True)
class Record:
    """One request that the device got.

    Attributes:
        kind: WRITE or FLUSH.
        offset: of the data, in bytes.
        data: what is written.
        end: size of the log with this record; a caller that reads it after a request was answered knows what came before.

    """

    kind: int
    offset: int
    data: bytes
    end: int


def read_log(path: Path) -> list[Record]:
    """All records, in order."""
    content = path.read_bytes()
    found, at = [], 0
    while at < len(content):
        kind, length, offset = _RECORD.unpack_from(content, at)
        at += _RECORD.size + length
        found.append(Record(kind, offset, content[at - length : at], at))
    return found


def missing() -> str | None:
    """Why no such disk can be had here, or None."""
    if os.geteuid():
        return "mounts a file system, as root"
    tools = [tool for tool in ("losetup", "mkfs.ext4") if shutil.which(tool) is None]
    if tools:
        return f"needs {' and '.join(tools)}"
    return None if Path("/dev/fuse").exists() else "needs FUSE in the kernel"


@contextmanager
def logged_disk(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """An ext4 as on a card, mounted: its folder, its image as it was before anything was logged, and the log."""
    image, log, served, mounted = (folder / name for name in ("disk.img", "disk.log", "served", "mounted"))
    image.touch()
    os.truncate(image, DISK_BYTES)
    options = ["-b", str(_BLOCK), "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
    subprocess.run(["mkfs.ext4", "-q", "-F", *options, str(image)], check=True)
    served.mkdir()
    mounted.mkdir()
    command = [sys.executable, "-m", __name__, str(image), str(log), str(served)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        attach = ["losetup", "--find", "--show", str(served / FILE_NAME)]
        device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
        try:
            subprocess.run(["mount", device, mounted], check=True)
            yield mounted, image, log
        finally:
            subprocess.run(["umount", mounted], check=False)
            subprocess.run(["losetup", "--detach", device], check=True)
            subprocess.run(["umount", served], check=True)


class Cut:
    """What a disk holds after a power cut at each record of a log, one after the other.

    Args:
        image: what the disk held before the log.
        records: the log.

    """

    def __init__(self, image: bytes, records: Sequence[Record]) -> None:
        self._durable = bytearray(image)
        self._waiting: list[Record] = []
        self._rest = iter(records)

    def advance(self) -> Record | None:
        """Let the disk get one more request; None after the last one."""
        record = next(self._rest, None)
        if record is None:
            return None
        if record.kind == WRITE:
            self._waiting.append(record)
        else:
            for waiting in self._waiting:
                _apply(self._durable, waiting.offset, waiting.data)
            self._waiting.clear()
        return record

    def all(self) -> bytearray:
        """Everything that was written, in order: a disk without a cache."""
        return self._kept(None)

    def flushed(self) -> bytearray:
        """Nothing that was written since the last flush."""
        return bytearray(self._durable)

    def some(self, chance: random.Random) -> bytearray:
        """Of what was written since the last flush, some sectors: a disk writes its cache in any order."""
        return self._kept(chance)

    def _kept(self, chance: random.Random | None) -> bytearray:
        content = bytearray(self._durable)
        for record in self._waiting:
            for at in range(0, len(record.data), _SECTOR_BYTES):
                if chance is None or chance.random() < 0.5:
                    _apply(content, record.offset + at, record.data[at : at + _SECTOR_BYTES])
        return content


def _apply(content: bytearray, offset: int, data: bytes) -> None:
    content[offset : offset + len(data)] = data


class _Server:
    """Answers the kernel's requests for a folder with one file."""

    def __init__(self, device: int, image: bytearray, log: int) -> None:
        self._device, self._image, self._log = device, image, log

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, _BUFFER)
            except OSError as error:
                if error.errno in (errno.ENODEV, errno.ENOTCONN):  # unmounted
                    return
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                raise
            _, operation, unique, node, *_ = _IN.unpack_from(request)
            if operation in _UNANSWERED:
                continue
            answer = self._answer(operation, node, memoryview(request)[_IN.size :])
            code, body = (answer, b"") if isinstance(answer, int) else (0, answer)
            os.write(self._device, _OUT.pack(_OUT.size + len(body), -code, unique) + body)
            if operation == _Op.DESTROY:
                return

    def _answer(self, operation: int, node: int, body: memoryview) -> bytes | int:
        """The answer, or the number of an error."""
        match operation:
            case _Op.LOOKUP:
                return self._look_up(node, bytes(body).rstrip(b"\0"))
            case _Op.READ:
                _, offset, size = _RANGE.unpack_from(body)
                return bytes(self._image[offset : offset + size])
            case _Op.WRITE:
                return self._write(body)
            case _Op.FSYNC:
                os.write(self._log, _RECORD.pack(FLUSH, 0, 0))
                return b""
            case _Op.GETATTR | _Op.SETATTR:
                return struct.pack("<QII", _FOREVER_SECONDS, 0, 0) + self._attributes(node)
        return _FIXED.get(operation, errno.ENOSYS)

    def _look_up(self, node: int, name: bytes) -> bytes | int:
        if node != _NODE_ROOT or name != FILE_NAME.encode():
            return errno.ENOENT
        entry = struct.pack("<QQQQII", _NODE_DISK, 0, _FOREVER_SECONDS, _FOREVER_SECONDS, 0, 0)
        return entry + self._attributes(_NODE_DISK)

    def _write(self, body: memoryview) -> bytes:
        _, offset, size = _RANGE.unpack_from(body)
        data = body[_WRITE_BYTES : _WRITE_BYTES + size]
        self._image[offset : offset + size] = data
        os.writev(self._log, [_RECORD.pack(WRITE, size, offset), data])
        return struct.pack("<II", size, 0)

    def _attributes(self, node: int) -> bytes:
        is_disk = node == _NODE_DISK
        size = len(self._image) if is_disk else 0
        mode = stat.S_IFREG | 0o600 if is_disk else stat.S_IFDIR | 0o700
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, _BLOCK, 0)


def main() -> None:
    """Mount, say so, and serve until it is unmounted."""
    image, log, folder = sys.argv[1:]
    # A page of this process that is written back through itself would wait for itself.
    ctypes.CDLL(None).mlockall(3)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "block_log", folder], check=True, pass_fds=[device])
    content = bytearray(Path(image).read_bytes())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _Server(device, content, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)).serve()


if __name__ == "__main__":
    main()
