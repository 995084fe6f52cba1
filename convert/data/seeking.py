"""Where in unsorted sound a teacher hears one of the rarer classes: a few minutes in hours, sought out when windows are drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convert.data.classes import ClassName
from convert.data.clips import UNKNOWN_CLASS, LoadedClip
from convert.data.peer import EXAMPLE_STEP_SAMPLES, NAMES_BY_MID, Peer

COMMON_MIDS = ("/m/04rlf", "/m/09x0r")
"""Music and speech need no seeking."""

HEARD_FROM = 0.2
"""YAMNet gives helicopters, fires and clocks no higher score in most windows that hold one."""


class Find(NamedTuple):
    """A window in which a class was heard: the clip's index, and the window's first sample in it."""

    clip: int
    start: int


def find_classes(clips: Sequence[LoadedClip], teacher: Path) -> tuple[tuple[Find, ...], ...]:
    """Windows of unsorted clips where YAMNet hears a class that its table knows, one list for each class that was heard at all.

    Args:
        clips: those of other kinds are passed over.
        teacher: YAMNet's .tflite file, its list of labels beside it.

    """
    mids = sorted(set(NAMES_BY_MID) - set(COMMON_MIDS))
    peer = Peer(teacher, tuple(ClassName(mid, mid, mid) for mid in mids))
    found: list[list[Find]] = [[] for _ in mids]
    for index, clip in enumerate(clips):
        if clip.class_index != UNKNOWN_CLASS:
            continue
        heard = peer.probabilities(clip.samples, EXAMPLE_STEP_SAMPLES) >= HEARD_FROM
        for window, column in np.argwhere(heard):
            found[column].append(Find(index, int(window) * EXAMPLE_STEP_SAMPLES))
    return tuple(tuple(finds) for finds in found if finds)
