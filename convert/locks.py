"""Locks between processes that write the same file, on this machine or on others that share the folder."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from edge_detector.errors import EdgeDetectorError

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class Lock(Enum):
    """What became of a lock: it is held, another process holds it, or the file system has no locks."""

    HELD = "held"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


@contextmanager
def file_lock(path: Path, *, wait: bool) -> Iterator[Lock]:
    """Lock `.NAME.lock` beside a file, and remove it at the end; the system frees it when its process dies.

    Args:
        path: the file to be written.
        wait: until another process lets go; otherwise BUSY.

    Raises EdgeDetectorError if the folder cannot be written.
    """
    lock = lock_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        state, descriptor = _acquire(lock, wait=wait)
    except OSError as error:
        message = f"{lock} cannot be written: {error.strerror or error}; give a folder that can"
        raise EdgeDetectorError(message) from error
    try:
        yield state
    finally:
        if state is Lock.HELD:
            # Removed while it is held: who waits for it sees that, and makes a new one.
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def lock_of(path: Path) -> Path:
    """Return the path of a file's lock."""
    return path.with_name(f".{path.name}.lock")


def _acquire(lock: Path, *, wait: bool) -> tuple[Lock, int]:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(lock, descriptor):
                return Lock.HELD, descriptor
        except BlockingIOError:
            return Lock.BUSY, descriptor
        except OSError as error:
            if error.errno in _NO_LOCKS:
                lock.unlink(missing_ok=True)
                return Lock.UNAVAILABLE, descriptor
            if error.errno != errno.ESTALE:
                os.close(descriptor)
                raise
            # On NFS, another machine has removed this file: a new one is made, as below.
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
