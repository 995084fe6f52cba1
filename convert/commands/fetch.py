"""fetch: the released VGGish checkpoint and PCA parameters, from Google or from a disk, checked byte by byte."""

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from convert.arguments import positive_float, positive_int
from convert.data import released
from convert.data.download import copy_checked, download, sha256_of
from convert.data.resume import Patience, ReleasedFile
from edge_detector.errors import EdgeDetectorError, UsageError

PARTS = {"checkpoint": released.CHECKPOINT, "pca": released.PCA_PARAMETERS}


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--only", choices=tuple(PARTS), help="one of the two files (both)")
    parser.add_argument(
        "--from-file",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="without internet: files got elsewhere, by any name, or a folder that holds them",
    )
    parser.add_argument(
        "--mirror", type=_web_address, default=released.URL, metavar="URL", help=f"where they are ({released.URL})"
    )
    parser.add_argument("--tries", type=positive_int, default=6, help="failures in a row, without a new byte, to put up with (6)")
    parser.add_argument("--stall", type=positive_float, default=30.0, help="seconds of silence to put up with (30)")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/vggish"), help="folder for the files (build/vggish)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Get what is asked for, and say what there is and how it came."""
    wanted = [PARTS[arguments.only]] if arguments.only else list(released.FILES)
    if arguments.from_file:
        how = _copied(arguments.from_file, wanted, arguments.output)
    else:
        patience = Patience(arguments.tries, arguments.stall)
        how = {file.name: download(file, f"{arguments.mirror}/{file.name}", arguments.output, patience) for file in wanted}
    files = [
        {"file": str(arguments.output / file.name), "how": how[file.name], "bytes": _size(arguments.output / file.name)}
        | {"sha256": file.sha256}
        for file in wanted
        if file.name in how
    ]
    return {"folder": str(arguments.output), "files": files, "missing": [file.name for file in wanted if file.name not in how]}


def describe(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{file['file']}: {file['how']}, {file['bytes'] / 1e6:.1f} MB, checksum right" for file in result["files"]]
    lines += [f"{result['folder']}: {name} was not among the files given" for name in result["missing"]]
    return "\n".join(lines)


def _copied(paths: list[Path], wanted: list[ReleasedFile], folder: Path) -> dict[str, str]:
    """Copy what is recognised by its content; a file that is nothing of ours is an error, not a guess."""
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
        inside = [path / file.name for file in wanted if (path / file.name).is_file()] if path.is_dir() else [path]
        if not inside:
            message = f"{path} holds neither of the released files; they are called {', '.join(file.name for file in wanted)}"
            raise UsageError(message)
        found += inside
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        message = f"{path} was there and is gone; run fetch again"
        raise EdgeDetectorError(message) from error


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not text.isprintable() or " " in text:
        message = f"{text!r} is not a web address such as {released.URL}"
        raise argparse.ArgumentTypeError(message)
    return text.rstrip("/")
