"""fetch: get the released files of VGGish or YAMNet, or AudioSet's features, and verify their checksums."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.download.download import FetchedFile, copy_checked, download, download_archive
from convert.download.released import MODELS
from convert.records.released_features import ARCHIVE, LARGEST_ARCHIVE_BYTES, URL, Part, unpack_features
from edge_detector.errors import UsageError

FEATURES = "audioset"


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Folder with released files, or with the parts of AudioSet's features."""

    folder: Path
    files: tuple[FetchedFile, ...] = ()
    parts: Mapping[str, Part] | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    choices = (*MODELS, FEATURES)
    parser.add_argument(
        "what", choices=choices, metavar="WHAT", help="vggish or yamnet, or audioset: its released features, 2.4 GB"
    )
    places = ", ".join(f"{name}: {release.url}" for name, release in MODELS.items())
    parser.add_argument(
        "--mirror", metavar="URL|DIR", help=f"web folder, or folder on disk, that holds the files ({places}, {FEATURES}: {URL})"
    )
    parser.add_argument(
        "--any-count", action="store_true", help="audioset: accept a mirror with another number of segments than AudioSet's page"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder for the files (build/WHAT)")


def run(arguments: argparse.Namespace) -> FetchResult:
    """Get the files."""
    folder = arguments.output or Path("build") / arguments.what
    url = URL if arguments.what == FEATURES else MODELS[arguments.what].url
    place = str(arguments.mirror or url).rstrip("/")
    is_web = place.startswith(("http://", "https://"))
    if not is_web and not Path(place).is_dir():
        raise UsageError(f"--mirror {place} is neither a folder nor a web address such as {url}")
    if arguments.what == FEATURES:
        archive = Path(place) / ARCHIVE
        if is_web:
            archive = download_archive(f"{place}/{ARCHIVE}", folder / ARCHIVE, LARGEST_ARCHIVE_BYTES)
        return FetchResult(folder, parts=unpack_features(archive, folder, all_segments=not arguments.any_count))
    files = [
        download(file, f"{place}/{file.published_name}", folder) if is_web else copy_checked(file, Path(place), folder)
        for file in MODELS[arguments.what].files
    ]
    return FetchResult(folder, tuple(files))


def describe(result: FetchResult) -> str:
    """Format the result as text."""
    if result.parts is not None:
        rows = [
            f"{result.folder / name}: {part.segments:,} segments, {part.files:,} files" for name, part in result.parts.items()
        ]
        return "\n".join([*rows, "all checksums right"])
    return "\n".join(f"{file.file}: {file.how}, {file.bytes / 1e6:.1f} MB, checksum right" for file in result.files)
