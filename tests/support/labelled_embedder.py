"""An embedder with a read-out of AudioSet's labels beside it, as export-embedder leaves YAMNet's body.

The network is the one that ships, so that nothing need be downloaded; the read-out of six labels is made here. `follow` goes on
with the commands, from clips to two bundles.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from convert.embedder.facts import EMBEDDER_FACTS
from convert.embedder.readout import Readout, write_readout
from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.files import write_arrays, write_json
from edge_detector.detection.bundle import EMBEDDER, PCA, AudioSetLabel, load_bundle
from tests.support.synthetic import write_clips
from tests.support.tiny_recipe import convert

AUDIOSET = (
    AudioSetLabel("Whistle", "/m/01w250"),
    AudioSetLabel("Beep, bleep", "/m/02fs_r"),
    AudioSetLabel("Hiss", "/m/07rgkc5"),
    AudioSetLabel("Knock", "/m/07r4wb8"),
    AudioSetLabel("Thump, thud", "/m/07qnq_y"),
    AudioSetLabel("Engine", "/m/02mk9"),
)
NAMES = tuple(label.name for label in AUDIOSET)
CLASSES: dict[str, dict[str, Any]] = {
    "beep": {"label": "Beep", "mid": "/m/02fs_r", "audioset": ["Beep, bleep"]},
    "hiss": {"label": "Hiss", "mid": None, "enabled": False},
    "thump": {"label": "Thump", "mid": "/m/07qnq_y", "audioset": ["Thump, thud", "Knock"]},
    "whistle": {"label": "Whistle", "mid": "/m/01w250", "audioset": ["Whistle", "Hiss"], "class_list": 2},
    "engine": {"label": "Engine", "mid": "/m/02mk9", "audioset": ["Engine"], "class_list": 2, "enabled": False},
}
"""Two trained outputs fused with labels, one that is an LSTM's alone and off, and two of labels alone, of which one is off."""


def write_embedder(folder: Path, name: str = "made-body", shift: float = 0.0) -> Path:
    """The files of an embedder. With another shift of its PCA it makes other codes, so that it is another embedder."""
    shipped = load_bundle(DEFAULT_BUNDLE)
    folder.mkdir(parents=True)
    path = folder / EMBEDDER
    path.write_bytes(shipped.embedder)
    pca = {"pca_eigen_vectors": shipped.pca.matrix, "pca_means": shipped.pca.means + np.float32(shift)}
    write_arrays(folder / PCA, pca)
    write_json(folder / EMBEDDER_FACTS, {"name": name, "log_offset": shipped.manifest.log_offset, "folds": []})
    write_json(path.with_name(f"{path.name}.errors.json"), {"precision": "dynamic", "largest_difference": 0.0})
    write_readout(path, made_readout())
    return path


def made_readout() -> Readout:
    """Labels whose log-odds move by one or two with the codes."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(0.0, 0.15, (128, len(AUDIOSET))).astype(np.float32)
    return Readout(kernel, rng.normal(size=len(AUDIOSET)).astype(np.float32), AUDIOSET)


def write_classes(folder: Path) -> Path:
    path = folder / "classes.json"
    path.write_text(json.dumps(CLASSES), encoding="utf-8")
    return path


def bundle_command(folder: Path, sequence: str, output: Path, *more: object) -> tuple[object, ...]:
    parts = (folder / sequence, "--embedder", folder / "embedder" / EMBEDDER)
    return ("bundle", *parts, "--classes", folder / "classes.json", *more, "-o", output)


def follow(folder: Path) -> None:
    """From clips to `bundle`, whose LSTM is fused with the read-out, and `labels-bundle`, which is the read-out alone."""
    clips, embedder, classes = write_clips(folder / "clips"), write_embedder(folder / "embedder"), write_classes(folder)
    assert convert("embed", clips, "--embedder", embedder, "-o", folder / "whole.tfrecord") == 0
    lstm = ("lstm.cells=6", "lstm.layers=1", "lstm.head=logistic")
    shape = ("--set", *lstm, "training.context_frames=4", "training.epochs=2")
    assert convert("train", folder / "whole.tfrecord", *shape, "-o", folder / "lstm") == 0
    assert convert("fuse", folder / "lstm", "--embedder", embedder, "--classes", classes, "-o", folder / "fused") == 0
    assert convert("fuse", "--embedder", embedder, "-o", folder / "readout") == 0
    for sequence in ("fused", "readout"):
        assert convert("export", folder / sequence) == 0
    assert convert(*bundle_command(folder, "fused", folder / "bundle")) == 0
    labels_alone = {slug: about for slug, about in CLASSES.items() if "audioset" in about}
    (folder / "labels.json").write_text(json.dumps(labels_alone), encoding="utf-8")
    own = ("--classes", folder / "labels.json")
    assert convert(*bundle_command(folder, "readout", folder / "labels-bundle", *own)) == 0
