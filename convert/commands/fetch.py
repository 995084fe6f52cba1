"""fetch: get the released files of VGGish or YAMNet, and verify their checksums."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from convert.download.download import FetchedFile, copy_checked, download
from convert.download.released import MODELS
from edge_detector.errors import UsageError


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Released files and their folder."""

    folder: Path
    files: tuple[FetchedFile, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", choices=tuple(MODELS), metavar="MODEL", help=" or ".join(MODELS))
    places = ", ".join(f"{name}: {release.url}" for name, release in MODELS.items())
    parser.add_argument("--mirror", metavar="URL|DIR", help=f"web folder, or folder on disk, that holds the files ({places})")
    parser.add_argument("-o", "--output", type=Path, help="folder for the files (build/MODEL)")


def run(arguments: argparse.Namespace) -> FetchResult:
    """Get the files of a model."""
    release, folder = MODELS[arguments.model], arguments.output or Path("build") / arguments.model
    place = str(arguments.mirror or release.url).rstrip("/")
    if place.startswith(("http://", "https://")):
        files = [download(file, f"{place}/{file.published_name}", folder) for file in release.files]
    elif Path(place).is_dir():
        files = [copy_checked(file, Path(place), folder) for file in release.files]
    else:
        raise UsageError(f"--mirror {place} is neither a folder nor a web address such as {release.url}")
    return FetchResult(folder, tuple(files))


def describe(result: FetchResult) -> str:
    """Format the result as text."""
    return "\n".join(f"{file.file}: {file.how}, {file.bytes / 1e6:.1f} MB, checksum right" for file in result.files)
