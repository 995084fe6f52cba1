"""Trains the embedder: its own classes from the labels, the teacher's from the teacher, averaged weights at the end."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from convert.data.feed import Batch, Feed
from convert.files import read_arrays
from convert.graphs.embedder import FoldedEmbedder, Shape, TrainedEmbedder, Weights, shape_of
from convert.graphs.factorising import factorised, in_the_basis_of
from convert.graphs.optimiser import Trainer
from convert.progress import Progress
from edge_detector.core.logmel import patches
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.types import Float32

Optimiser: TypeAlias = Literal["adam", "muon"]

CHECKPOINT_SECONDS = 60.0
WARM_UP_STEPS = 200
FINAL_RATE_SHARE = 0.01
BATCHES_FACTORISED_ON = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        steps: batches in all, or None to stop by the clock.
        minutes: minutes of training, used when `steps` is None.
        learning_rate: highest rate of the cosine schedule.
        seed: of the first weights; data has its own.
        bfloat16: convolve in bfloat16, faster where the processor multiplies such numbers.
        optimiser: adam, or muon for the kernels between the first convolution and the heads.
        start: folder of an embedder to begin with, all that it has learnt but its classes; None to begin anew. Its convolutions
            may be whole where this one's are in two.

    """

    steps: int | None
    minutes: float
    learning_rate: float
    seed: int
    bfloat16: bool
    optimiser: Optimiser = "adam"
    start: Path | None = None


def bfloat16_is_fast() -> bool:
    """Whether convolutions in bfloat16 are faster than in float32 here: several times with AMX, 1.5 times with AVX-512."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii").split()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def train_embedder(feed: Feed, shape: Shape, sizes: tuple[int, int], plan: Plan, checkpoint: Path) -> Weights:
    """Train, or go on from the checkpoint, and give back the averaged weights, batch normalisation and all.

    Args:
        feed: training batches.
        shape: the network's shape.
        sizes: number of classes, number of the teacher's scores (0 without one).
        plan: how long and how fast.
        checkpoint: file to go on from, and to save to each minute and on interruption.

    """
    model = TrainedEmbedder(shape, *sizes, plan.seed, tf.bfloat16 if plan.bfloat16 else tf.float32)
    trainer = Trainer(
        model.parameters,
        model.statistics,
        average_decay=0.9985,
        weight_decay=0.02,
        clip_norm=20.0,
        orthogonal=model.hidden_kernels if plan.optimiser == "muon" else (),
    )
    spent = 0.0
    if checkpoint.exists():
        spent = trainer.restore(checkpoint)["seconds"]
    elif plan.start is not None:
        _begin_with(trainer, plan.start, shape, feed)
    step = _step_function(model, trainer)
    progress = Progress("train-embedder: batch", plan.steps)
    started = saved = time.monotonic()
    batches = feed.batches(int(trainer.step))
    losses: list[np.ndarray[Any, Any]] = []
    try:
        while True:
            seconds = spent + time.monotonic() - started
            done = int(trainer.step)
            fraction = done / plan.steps if plan.steps is not None else seconds / (plan.minutes * 60.0)
            if fraction >= 1.0:
                break
            batch = next(batches)
            losses.append(_run(step, batch, _rate(plan.learning_rate, fraction, done)))
            class_loss, teacher_loss = np.mean(losses[-200:], axis=0)
            progress.update(done + 1, f"{seconds:.0f} s  loss {class_loss:.3f}  teacher {teacher_loss:.3f}")
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                saved = time.monotonic()
                trainer.save(checkpoint, seconds=seconds)
    finally:
        batches.close()
        progress.close()
        # An interrupted run loses nothing, and a finished one can be taken up again with more steps.
        trainer.save(checkpoint, seconds=spent + time.monotonic() - started)
    return trainer.averages()


def _begin_with(trainer: Trainer, folder: Path, shape: Shape, feed: Feed) -> None:
    start = {name: value.astype(np.float32) for name, value in read_arrays(folder / "learnt.npz").items()}
    try:
        was = shape_of(folder)
        if was.layers != shape.layers:
            windows = [batch.log_mel for batch in feed.block(0)[:BATCHES_FACTORISED_ON]]
            start = factorised(start, was, shape, np.concatenate(windows))
        trainer.begin_with({name: start[name] for name in trainer.variables if not name.startswith("classes/")})
    except (KeyError, ValueError) as error:
        message = f"{folder} is not of a network of this shape ({error}); train it with the same --layers and teacher"
        raise EdgeDetectorError(message) from error


def mean_of(learnt: Sequence[Path]) -> Weights:
    """The mean of what several trainings averaged, which began with the same weights and went on with other seeds.

    Between them lies better ground than under any of them (Wortsman et al. 2022, "Model soups", arXiv 2203.05482).
    """
    found = [read_arrays(path) for path in learnt]
    for path, arrays in zip(learnt, found, strict=True):
        if {name: value.shape for name, value in arrays.items()} != {name: value.shape for name, value in found[0].items()}:
            raise UsageError(f"{path} is not of the same network as {learnt[0]}; average what was trained alike")
    alike = [found[0], *(in_the_basis_of(found[0], arrays) for arrays in found[1:])]
    means = {name: np.stack([arrays[name] for arrays in alike]).mean(axis=0, dtype=np.float64) for name in found[0]}
    return {name: mean.astype(np.float32) for name, mean in means.items()}


def _rate(highest: float, fraction: float, step: int) -> float:
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(fraction, 1.0)))
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return highest * warm * (FINAL_RATE_SHARE + (1.0 - FINAL_RATE_SHARE) * cosine)


def _run(step: Any, batch: Batch, rate: float) -> np.ndarray[Any, Any]:  # noqa: ANN401 - a tf.function
    losses = step(
        tf.constant(batch.log_mel), tf.constant(batch.labels), tf.constant(batch.teacher), tf.constant(rate, tf.float32)
    )
    return np.asarray(losses)


def _step_function(model: TrainedEmbedder, trainer: Trainer) -> Any:  # noqa: ANN401 - a tf.function
    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(log_mel: Any, labels: Any, teacher: Any, rate: Any) -> Any:  # noqa: ANN401 - tensors
        with tf.GradientTape() as tape:
            class_logits, teacher_logits = model.logits(log_mel)
            own = _sum_over_classes(labels, class_logits, tf.cast(labels >= 0.0, tf.float32))
            taught = tf.constant(0.0) if teacher_logits is None else _sum_over_classes(teacher, teacher_logits, 1.0)
            loss = own + taught
        trainer.apply(tape.gradient(loss, trainer.trained_list()), rate)
        return tf.stack([own, taught])

    return step


def _sum_over_classes(targets: Any, logits: Any, known: Any) -> Any:  # noqa: ANN401 - tensors
    cells = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_mean(tf.reduce_sum(cells * known, axis=1))


def fit_pca(embeddings: Float32, target_std: float = 1.18) -> tuple[Float32, Float32]:
    """Whitening (128, 128) and means (128,): components come out with AudioSet's measured spread, 1.18 (spec 3.3).

    Directions with almost no variance are damped, not blown up into noise.
    """
    means = embeddings.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(embeddings.astype(np.float64) - means, rowvar=False))
    order = np.argsort(values)[::-1]
    values, vectors = np.maximum(values[order], 0.0), vectors[:, order]
    scale = target_std / np.sqrt(np.maximum(values, max(values[0] * 1e-4, 1e-12)))
    return (vectors * scale).T.astype(np.float32), means.astype(np.float32)


def clip_accuracy(model: FoldedEmbedder, samples: Sequence[Float32], class_indices: Sequence[int]) -> float:
    """Share of clips whose class is on top by mean probability over the clip's windows."""
    right = 0
    for clip, index in zip(samples, class_indices, strict=True):
        probabilities = model.class_probabilities(model.embed_all(patches(clip)))
        right += int(len(probabilities) > 0 and int(probabilities.mean(axis=0).argmax()) == index)
    return right / max(len(samples), 1)
