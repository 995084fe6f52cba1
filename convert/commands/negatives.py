"""negatives: pack records of other sound into the negatives that teach learns beside recordings."""

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from convert.arguments import positive_int
from convert.files import write_bytes
from convert.records.files import find_embedder, read_classes, read_dataset
from convert.records.identity import embedder_id, require_same_embedder
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.teaching.negatives import Negative, Negatives, negatives_content


@dataclass(frozen=True, slots=True)
class PackedNegatives:
    """File, number of stretches of sound, their hours, and the size of the file in bytes."""

    output: Path
    negatives: int
    hours: float
    bytes: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("records", type=Path, nargs="+", help="records of one embedder, made with embed or compose")
    parser.add_argument(
        "--most-per-label", type=positive_int, default=250, metavar="N", help="records of one label, spread evenly (250)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.npz", help="file of negatives")


def run(arguments: argparse.Namespace) -> PackedNegatives:
    """Pack the records."""
    first, *others = arguments.records
    embedder = embedder_id(find_embedder(first) or {})
    if embedder is None:
        raise UsageError(f"{first} does not name the embedder of its records; make it again with embed or compose")
    for path in others:
        require_same_embedder(
            embedder_id(find_embedder(path) or {}), str(path), embedder, str(first), "make both with one embedder"
        )
    sequences: list[Negative] = []
    for path in arguments.records:
        sequences += _thinned(path, arguments.most_per_label)
    content = negatives_content(Negatives(embedder.digest, tuple(sequences)))
    write_bytes(arguments.output, content)
    frames = sum(len(each.codes) for each in sequences)
    hours = frames * FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz / 3600.0
    return PackedNegatives(arguments.output, len(sequences), round(hours, 3), len(content))


def describe(result: PackedNegatives) -> str:
    """Format the result as text."""
    return f"{result.output}: {result.negatives} negatives, {result.hours:.1f} h, {result.bytes / 1e6:.1f} MB"


def _thinned(path: Path, most: int) -> list[Negative]:
    """Read records; of those with equal labels, at most so many, spread evenly. Records without a label all stay."""
    slugs = [each.slug for each in read_classes(path)]
    by_labels: dict[frozenset[str], list[Negative]] = defaultdict(list)
    for record in read_dataset(path):
        labels = frozenset(slugs[index] for index in record.labels)
        by_labels[labels].append(Negative(record.codes, labels))
    kept: list[Negative] = []
    for labels, found in by_labels.items():
        count = min(len(found), most) if labels else len(found)
        kept += [found[number * len(found) // count] for number in range(count)]
    return kept
