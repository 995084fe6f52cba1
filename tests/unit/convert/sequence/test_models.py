"""YouTube-8M's five models: their sizes, and what they say, against formulas in NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.sequence.facts import write_facts
from convert.sequence.probe_codes import stream_codes
from edge_detector.errors import EdgeDetectorError
from tests.support import model_reference
from tests.support.models import facts_of, options

tf = pytest.importorskip("tensorflow")

from convert.sequence.base import SequenceModel  # noqa: E402 - after TensorFlow was found
from convert.sequence.models import MODELS, build_model, load_model  # noqa: E402 - after TensorFlow was found

LENGTHS = np.array([7, 1, 5, 10], np.int32)
CODES = stream_codes(40, seed=3).reshape(4, 10, 128)
SMALL = {"layers": 2, "cells": 6, "clusters": 12, "hidden": 7}


def small(kind: str, **sizes: Any) -> SequenceModel:  # noqa: ANN401 - options are of any kind
    model = build_model(
        kind, options(kind, **{"readout_labels": 5 if kind == "readout" else 0, **SMALL, **sizes}), classes=5, seed=4
    )
    rng = np.random.default_rng(5)
    for name, variable in model.variables_by_name.items():
        # Away from 0 and 1, where a forgotten bias or statistic would not be seen.
        if name.endswith(("bias", "beta", "mean")):
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
        elif name.endswith(("gamma", "variance")):
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    return model


def numbers(variables: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: variable.numpy().astype(np.float64) for name, variable in variables.items()}


@pytest.mark.parametrize(
    ("kind", "sizes", "parameters", "macs"),
    [
        ("lstm", {}, 15_814_686, 13_107_200 + 2_698_240),
        ("lstm", {"cells": 256}, 1_595_166, 917_504 + 674_560),
        ("dbof", {}, 12_155_166, 1_048_576 + 8_388_608 + 2_698_240),
        ("frame-logistic", {}, 67_983, 128 * 527),
        ("moe", {}, 338_334, 128 * 527 * 5),
        ("logistic", {}, 67_983, 128 * 527),
    ],
)
def test_at_audiosets_527_classes_the_models_have_their_published_sizes(
    kind: str, sizes: dict[str, Any], parameters: int, macs: int
) -> None:
    model = build_model(kind, options(kind, **sizes), classes=527)
    assert model.parameters == parameters
    assert model.macs_per_frame == macs
    assert sum(int(np.prod(v.shape)) for v in model.statistics.values()) == (18_688 if kind == "dbof" else 0)


@pytest.mark.parametrize("head", ["moe", "logistic"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_lstm_is_youtube_8ms(layers: int, head: str) -> None:
    model = small("lstm", layers=layers, head=head)
    wanted = model_reference.lstm(numbers(model.weights), CODES, LENGTHS).real
    assert np.abs(model.predict(CODES, LENGTHS) - wanted).max() < 1e-5


@pytest.mark.parametrize("kind", ["frame-logistic", "moe", "logistic"])
def test_the_models_of_a_mean_are_youtube_8ms(kind: str) -> None:
    model = small(kind)
    formula = model_reference.frame_logistic if kind == "frame-logistic" else model_reference.video_level
    assert np.abs(model.predict(CODES, LENGTHS) - formula(numbers(model.weights), CODES, LENGTHS).real).max() < 1e-5


@pytest.mark.parametrize("activation", ["sigmoid", "relu6"])
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_dbof_pools_every_frame_with_the_statistics_of_training(activation: str, pooling: str, batch_norm: bool) -> None:  # noqa: FBT001 - a parameter of the test
    model = small("dbof", activation=activation, pooling=pooling, batch_norm=batch_norm, head="moe")
    wanted = model_reference.dbof(
        numbers(model.weights),
        [codes[:length] for codes, length in zip(CODES, LENGTHS, strict=True)],
        activation=model_reference.relu6 if activation == "relu6" else model_reference.sigmoid,
        pooling=pooling,
        statistics=numbers(model.statistics),
    ).real
    assert np.abs(model.predict(CODES, LENGTHS) - wanted).max() < 1e-5


@pytest.mark.parametrize("kind", MODELS)
def test_padding_changes_no_probability(kind: str) -> None:
    model = small(kind)
    noisy = CODES.copy()
    for row, length in enumerate(LENGTHS):
        noisy[row, length:] = 255
    longer = np.concatenate([CODES, np.zeros_like(CODES)], axis=1)
    wanted = model.predict(CODES, LENGTHS)
    assert np.allclose(model.predict(noisy, LENGTHS), wanted, atol=1e-6)
    assert np.allclose(model.predict(longer, LENGTHS), wanted, atol=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_an_example_without_frames_gets_probabilities_not_nan(kind: str) -> None:
    found = small(kind).predict(CODES, np.array([0, 1, 0, 2], np.int32))
    assert np.isfinite(found).all()
    assert ((found >= 0.0) & (found <= 1.0)).all()


@pytest.mark.parametrize("kind", MODELS)
def test_prefixes_equal_separate_predictions(kind: str) -> None:
    model = small(kind)
    found = model.prefixes(CODES[:1])[0]
    for frames in (1, 4, 10):
        one = model.predict(CODES[:1, :frames], np.array([frames], np.int32))[0]
        assert np.abs(found[frames - 1] - one).max() < 1e-6


def test_many_examples_in_parts_give_the_same_predictions() -> None:
    model = small("dbof")
    codes, lengths = np.tile(CODES, (300, 1, 1)), np.tile(LENGTHS, 300)
    assert np.abs(model.predict(codes, lengths) - np.tile(model.predict(CODES, LENGTHS), (300, 1))).max() < 1e-6


def test_a_video_level_mean_is_a_dequantised_frame() -> None:
    model = small("moe")
    means = np.stack(
        [model_reference.dequantised(codes[:length]).mean(axis=0) for codes, length in zip(CODES, LENGTHS, strict=True)]
    ).astype(np.float32)
    found = model.predict(means[:, np.newaxis], np.ones(4, np.int32))
    assert np.abs(found - model.predict(CODES, LENGTHS)).max() < 1e-6


def test_a_mixture_s_probability_is_bounded_by_its_gates() -> None:
    model = small("moe")
    model.weights["experts/bias"].assign(np.full(10, 50.0, np.float32))
    model.weights["gates/kernel"].assign(np.zeros((128, 15), np.float32))
    assert np.allclose(model.predict(CODES, LENGTHS), 2 / 3, atol=1e-6)


@pytest.mark.parametrize("sampling", ["random", "sequence"])
@pytest.mark.parametrize("iterations", [4, 30])
def test_dbof_draws_frames_of_the_example_only(sampling: str, iterations: int) -> None:
    model = small("dbof", sampling=sampling, iterations=iterations)
    marked = CODES.copy()
    for row, length in enumerate(LENGTHS):
        marked[row, :length, 0], marked[row, length:, 0] = np.arange(length), 99
    frames, times = model.drawn(tf.constant(marked), tf.constant(LENGTHS), tf.constant([1, 2]))
    assert (times.numpy().sum(axis=(1, 2)) == iterations).all()
    for row in range(4):
        drawn = np.repeat(frames.numpy()[row, :, 0], times.numpy()[row, :, 0].astype(int)).astype(int)
        assert drawn.max() < LENGTHS[row]
        if sampling == "sequence":
            first = drawn.min()
            assert (drawn == np.minimum(np.arange(first, first + iterations), LENGTHS[row] - 1)).all()


def saved(model: SequenceModel, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    labels = () if model.kind == "readout" else tuple("abcde")
    write_facts(folder, facts_of(model, labels, audioset=tuple((name, None) for name in "abcde"[: model.readout_labels])))
    np.savez(folder / "weights.npz", **{name: v.numpy() for name, v in model.variables_by_name.items()})
    return folder


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_is_loaded_from_its_folder(kind: str, tmp_path: Path) -> None:
    model = small(kind)
    found = load_model(saved(model, tmp_path / "model"))
    assert (found.kind, found.classes, found.parameters) == (kind, 5, model.parameters)
    assert np.array_equal(found.predict(CODES, LENGTHS), model.predict(CODES, LENGTHS))


def test_a_folder_of_other_weights_is_refused(tmp_path: Path) -> None:
    folder = saved(small("lstm"), tmp_path / "model")
    saved(small("lstm", cells=3), tmp_path / "other")
    (tmp_path / "other" / "weights.npz").replace(folder / "weights.npz")
    with pytest.raises(EdgeDetectorError, match="train the model again"):
        load_model(folder)


def test_weights_that_diverged_are_refused(tmp_path: Path) -> None:
    model = small("logistic")
    model.weights["head/bias"].assign(np.full(5, np.nan, np.float32))
    with pytest.raises(EdgeDetectorError, match="lower the learning rate"):
        load_model(saved(model, tmp_path / "model"))
