"""Recordings as a person keeps them, and what embed makes of them."""

from pathlib import Path

import numpy as np
import soundfile

from convert.__main__ import main
from convert.records.files import read_dataset

RATE_HZ = 16_000


def embed(*arguments: object) -> int:
    return main(["embed", *map(str, arguments)])


def record(path: Path, seconds: float = 1.0, rate_hz: int = RATE_HZ, level: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = level * np.random.default_rng(len(path.name)).uniform(-1.0, 1.0, int(seconds * rate_hz))
    soundfile.write(path, noise, rate_hz)
    return path


def write_kitchen(folder: Path) -> Path:
    """Seven recordings of two sounds, called as a person calls them."""
    for number in range(4):
        record(folder / "Kettle boils" / f"take {number}.wav")
    for number in range(3):
        record(folder / "door" / f"{number}.wav", seconds=2.0)
    return folder


def codes(path: Path) -> dict[str, bytes]:
    return {found.video_id: found.codes.tobytes() for found in read_dataset(path)}


def write_damaged(kitchen: Path) -> Path:
    """Among the seven good recordings, one of each kind that cannot be used."""
    (kitchen / "door" / "text.wav").write_text("no sound at all, though it is called so")
    (kitchen / "door" / "empty.flac").write_bytes(b"")
    record(kitchen / "door" / "quiet.wav", level=0.0)
    record(kitchen / "door" / "short.wav", seconds=0.9)
    return kitchen
