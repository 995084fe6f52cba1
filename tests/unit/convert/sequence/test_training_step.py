"""One training step is YouTube-8M's: gradients, clipping, Adam, schedule and losses, against formulas in NumPy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.plain_data import to_plain
from convert.records.files import write_dataset
from convert.records.training_set import TrainingSet
from convert.sequence.options import TRAINED_MODELS
from edge_detector.params import EMBEDDING_SIZE
from tests.support import model_reference as reference
from tests.support.models import facts_of, options, settings
from tests.support.synthetic import EXAMPLE_LABELS, examples

tf = pytest.importorskip("tensorflow")

from convert.sequence.losses import LOSSES  # noqa: E402
from convert.sequence.models import build_model  # noqa: E402 - after TensorFlow was found
from convert.sequence.training import Training  # noqa: E402
from convert.tf.optimiser import Trainer  # noqa: E402

CLASSES = len(EXAMPLE_LABELS)
TINY = {"layers": 2, "cells": 3, "clusters": 4, "hidden": 3, "iterations": 9}
L2, CLIP, RATE = 0.05, 0.05, 0.01


def drawn_frames(codes: Any, lengths: Any, seed: int) -> list[Any]:  # noqa: ANN401 - arrays
    """Spec 5.3: index = floor(uniform · frames), each draw by itself, with the generator's numbers for the seed's first step."""
    uniform = tf.random.stateless_uniform((len(codes), TINY["iterations"]), tf.constant([seed, 0], tf.int64)).numpy()
    return [one[np.floor(row * length).astype(int)] for one, length, row in zip(codes, lengths, uniform, strict=True)]


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("lstm", {}),
        ("dbof", {}),
        ("dbof", {"activation": "relu6", "pooling": "average"}),
        ("frame-logistic", {}),
        ("moe", {}),
        ("logistic", {}),
    ],
)
def test_one_training_step_equals_the_formulas(kind: str, sizes: dict[str, Any], tmp_path: Path) -> None:
    write_dataset(tmp_path / "few.tfrecord", examples(5, seed=2), EXAMPLE_LABELS)
    training = settings(batch=5, max_steps=1, l2=L2, clip_norm=CLIP, seed=7)
    learnt = TrainingSet([tmp_path / "few.tfrecord"], CLASSES, 6, "last")
    model = build_model(kind, options(kind, **{**TINY, **sizes}, learning_rate=RATE), CLASSES, seed=3)
    before = {name: v.numpy().astype(np.float64) for name, v in model.weights.items()}
    lesson = next(learnt.shuffled(5, 7, 0))
    seen: dict[str, Any] = {}
    forward: dict[str, Callable[[reference.Weights], reference.Array]] = {
        "lstm": lambda weights: reference.lstm(weights, lesson.codes, lesson.lengths),
        "dbof": lambda weights: reference.dbof(
            weights,
            drawn_frames(lesson.codes, lesson.lengths, 7),
            activation=reference.relu6 if sizes else reference.sigmoid,
            pooling="average" if sizes else "max",
            seen=seen,
        ),
        "frame-logistic": lambda weights: reference.frame_logistic(weights, lesson.codes, lesson.lengths),
        "moe": lambda weights: reference.video_level(weights, lesson.codes, lesson.lengths),
        "logistic": lambda weights: reference.video_level(weights, lesson.codes, lesson.lengths),
    }

    def loss(weights: dict[str, reference.Array]) -> reference.Array:
        regularised = [name for name in weights if name.startswith(("head/k", "gates/k", "experts/k"))]
        squares = sum((weights[name] ** 2).sum() for name in regularised)
        return np.asarray(reference.cross_entropy(forward[kind](weights), lesson.targets) + L2 * 0.5 * squares)

    slopes = reference.gradients(loss, before)
    assert any(np.linalg.norm(slope) > CLIP for slope in slopes.values()), "nothing is clipped: nothing was tested"
    Training(model, learnt, None, training, folder=tmp_path, facts=facts_of(model)).run()
    with np.load(tmp_path / "checkpoint.npz") as after:
        for name, slope in slopes.items():
            wanted = reference.clipped(slope, CLIP)
            assert np.abs(after[f"first/{name}"] / 0.1 - wanted).max() < 2e-5 * max(1.0, np.abs(slope).max()), name
            clear = np.abs(wanted) > 1e-4
            moved = reference.adam(before[name], [wanted], [RATE])
            assert np.allclose(after[f"value/{name}"][clear], moved[clear], atol=2e-6), name
        for name, moment in seen.items():
            start = 0.0 if name.endswith("mean") else 1.0
            assert np.allclose(after[f"value/{name}"], 0.1 * start + 0.9 * moment, atol=1e-5), name


def test_dropped_components_are_dropped_in_all_frames_of_an_example(tmp_path: Path) -> None:
    write_dataset(tmp_path / "one.tfrecord", examples(1, seed=2), EXAMPLE_LABELS)
    learnt = TrainingSet([tmp_path / "one.tfrecord"], CLASSES, 6, "last")
    assert next(learnt.in_order(1)).lengths[0] > 1

    def unlearnt(keep: float) -> float:
        training = settings(batch=1, max_steps=1, l2=0.0, keep_inputs=keep)
        model = build_model("lstm", options("lstm", layers=1, cells=3), CLASSES, seed=3)
        Training(model, learnt, None, training, folder=tmp_path / str(keep), facts=facts_of(model)).run()
        with np.load(tmp_path / str(keep) / "checkpoint.npz") as after:
            return float((after["first/layer0/kernel"][:EMBEDDING_SIZE] == 0.0).all(axis=1).mean())

    assert unlearnt(1.0) == 0.0
    assert unlearnt(0.25) == pytest.approx(0.75, abs=0.15)


def test_the_optimiser_is_adam_with_each_gradient_clipped_by_itself() -> None:
    rng = np.random.default_rng(0)
    starts = {"long": rng.normal(size=(4, 3)), "short": rng.normal(size=5)}
    variables = {name: tf.Variable(value.astype(np.float32)) for name, value in starts.items()}
    trainer = Trainer(variables, average_decay=0.0, clip="each", clip_norm=1.0)
    given: list[dict[str, Any]] = [{"long": rng.normal(size=(4, 3)) * 9, "short": rng.normal(size=5) * 0.1} for _ in range(4)]
    rates = [0.01, 0.01, 0.005, 0.005]
    for gradients, rate in zip(given, rates, strict=True):
        trainer.apply([tf.constant(value.astype(np.float32)) for value in gradients.values()], tf.constant(rate))
    for name, start in starts.items():
        wanted = reference.adam(start, [reference.clipped(gradients[name], 1.0) for gradients in given], rates)
        assert np.allclose(trainer.averages()[name], wanted, atol=1e-6), name


def test_the_learning_rate_falls_like_a_staircase_over_examples() -> None:
    plan = settings()
    assert [plan.rate(0.01, step, 0.0) for step in (0, 3_906, 3_907, 7_812, 7_813)] == pytest.approx(
        [0.01, 0.01, 0.0095, 0.0095, 0.009025]
    )
    cosine = replace(plan, schedule="cosine")
    assert [cosine.rate(0.01, 0, fraction) for fraction in (0.0, 0.5, 1.0)] == pytest.approx([0.01, 0.005, 0.0001])


def test_the_defaults_are_youtube_8ms() -> None:
    plan = settings()
    rates = {kind: to_plain(options(kind))["learning_rate"] for kind in TRAINED_MODELS}
    assert rates == {"lstm": 0.001, "dbof": 0.01, "frame-logistic": 0.01, "moe": 0.01, "logistic": 0.01}
    assert (plan.batch, plan.epochs, plan.l2, plan.clip_norm) == (1_024, 5, 1e-8, 1.0)
    assert (plan.decay, plan.decay_examples, plan.loss, plan.weight_average, plan.keep_inputs) == (
        0.95,
        4_000_000,
        "cross-entropy",
        0,
        1,
    )


def test_the_losses_are_the_published_ones() -> None:
    targets = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], np.float32)
    found = np.array([[0.9, 0.2, 0.4], [0.0, 0.0, 1.0]], np.float32)
    rows = {name: loss(tf.constant(targets), tf.constant(found)).numpy() for name, loss in LOSSES.items()}
    assert rows["cross-entropy"].mean() == pytest.approx(float(reference.cross_entropy(found.astype(float), targets)), abs=1e-4)
    assert rows["cross-entropy"][1] == pytest.approx(11.5129 - 2e-5, abs=1e-3)
    assert rows["hinge"] == pytest.approx([0.1 + 1.2 + 0.6, 1.0 + 1.0 + 2.0])
    assert rows["mean-squared-error"] == pytest.approx([(0.01 + 0.04 + 0.36) / 3, 1.0 / 3], abs=1e-6)
    keras = tf.keras.losses.SparseCategoricalCrossentropy(reduction="none")
    one_label = np.eye(3, dtype=np.float32)[[1]]
    found_of_keras = keras(tf.constant([1]), tf.constant(found[:1])).numpy()
    loss = LOSSES["sparse-categorical"](tf.constant(one_label), tf.constant(found[:1])).numpy()
    assert loss == pytest.approx(found_of_keras, abs=1e-6)
    assert loss == pytest.approx([-np.log(0.2 / 1.5)], abs=1e-6)
    powers = np.exp(found[0].astype(float))
    assert rows["softmax"] == pytest.approx([-0.5 * np.log(powers[[0, 2]] / powers.sum()).sum(), 0.0], abs=1e-6)
