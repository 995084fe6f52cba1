"""background: real speech, music and other sound, cut and split for training, for choosing thresholds and for testing."""

import argparse
import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.data.audio import read_16khz
from convert.data.material import BY_KIND, SPLITS, Part, files_of, pieces, read_parts, require_disjoint, sounds
from convert.data.sorting import KindSorter
from convert.files import read_json, write_bytes, write_json
from convert.progress import Progress
from edge_detector.core.soundscape import INT16_SCALE
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

LIST = "background.json"
PIECES_TOGETHER = 6
"""Pieces that count as one original where clips are split: a minute."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("material", type=Path, metavar="DIR", help="folder below which the plan's packages are unpacked")
    parser.add_argument(
        "--plan",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help='JSON: {"parts": [{"split", "label", "of", "files", "licence", "credit"}, …]}; of several, all parts',
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        help=f"YAMNet's .tflite, which sorts the recordings of parts labelled {BY_KIND} into folders called KIND_LABEL",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for SPLIT/LABEL/1-ORIGIN_MINUTE-NUMBER.wav")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Cut, write, and list what is used for what, last."""
    parts = tuple(part for plan in arguments.plan for part in read_parts(read_json(plan)))
    require_disjoint(parts, arguments.material)
    if arguments.teacher is None and any(part.label == BY_KIND for part in parts):
        raise UsageError(f"the plan has parts that are sorted {BY_KIND}, which YAMNet does; give --teacher yamnet.tflite")
    sorter = KindSorter(arguments.teacher) if arguments.teacher else None
    progress = Progress("background: part", len(parts))
    listed = []
    written: set[Path] = set()
    for number, part in enumerate(parts, 1):
        listed += _write_part(part, arguments.material, arguments.output, sorter, written)
        progress.update(number, part.of)
    progress.close()
    _remove_others(arguments.output, written)
    result = {"parts": listed}
    write_json(arguments.output / LIST, result)
    return result


def describe(result: dict[str, Any]) -> str:
    """The list for people."""
    return "\n".join(
        f"{part['split']:<10} {part['label']:<8} {part['hours']:6.3f} h  {part['of']} ({part['licence']})"
        for part in result["parts"]
    )


def _write_part(part: Part, material: Path, output: Path, sorter: KindSorter | None, written: set[Path]) -> list[dict[str, Any]]:
    """One entry of the list; of a part that is sorted by kind, one for each folder."""
    files = files_of(part, material)
    if part.label != BY_KIND or sorter is None:
        return [_write_pieces(part, part.label, files, output, written)]
    folders: dict[str, list[Path]] = {}
    for path in files:
        samples = read_16khz(path)
        if sounds(samples):
            folders.setdefault(sorter.folder_of(samples), []).append(path)
    return [_write_pieces(part, folder, paths, output, written) for folder, paths in sorted(folders.items())]


def _write_pieces(part: Part, label: str, files: Sequence[Path], output: Path, written: set[Path]) -> dict[str, Any]:
    folder = output / part.split / label
    origin = "".join(letter if letter.isalnum() else "_" for letter in part.of)
    samples = 0
    for number, piece in enumerate(pieces(map(read_16khz, files))):
        path = folder / f"1-{origin}_{number // PIECES_TOGETHER:04d}-{number:04d}.wav"
        if path in written:
            raise UsageError(f'the plan has {part.split} {label} of {part.of} twice; make one part of both, with files "a*,b*"')
        written.add(path)
        write_bytes(path, _wav(piece))
        samples += len(piece)
    return {
        "split": part.split,
        "label": label,
        "of": part.of,
        "files": len(files),
        "hours": round(samples / FRONT_END.sample_rate_hz / 3600.0, 4),
        "licence": part.licence,
        "credit": part.credit,
    }


def _remove_others(output: Path, written: set[Path]) -> None:
    """Take away the pieces of another plan, or what was for training before would be in two splits."""
    for split in SPLITS:
        for path in set((output / split).glob("*/1-*_[0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9].wav")) - written:
            path.unlink()


def _wav(samples: Float32) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(FRONT_END.sample_rate_hz)
        file.writeframes(np.round(samples * INT16_SCALE).clip(-INT16_SCALE, INT16_SCALE - 1).astype("<i2").tobytes())
    return content.getvalue()
