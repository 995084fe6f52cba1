"""List of the gaps in a recording: a JSON file beside it, so that a replay has the gaps of the live run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_detector.bounded_files import parse_json
from edge_detector.errors import SourceError
from edge_detector.schema import StrictTable

_SUFFIX = ".gaps.json"
_VERSION = 1
_MOST_SAMPLES = 2**53


@dataclass(frozen=True, slots=True)
class Gap:
    """Lost sound.

    Attributes:
        at_sample: samples of the recording before the gap, without lost samples.
        lost_samples: samples lost there, at the recording's rate; above 0.

    """

    at_sample: int
    lost_samples: int


def gaps_path(recording: Path) -> Path:
    """Return the path of the gap list of `recording`: FILE.wav.gaps.json."""
    return recording.with_name(recording.name + _SUFFIX)


def format_gaps(gaps: Sequence[Gap]) -> str:
    """Format gaps, in ascending order, as JSON."""
    return json.dumps({"version": _VERSION, "gaps": [asdict(gap) for gap in gaps]}, indent=1) + "\n"


def parse_gaps(text: str, where: str) -> tuple[Gap, ...]:
    """Parse gaps in ascending order; `where` names the file in errors. Raises SourceError."""
    try:
        data = parse_json(text)
    except ValueError as error:
        raise SourceError(f"{where} is not JSON: {error}") from error
    table = StrictTable(data, where, SourceError)
    table.integer("version", low=_VERSION, high=_VERSION)
    gaps = []
    earliest = 0
    for entry in table.tables("gaps"):
        gap = Gap(
            at_sample=entry.integer("at_sample", low=earliest, high=_MOST_SAMPLES),
            lost_samples=entry.integer("lost_samples", low=1, high=_MOST_SAMPLES),
        )
        entry.reject_unknown()
        gaps.append(gap)
        earliest = gap.at_sample + 1
    table.reject_unknown()
    return tuple(gaps)
