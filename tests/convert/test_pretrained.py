"""The embedder that ships to begin with: it has met no labelled clip, and tells sounds apart all the same."""

from pathlib import Path

import numpy as np
import pytest

import convert
from convert.data.clips import find_clips, labels_of, load_clips
from convert.files import read_arrays, read_json
from edge_detector.core.logmel import patches
from tests.convert.tiny_recipe import convert as run
from tests.convert.tiny_recipe import embedder_command

pytest.importorskip("tensorflow")

RECIPES = Path(convert.__file__).parent / "recipes"
PRETRAINED = RECIPES / "pretrained"
FOLDS = (1, 2, 3, 4)
RIDGE = 30.0


def test_it_has_met_no_clip() -> None:
    facts = read_json(PRETRAINED / "embedder.json")
    assert (facts["clips"], facts["folds"], facts["labels"]) == (0, [], ["music", "speech"])
    assert (PRETRAINED / "learnt.npz").stat().st_size < 3.2e6


def test_a_training_with_clips_begins_with_it(work: Path, tmp_path: Path) -> None:
    facts = read_json(PRETRAINED / "embedder.json")
    more = ("--start", PRETRAINED, "--layers", facts["layers"], "--steps", 1, "--learning-rate", 1e-9)
    assert run(*embedder_command(work / "clips", tmp_path / "own", *more)) == 0
    shipped, own = read_arrays(PRETRAINED / "learnt.npz"), read_arrays(tmp_path / "own" / "learnt.npz")
    assert np.allclose(own["hidden/kernel"], shipped["hidden/kernel"], atol=1e-3)


def test_a_line_through_its_embeddings_sorts_recordings_that_it_never_met(data: Path) -> None:
    from convert.graphs.embedder import FoldedEmbedder, Shape, folded  # noqa: PLC0415 - TensorFlow takes seconds to load

    shape = Shape(notation=read_json(PRETRAINED / "embedder.json")["layers"])
    learnt = {name: value.astype(np.float32) for name, value in read_arrays(PRETRAINED / "learnt.npz").items()}
    model = FoldedEmbedder(folded(learnt, shape), shape)
    clips = find_clips(data / "esc10", FOLDS)
    labels = labels_of(clips)
    windows = [np.maximum(model.embed_all(patches(clip.samples)), 0.0) for clip in load_clips(clips, labels)]
    everything = np.concatenate(windows)
    middle, spread = everything.mean(axis=0), everything.std(axis=0) + 1e-3
    inputs = [np.pad((found - middle) / spread, ((0, 0), (0, 1)), constant_values=1.0) for found in windows]
    wanted = np.eye(len(labels))[[labels.index(clip.label) for clip in clips]]
    right = 0
    for fold in FOLDS:
        others = [index for index, clip in enumerate(clips) if clip.fold != fold]
        seen = np.concatenate([inputs[index] for index in others])
        target = np.concatenate([np.tile(wanted[index], (len(inputs[index]), 1)) for index in others])
        line = np.linalg.solve(seen.T @ seen + RIDGE * np.eye(seen.shape[1]), seen.T @ target)
        held_out = [index for index, clip in enumerate(clips) if clip.fold == fold]
        right += sum(int((inputs[index] @ line).mean(axis=0).argmax() == wanted[index].argmax()) for index in held_out)
    assert right >= 0.92 * len(clips), f"{right} of {len(clips)}"
