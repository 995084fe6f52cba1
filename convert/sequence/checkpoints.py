"""Trained models of a folder: its own, and the checkpoints in folders below it whose names end in their step."""

import re
from dataclasses import dataclass
from pathlib import Path

from convert.sequence.facts import FACTS, WEIGHTS, read_facts
from edge_detector.errors import UsageError

_STEP = re.compile(r"(\d+)$")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that a model can be loaded from.

    Attributes:
        step: number of training steps.
        folder: its folder.
        saved: modification time of its weights in ns, which tells it from a later model in the same folder.

    """

    step: int
    folder: Path
    saved: int

    def exists(self) -> bool:
        """Return whether its files are still there."""
        return _is_complete(self.folder)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the checkpoint with the most steps, of equal ones the folder's own; None if there is none yet."""
    below = (facts.parent for facts in folder.glob(f"**/{FACTS}") if facts.parent != folder)
    found = [
        Checkpoint(int(step[1]), path, _saved(path)) for path in below if (step := _STEP.search(path.name)) and _is_complete(path)
    ]
    if _is_complete(folder):
        found.append(_own(folder))
    return max(found, key=lambda item: (item.step, item.folder == folder, item.saved), default=None)


def trained_model(folder: Path) -> Checkpoint:
    """Return the folder's own model (the best epoch), else its newest checkpoint. Raises UsageError if there is none."""
    found = _own(folder) if _is_complete(folder) else newest_checkpoint(folder)
    if found is None:
        raise UsageError(f"No checkpoint file found in {folder}; train a model into it, or name another folder")
    return found


def _is_complete(folder: Path) -> bool:
    return (folder / FACTS).exists() and (folder / WEIGHTS).exists()


def _own(folder: Path) -> Checkpoint:
    training = read_facts(folder).training
    name = _STEP.search(folder.name)
    step = training.steps if training else int(name[1]) if name else 0
    return Checkpoint(step, folder, _saved(folder))


def _saved(folder: Path) -> int:
    return (folder / WEIGHTS).stat().st_mtime_ns
