"""Released files from the web or a folder, kept only if their checksum is right; pooch downloads and checks."""

import itertools
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import pooch
import requests

from convert.download.released import ReleasedFile
from convert.files import atomic_path, sha256_of
from convert.progress import Progress
from edge_detector.errors import EdgeDetectorError

TRIES = 5
BUSY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
STALL_SECONDS = 30.0
CHUNK_BYTES = 1_000_000

Origin: TypeAlias = Literal["already there", "downloaded", "copied"]


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A released file in its folder: path, origin, size and checksum."""

    file: Path
    how: Origin
    bytes: int
    sha256: str


def download(file: ReleasedFile, url: str, folder: Path) -> FetchedFile:
    """Download a file into a folder unless it is there. Raises EdgeDetectorError; a file with another checksum is not kept."""
    target = folder / file.name
    if target.is_file() and sha256_of(target) == file.sha256:
        return _fetched(target, "already there", file)
    store = pooch.create(folder, base_url="", registry={file.name: f"sha256:{file.sha256}"}, urls={file.name: url})

    def fetch() -> None:
        store.fetch(file.name, downloader=lambda address, output, mirror: _bounded(address, output, mirror, file))

    try:
        _with_retries(fetch, url, target, "without internet, give a folder with --mirror")
    except ValueError as error:
        message = f"{url} is not the released {file.name}: {_one_line(error)}; nothing was kept"
        raise EdgeDetectorError(message) from error
    return _fetched(target, "downloaded", file)


def download_archive(url: str, target: Path, largest_bytes: int) -> Path:
    """Download a file without a published checksum; an interrupted download is resumed. Raises EdgeDetectorError."""
    if target.is_file():
        return target
    part = target.with_name(f"{target.name}.part")
    progress = Progress(f"fetch {target.name}")

    def fetch() -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        _append(url, part, largest_bytes, progress)
        part.replace(target)

    _with_retries(fetch, url, part, "run the command again to resume, or give a folder with --mirror")
    progress.close()
    return target


def _with_retries(fetch: Callable[[], None], url: str, path: Path, remedy: str) -> None:
    """Call `fetch` until it succeeds; raise EdgeDetectorError for what another try would not mend, and after all tries."""
    for attempt in itertools.count(1):
        try:
            fetch()
            break
        except requests.exceptions.RequestException as error:
            if not _may_succeed_later(error) or attempt == TRIES:
                raise EdgeDetectorError(f"{url} cannot be downloaded: {error}; {remedy}") from error
            time.sleep(2.0**attempt)
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror or error}; make room there, or give another --output"
            raise EdgeDetectorError(message) from error


def _append(url: str, part: Path, largest_bytes: int, progress: Progress) -> None:
    """Append the rest of a file to what an earlier try left; a server that sends all of it again is accepted."""
    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(url, headers=headers, stream=True, timeout=STALL_SECONDS) as answer:
        if done and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        done = done if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_content(CHUNK_BYTES):
                done += len(chunk)
                if done > largest_bytes:
                    raise EdgeDetectorError(f"{url} is longer than {largest_bytes / 1e9:.0f} GB, and so is another file")
                file.write(chunk)
                progress.update(done // 1_000_000, "MB")


def copy_checked(file: ReleasedFile, source: Path, folder: Path) -> FetchedFile:
    """Copy a file from a folder, by its local or published name, unless it is there. Raises EdgeDetectorError."""
    target = folder / file.name
    if target.is_file() and sha256_of(target) == file.sha256:
        return _fetched(target, "already there", file)
    held = [source / name for name in (file.name, file.published_name) if (source / name).is_file()]
    if not held:
        raise EdgeDetectorError(f"{source} has no {file.name}; give a folder that holds it, or a web address")
    if (found := sha256_of(held[0])) != file.sha256:
        message = f"{held[0]} is not the released {file.name}: its sha256 is {found}, not {file.sha256}; nothing was kept"
        raise EdgeDetectorError(message)
    with atomic_path(target) as temporary:
        shutil.copyfile(held[0], temporary)
    return _fetched(target, "copied", file)


def _fetched(path: Path, how: Origin, file: ReleasedFile) -> FetchedFile:
    return FetchedFile(path, how, path.stat().st_size, file.sha256)


def _may_succeed_later(error: requests.exceptions.RequestException) -> bool:
    """Return whether another try may help: the connection failed, or the server is busy."""
    return error.response is None or error.response.status_code in BUSY_STATUSES


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


class _BoundedFile:
    """A file that refuses more than the largest size, and shows the progress in megabytes."""

    def __init__(self, file: BinaryIO, released: ReleasedFile) -> None:
        self._file, self._released, self._bytes = file, released, 0
        self._progress = Progress(f"fetch {released.name}")

    def write(self, chunk: bytes) -> int:
        self._bytes += len(chunk)
        if self._bytes > self._released.largest_bytes:
            raise ValueError(f"it is longer than {self._released.largest_bytes / 1e6:.0f} MB")
        self._progress.update(self._bytes // 1_000_000, "MB")
        return self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._progress.close()


def _bounded(url: str, output: str, mirror: object, file: ReleasedFile) -> None:
    with Path(output).open("wb") as content:
        bounded = _BoundedFile(content, file)
        try:
            pooch.HTTPDownloader(timeout=STALL_SECONDS)(url, bounded, mirror)
        finally:
            bounded.close()
