"""Where in unsorted sound a teacher hears one of the rarer classes: a few minutes in hours, sought out when windows are drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convert.data.clips import UNKNOWN_CLASS, LoadedClip
from convert.data.peer import EXAMPLE_STEP_SAMPLES, NAMES_BY_MID, Peer
from convert.files import read_json
from edge_detector.errors import UsageError
from edge_detector.types import Float32

SOUGHT = "sought.json"
"""Beside the folders of a background: {piece's file name: {AudioSet identifier: [first samples of windows, ascending]}}."""

COMMON_MIDS = ("/m/04rlf", "/m/09x0r")
"""Music and speech need no seeking."""

HEARD_FROM = 0.2
"""YAMNet gives helicopters, fires and clocks no higher score in most windows that hold one."""


class Find(NamedTuple):
    """A window in which a class was heard: the clip's index, and the window's first sample in it."""

    clip: int
    start: int


def starts_heard(teacher: Peer, samples: Float32) -> dict[str, list[int]]:
    """By AudioSet identifier, the first samples of the windows in which a class is heard; classes that are not are absent.

    The teacher is one that listens for every class that YAMNet's table knows (`peer.of_all_classes`).
    """
    heard = teacher.probabilities(samples, EXAMPLE_STEP_SAMPLES) >= HEARD_FROM
    columns = zip(NAMES_BY_MID, heard.T, strict=True)
    windows = {mid: np.flatnonzero(column) * EXAMPLE_STEP_SAMPLES for mid, column in columns if mid not in COMMON_MIDS}
    return {mid: windows[mid].tolist() for mid in sorted(windows) if len(windows[mid])}


def read_finds(background: Path, clips: Sequence[LoadedClip]) -> tuple[tuple[Find, ...], ...]:
    """What was written down of a background's unsorted pieces, one list for each class that was heard at all.

    Raises UsageError where nothing was written down, or something else.
    """
    path = background / SOUGHT
    if not path.is_file():
        raise UsageError(f"{path} does not exist; cut the background with background --teacher, which writes it")
    noted = read_json(path)
    found: dict[str, list[Find]] = {}
    for index, clip in enumerate(clips):
        if clip.class_index != UNKNOWN_CLASS:
            continue
        starts = noted.get(clip.clip.path.name, {})
        if not isinstance(starts, Mapping) or not all(_are_starts(each) for each in starts.values()):
            raise UsageError(f"{path} is not what background --teacher writes; cut the background again")
        for mid, firsts in starts.items():
            found.setdefault(mid, []).extend(Find(index, first) for first in firsts)
    return tuple(tuple(found[mid]) for mid in sorted(found))


def _are_starts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(first, int) and first >= 0 for first in found)
