"""Which trained models lie in a folder: its own, and the checkpoints in folders below it whose names end in their step."""

import re
from dataclasses import dataclass
from pathlib import Path

from convert.files import read_json
from edge_detector.errors import UsageError

FACTS, WEIGHTS = "sequence.json", "weights.npz"
_STEP = re.compile(r"(\d+)$")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that a model can be loaded from.

    Attributes:
        step: training steps behind it.
        folder: where it is.
        saved: when, by the clock of its file system; tells a model apart from a later one in the same folder.

    """

    step: int
    folder: Path
    saved: int


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The one with the most steps, and of equal ones the folder's own; None when there is none yet."""
    below = (facts.parent for facts in folder.glob(f"**/{FACTS}") if facts.parent != folder)
    found = [Checkpoint(int(step[1]), path, _saved(path)) for path in below if (step := _STEP.search(path.name)) and _whole(path)]
    if _whole(folder):
        found.append(_own(folder))
    return max(found, key=lambda item: (item.step, item.folder == folder, item.saved), default=None)


def trained_model(folder: Path) -> Checkpoint:
    """The folder's own model, which training chose; while it has none, the newest checkpoint. Raises UsageError without."""
    found = _own(folder) if _whole(folder) else newest_checkpoint(folder)
    if found is None:
        raise UsageError(f"No checkpoint file found in {folder}; train a model into it, or name another folder")
    return found


def _whole(folder: Path) -> bool:
    return (folder / FACTS).exists() and (folder / WEIGHTS).exists()


def _own(folder: Path) -> Checkpoint:
    facts = read_json(folder / FACTS)
    name = _STEP.search(folder.name)
    step = facts.get("steps", int(name[1]) if name else 0)
    return Checkpoint(int(step), folder, _saved(folder))


def _saved(folder: Path) -> int:
    return (folder / WEIGHTS).stat().st_mtime_ns
