"""fetch: get the released files of VGGish or YAMNet from Google or a disk, and verify their checksums."""

import argparse
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from convert.arguments import positive_float, positive_int
from convert.download import released
from convert.download.download import copy_checked, download, sha256_of
from convert.download.resume import ReleasedFile, RetryPolicy
from edge_detector.errors import EdgeDetectorError, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    default, vggish = released.DEFAULT_MODEL, released.MODELS["vggish"]
    parser.add_argument(
        "model", nargs="?", choices=tuple(released.MODELS), default=default, metavar="MODEL", help=f"vggish or yamnet ({default})"
    )
    parser.add_argument("--only", choices=tuple(vggish.files), help="one of VGGish's two files (both)")
    parser.add_argument(
        "--from-file",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="without internet: files got elsewhere, by any name, or a folder that holds them; MODEL goes before it",
    )
    places = ", ".join(f"{name}: {release.url}" for name, release in released.MODELS.items())
    parser.add_argument("--mirror", type=_web_address, metavar="URL", help=f"folder on the web that holds them ({places})")
    parser.add_argument("--tries", type=positive_int, default=6, help="failures in a row, without a new byte, to put up with (6)")
    parser.add_argument("--stall", type=positive_float, default=30.0, help="seconds of silence to put up with (30)")
    parser.add_argument("-o", "--output", type=Path, help="folder for the files (build/MODEL)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Get the requested files; report each one and its origin."""
    release = released.MODELS[arguments.model]
    wanted = _wanted(arguments.model, arguments.only)
    folder = arguments.output or Path("build") / arguments.model
    if arguments.from_file:
        how = _copied(arguments.from_file, wanted, folder)
    else:
        patience, place = RetryPolicy(arguments.tries, arguments.stall), arguments.mirror or release.url
        how = {file.name: download(file, f"{place}/{file.published_name}", folder, patience) for file in wanted}
    files = [
        {"file": str(folder / file.name), "how": how[file.name], "bytes": _size(folder / file.name), "sha256": file.sha256}
        for file in wanted
        if file.name in how
    ]
    return {"folder": str(folder), "files": files, "missing": [file.name for file in wanted if file.name not in how]}


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    lines = [f"{file['file']}: {file['how']}, {file['bytes'] / 1e6:.1f} MB, checksum right" for file in result["files"]]
    lines += [f"{result['folder']}: {name} was not among the files given" for name in result["missing"]]
    return "\n".join(lines)


def _wanted(model: str, only: str | None) -> list[ReleasedFile]:
    files = released.MODELS[model].files
    if only is None:
        return list(files.values())
    if only not in files:
        raise UsageError(f"--only {only} is one of VGGish's files, and {model} was asked for; leave --only out")
    return [files[only]]


def _copied(paths: list[Path], wanted: list[ReleasedFile], folder: Path) -> dict[str, str]:
    """Copy files recognised by their content; raise an error for an unknown file."""
    by_checksum = {file.sha256: file for file in wanted}
    how: dict[str, str] = {}
    for path in _files(paths, wanted):
        checksum = sha256_of(path)
        if checksum not in by_checksum:
            expected = " or ".join(f"{file.name} ({file.sha256})" for file in wanted)
            message = f"{path} is not the released {expected}: its sha256 is {checksum}; get it again"
            raise EdgeDetectorError(message)
        file = by_checksum[checksum]
        how[file.name] = copy_checked(path, file, folder)
    return how


def _files(paths: list[Path], wanted: list[ReleasedFile]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [each for file in wanted if (each := _in_folder(path, file)) is not None]
            if not inside:
                names = " nor ".join(file.name for file in wanted)
                lacks = f"neither {names}" if len(wanted) > 1 else f"no {names}"
                raise UsageError(f"{path} holds {lacks}, under any name; give the file, or a folder that holds it")
            found += inside
        elif str(path) in released.MODELS and not path.exists():
            raise UsageError(f"--from-file takes {path} for a file; give the model first: fetch {path} --from-file PATH")
        else:
            found.append(path)
    return found


def _in_folder(folder: Path, wanted: ReleasedFile) -> Path | None:
    """Find the file by name, otherwise by content."""
    for name in (wanted.name, wanted.published_name):
        if (folder / name).is_file():
            return folder / name
    # A browser may add (1) to a name. Larger files are skipped unread: the folder may hold videos.
    try:
        files = [path for path in sorted(folder.iterdir()) if path.is_file() and os.access(path, os.R_OK)]
        small = [path for path in files if path.stat().st_size <= wanted.largest_bytes]
    except OSError as error:
        raise EdgeDetectorError(f"{folder} cannot be read: {error.strerror or error}; give a folder that can") from error
    return next((path for path in small if sha256_of(path) == wanted.sha256), None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        message = f"{path} was there and is gone; run fetch again"
        raise EdgeDetectorError(message) from error


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not text.isprintable() or " " in text:
        message = f"{text!r} is not a web address such as {released.MODELS['vggish'].url}"
        raise argparse.ArgumentTypeError(message)
    return text.rstrip("/")
