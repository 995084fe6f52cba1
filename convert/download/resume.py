"""One file over HTTP into a .part file: resumed where it broke off, tried again with growing patience."""

import contextlib
import random
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from convert.progress import Progress
from edge_detector import __version__
from edge_detector.errors import EdgeDetectorError

CHUNK_BYTES = 1 << 16
LONGEST_WAIT_SECONDS = 30.0
BAR_WIDTH = 24
WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """A file that is known by its content.

    Attributes:
        name: what it is called here.
        sha256: hexadecimal digest of its bytes.
        largest_bytes: no answer longer than this can be the file; it is cut off.
        remote_name: what it is called where it is published; the same where this is None.

    """

    name: str
    sha256: str
    largest_bytes: int
    remote_name: str | None = None

    @property
    def published_name(self) -> str:
        """What it is called where it is published."""
        return self.remote_name or self.name


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to put up with a bad connection.

    Attributes:
        tries: failures in a row, without one new byte between them, before giving up.
        stall_seconds: silence after which a connection counts as dead.
        wait: sleeps between tries.

    """

    tries: int = 6
    stall_seconds: float = 30.0
    wait: Callable[[float], None] = time.sleep


class _BrokenOffError(Exception):
    """This try failed; another may not."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class Download:
    """One file on its way into a .part file."""

    def __init__(self, file: ReleasedFile, url: str, part: Path, patience: RetryPolicy) -> None:
        self._file, self._url, self._part, self._patience = file, url, part, patience

    def complete(self) -> bool:
        """Get every byte; True if they came in more than one piece."""
        failures, resumed = 0, self._size() > 0
        while True:
            before = self._size()
            try:
                self._go_on(before)
            except _BrokenOffError as error:
                failures = 1 if self._size() > before else failures + 1
                if failures >= self._patience.tries:
                    raise EdgeDetectorError(self._gave_up(error, failures)) from error
                resumed = True
                self._pause(error, failures)
            else:
                return resumed

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _gave_up(self, error: Exception, failures: int) -> str:
        size = self._size()
        kept = f"; {size / 1e6:.1f} MB are kept, run the same command to go on" if size else ""
        times = f", {failures} times in a row" if failures > 1 else ""
        return f"{self._url} cannot be downloaded: {error}{times}{kept}; without internet, use --from-file"

    def _pause(self, error: _BrokenOffError, failures: int) -> None:
        seconds = min(2.0 ** (failures - 1), LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1.0)
        if error.wait_seconds is not None:
            seconds = min(error.wait_seconds, LONGEST_WAIT_SECONDS)
        say(f"{self._file.name}: {error}; trying again in {seconds:.0f} s")
        self._patience.wait(seconds)

    def _go_on(self, have: int) -> None:
        """Ask for what is missing and append it."""
        headers = {"User-Agent": f"edge-detector/{__version__}"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            response = urlopen(Request(self._url, headers=headers), timeout=self._patience.stall_seconds)  # noqa: S310 - fetch checks the scheme
        except HTTPError as error:
            with error:
                self._refused(error, have)
            return
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                message = f"{self._url}: the server's certificate is not trusted ({error.reason.verify_message}); use --from-file"
                raise EdgeDetectorError(message) from error
            raise _BrokenOffError(_reason(error.reason)) from error
        except (OSError, HTTPException) as error:
            raise _BrokenOffError(_reason(error)) from error
        with response:
            if response.status == PARTIAL_CONTENT and _first_byte(response) != have:
                delete(self._part)
                raise _BrokenOffError("the server sent another part than was asked for")
            self._append(response, have if response.status == PARTIAL_CONTENT else 0)

    def _refused(self, error: HTTPError, have: int) -> None:
        if error.code == RANGE_NOT_SATISFIABLE and have:
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
            delete(self._part)
            raise _BrokenOffError("the server's file is shorter than what was kept") from error
        if error.code in WORTH_ANOTHER_TRY:
            after = error.headers.get("Retry-After", "")
            wait_seconds = float(after) if after.isdigit() else None
            raise _BrokenOffError(f"the server answered {error.code} {error.reason}", wait_seconds) from error
        message = (
            f"{self._url} cannot be downloaded: the server answered {error.code} {error.reason}; use --from-file or --mirror"
        )
        raise EdgeDetectorError(message) from error

    def _append(self, response: HTTPResponse, have: int) -> None:
        expected = have + response.length if response.length is not None else None
        if (expected or 0) > self._file.largest_bytes:
            raise EdgeDetectorError(self._too_long())
        bar = _Bar(self._file.name, have, expected)
        try:
            with _written(self._part, have) as write:
                while chunk := _read(response):
                    have += len(chunk)
                    if have > self._file.largest_bytes:
                        raise EdgeDetectorError(self._too_long())
                    write(chunk)
                    bar.update(have)
        finally:
            bar.close()
        if expected is not None and have < expected:
            raise _BrokenOffError(f"the connection closed after {have / 1e6:.1f} of {expected / 1e6:.1f} MB")

    def _too_long(self) -> str:
        delete(self._part)
        return f"{self._url} is not the released {self._file.name}: it is longer than {self._file.largest_bytes / 1e6:.0f} MB"


class _Bar:
    """Progress in megabytes, with a bar and a rate."""

    def __init__(self, name: str, have: int, expected: int | None) -> None:
        self._expected, self._first, self._started = expected, have, time.monotonic()
        self._progress = Progress(f"fetch {name}", None if expected is None else -(-expected // 1_000_000))

    def update(self, have: int) -> None:
        rate = (have - self._first) / 1e6 / max(time.monotonic() - self._started, 1e-3)
        whole = self._expected is not None and have >= self._expected
        bar = ""
        if self._expected:
            done = BAR_WIDTH * have // self._expected
            bar = f" [{'#' * done}{'.' * (BAR_WIDTH - done)}] {100 * have // self._expected} %"
        self._progress.update(-(-have // 1_000_000) if whole else have // 1_000_000, f"MB{bar}, {rate:.1f} MB/s")

    def close(self) -> None:
        self._progress.close()


@contextlib.contextmanager
def _written(part: Path, size: int) -> Iterator[Callable[[bytes], int]]:
    """Write to a .part file after its first `size` bytes; errors of the network inside pass through untouched."""
    try:
        file = part.open("r+b" if size else "wb", buffering=0)
    except OSError as error:
        raise unwritable(part, error) from error

    def write(chunk: bytes) -> int:
        try:
            return file.write(chunk)
        except OSError as error:
            raise unwritable(part, error) from error

    with file:
        file.seek(size)
        yield write


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _BrokenOffError(_reason(error)) from error


def _first_byte(response: HTTPResponse) -> int | None:
    """Where a partial answer says that it starts: `bytes 100-199/200`."""
    first = (response.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "the server fell silent"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return f"the connection failed ({text})"


def delete(path: Path) -> None:
    """Remove a file if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> EdgeDetectorError:
    """The sentence for a path that cannot be written."""
    return EdgeDetectorError(f"{path} cannot be written: {error.strerror or error}; make room there, or give another --output")


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"fetch {text}\n")
