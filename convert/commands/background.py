"""background: cut real speech, music and other sound, and split it for training, calibration and testing."""

import argparse
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from convert.audio.background_plan import BY_KIND, SPLITS, Part, audio_files, cut_pieces, is_audible, read_parts, require_disjoint
from convert.audio.wav import wav_bytes
from convert.embedder.sorting import KindSorter
from convert.files import write_bytes, write_json
from convert.plain_data import to_plain
from convert.progress import Progress
from convert.records.damage import Damage, DamagedRecordError
from edge_detector.audio.samples import read_16khz
from edge_detector.errors import SourceError, UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

LIST = "background.json"
PIECES_PER_SOURCE = 6
"""Pieces with the same source in their file names, which splits by source keep together: one minute."""


@dataclass(frozen=True, slots=True)
class CutRecordings:
    """Recordings of one origin that were cut into one folder.

    Attributes:
        split: "train", "calibrate" or "test".
        label: name of the output folder.
        of: origin, as in the plan.
        files: number of recordings.
        hours: total length of their pieces.
        licence, credit: of the recordings.

    """

    split: str
    label: str
    of: str
    files: int
    hours: float
    licence: str
    credit: str


@dataclass(frozen=True, slots=True)
class Background:
    """All recordings that were cut, as background.json lists them."""

    parts: tuple[CutRecordings, ...]


@dataclass(frozen=True, slots=True)
class _Cut:
    """Result of one part: list entries, files, and the errors of the recordings that cannot be used."""

    listed: tuple[CutRecordings, ...]
    written: tuple[Path, ...]
    damaged: tuple[str, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("material", type=Path, metavar="DIR", help="folder below which the plan's packages are unpacked")
    parser.add_argument(
        "--plan",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help='JSON: {"parts": [{"split", "label", "of", "files", "licence", "credit"}, …]}; several files are merged',
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        help=f"YAMNet's .tflite, for sorting the recordings of parts labelled {BY_KIND} into folders KIND_LABEL",
    )
    parser.add_argument("--skip-damaged", action="store_true", help="skip recordings that cannot be used and count them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for SPLIT/LABEL/1-ORIGIN_MINUTE-NUMBER.wav")


def run(arguments: argparse.Namespace) -> Background:
    """Cut and write all parts, then the list of them."""
    parts = tuple(part for plan in arguments.plan for part in read_parts(plan))
    require_disjoint(parts, arguments.material)
    if arguments.teacher is None and any(part.label == BY_KIND for part in parts):
        raise UsageError(f"YAMNet sorts the parts labelled {BY_KIND}; give --teacher yamnet.tflite")
    cut = partial(_cut, material=arguments.material, output=arguments.output, teacher=arguments.teacher)
    progress = Progress("background: part", len(parts))
    damage = Damage(skip=arguments.skip_damaged)
    listed: list[CutRecordings] = []
    written: set[Path] = set()
    for number, (part, part_result) in enumerate(zip(parts, _in_processes(cut, parts), strict=True), 1):
        for error in part_result.damaged:
            damage.handle(DamagedRecordError("unreadable recording", error))
        if written.intersection(part_result.written):
            raise UsageError(
                f'the plan has {part.split} {part.label} of {part.of} twice; merge both into one part, with files "a*,b*"'
            )
        listed += part_result.listed
        written.update(part_result.written)
        progress.update(number, part.of)
    progress.close()
    _remove_others(arguments.output, written)
    result = Background(tuple(listed))
    write_json(arguments.output / LIST, to_plain(result))
    return result


def describe(result: Background) -> str:
    """Format the list as text."""
    return "\n".join(f"{part.split:<10} {part.label:<8} {part.hours:6.3f} h  {part.of} ({part.licence})" for part in result.parts)


def _in_processes(cut: Callable[[Part], _Cut], parts: Sequence[Part]) -> Iterator[_Cut]:
    """Cut the parts in one process per core, in order; a single part in this process."""
    if len(parts) == 1:
        yield cut(parts[0])
        return
    # Ctrl-C reaches every process of a terminal; the parent ends the workers.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), signal.signal, ignore) as pool:
        try:
            yield from pool.map(cut, parts)
        except BaseException:
            # Wait for running parts; cancel the rest.
            pool.shutdown(cancel_futures=True)
            raise


@cache
def _sorter(teacher: Path) -> KindSorter:
    """Return this process's sorter."""
    return KindSorter(teacher)


def _cut(part: Part, material: Path, output: Path, teacher: Path | None) -> _Cut:
    """Cut one part; a part sorted by kind gives one list entry per folder."""
    files = audio_files(part, material)
    damaged: list[str] = []
    if part.label != BY_KIND or teacher is None:
        return _write({part.label: files}, part, output, damaged)
    folders: dict[str, list[Path]] = {}
    for path, samples in _read(files, damaged):
        if is_audible(samples):
            folders.setdefault(_sorter(teacher).folder_of(samples), []).append(path)
    return _write(folders, part, output, damaged)


def _read(files: Sequence[Path], damaged: list[str]) -> Iterator[tuple[Path, Float32]]:
    """Yield each recording and its samples, float32 (n,) at 16 kHz; the error of one that cannot be used joins `damaged`."""
    for path in files:
        try:
            samples = read_16khz(path)
        except SourceError as error:
            damaged.append(str(error))
        else:
            yield path, samples


def _write(folders: Mapping[str, Sequence[Path]], part: Part, output: Path, damaged: list[str]) -> _Cut:
    origin = "".join(letter if letter.isalnum() else "_" for letter in part.of)
    listed: list[CutRecordings] = []
    written: list[Path] = []
    for label, files in sorted(folders.items()):
        samples, refused = 0, len(damaged)
        for number, piece in enumerate(cut_pieces(found for _, found in _read(files, damaged))):
            written.append(output / part.split / label / f"1-{origin}_{number // PIECES_PER_SOURCE:04d}-{number:04d}.wav")
            write_bytes(written[-1], wav_bytes(piece))
            samples += len(piece)
        listed.append(
            CutRecordings(
                split=part.split,
                label=label,
                of=part.of,
                files=len(files) - len(damaged) + refused,
                hours=round(samples / FRONT_END.sample_rate_hz / 3600.0, 4),
                licence=part.licence,
                credit=part.credit,
            )
        )
    return _Cut(tuple(listed), tuple(written), tuple(damaged))


def _remove_others(output: Path, written: set[Path]) -> None:
    """Delete the pieces of an earlier plan, which could otherwise put a recording in two splits."""
    for split in SPLITS:
        for path in set((output / split).glob("*/1-*_[0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9].wav")) - written:
            path.unlink()
