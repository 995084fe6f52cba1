"""Convolutions in two hear what the whole ones heard, on the sound that they were fitted to."""

from pathlib import Path

import numpy as np
import pytest

from convert.data.probes import probe_patches
from edge_detector.errors import UsageError
from edge_detector.types import Float32
from tests.convert.tiny_recipe import convert, embedder_command

tf = pytest.importorskip("tensorflow")

from convert.files import read_arrays  # noqa: E402 - after TensorFlow was found
from convert.graphs.embedder import FoldedEmbedder, Shape, TrainedEmbedder, Weights, folded  # noqa: E402
from convert.graphs.factorising import factorised, in_the_basis_of  # noqa: E402

WHOLE = Shape(notation="6s,8p,10,12p")


def learnt() -> Weights:
    trained = TrainedEmbedder(WHOLE, classes=3, teacher_classes=0, seed=0, compute_dtype=tf.float32)
    rng = np.random.default_rng(0)
    for name, statistic in trained.statistics.items():
        statistic.assign(rng.uniform(0.5, 2.0, statistic.shape) if "variance" in name else rng.normal(0, 0.3, statistic.shape))
    return {name: variable.numpy() for name, variable in {**trained.parameters, **trained.statistics}.items()}


def embeddings(weights: Weights, shape: Shape, patches: Float32) -> Float32:
    return FoldedEmbedder(folded(weights, shape), shape).embed_all(patches)


def test_with_as_many_channels_between_as_there_are_to_tell_nothing_changes() -> None:
    patches = probe_patches(24, seed=0)
    two = Shape(notation="6s,18x8p,24x10,30x12p")
    found = embeddings(factorised(learnt(), WHOLE, two, patches), two, patches)
    wanted = embeddings(learnt(), WHOLE, patches)
    assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_a_stride_is_one_over_time_and_one_over_bands() -> None:
    patches = probe_patches(8, seed=0)
    two = Shape(notation="3x6s,8p,10,12p")
    found = embeddings(factorised(learnt(), WHOLE, two, patches), two, patches)
    wanted = embeddings(learnt(), WHOLE, patches)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_channels_left_out_are_those_that_the_given_sound_does_not_use() -> None:
    patches, two = probe_patches(48, seed=0), Shape(notation="6s,4x8p,6x10,6x12p")
    wanted = embeddings(learnt(), WHOLE, patches)

    def lost(fitted_to: Float32) -> float:
        found = embeddings(factorised(learnt(), WHOLE, two, fitted_to), two, patches)
        return float(np.square(found - wanted).mean())

    noise = np.random.default_rng(0).standard_normal(patches.shape).astype(np.float32)
    assert lost(patches) < 0.7 * lost(noise)


def test_a_change_of_basis_between_a_pair_changes_nothing_and_is_found_again() -> None:
    patches, two = probe_patches(8, seed=0), Shape(notation="6s,4x8p,6x10,6x12p")
    first = factorised(learnt(), WHOLE, two, patches)
    rng, turned = np.random.default_rng(0), dict(first)
    for name in ("conv1", "conv2", "conv3"):
        size = first[f"{name}/kernel"].shape[2]
        turn = (np.eye(size) + 0.5 * rng.standard_normal((size, size))).astype(np.float32)
        turned[f"{name}/time/kernel"] = first[f"{name}/time/kernel"] @ turn
        turned[f"{name}/kernel"] = np.einsum("mn,abno->abmo", np.linalg.inv(turn), first[f"{name}/kernel"])
    wanted = embeddings(first, two, patches)
    assert np.abs(embeddings(turned, two, patches) - wanted).max() < 1e-3 * np.abs(wanted).max()
    found = in_the_basis_of(first, turned)
    assert all(np.abs(found[name] - first[name]).max() <= 1e-3 * np.abs(first[name]).max() for name in first)


def test_layers_that_are_not_the_same_but_for_that_are_refused() -> None:
    for other in ("6s,4x8p,6x10", "6s,4x9p,10,12p", "6s,4x8,10p,12p"):
        with pytest.raises(UsageError, match="to make it two"):
            factorised(learnt(), WHOLE, Shape(notation=other), probe_patches(2, seed=0))


def test_a_training_in_two_begins_with_one_that_was_whole(work: Path, tmp_path: Path) -> None:
    once = ("--steps", 1, "--learning-rate", 1e-9)
    assert convert(*embedder_command(work / "clips", tmp_path / "whole", *once, "--layers", "4s,6p,8p")) == 0
    two = (*once, "--layers", "4s,12x6p,18x8p", "--start", tmp_path / "whole")
    assert convert(*embedder_command(work / "clips", tmp_path / "two", *two)) == 0
    whole, found = (read_arrays(tmp_path / name / "weights.npz") for name in ("whole", "two"))
    joined = np.einsum("aim,bmo->abio", found["conv1/time/kernel"][:, 0], found["conv1/kernel"][0])
    assert np.abs(joined - whole["conv1/kernel"]).max() < 0.02 * np.abs(whole["conv1/kernel"]).max()
    assert np.allclose(found["hidden/kernel"], whole["hidden/kernel"], atol=1e-3)
