"""Trains the LSTM with a target for every frame, or for the last one only, and stops when validation gets no better."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from convert.data.records import Sequences
from convert.files import read_arrays, write_arrays
from convert.graphs.lstm import Lstm
from convert.graphs.optimiser import Trainer
from convert.progress import Progress

LOSS_FLOOR = 1e-5


@dataclass(frozen=True, slots=True)
class LstmPlan:
    """How to train.

    Attributes:
        target: "frame": every frame has its own; "last": only the last frame counts, as in YouTube-8M.
        epochs: passes over the data, at most.
        patience: epochs without a better validation loss after which training stops.
        batch: sequences in a batch.
        learning_rate: highest rate of the cosine schedule.
        keep: share of the top layer's outputs kept in training.
        seed: order of the data.

    """

    target: Literal["frame", "last"]
    epochs: int
    patience: int
    batch: int
    learning_rate: float
    keep: float
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The weights of the best epoch, its number and loss, and how many epochs were run."""

    weights: dict[str, np.ndarray[Any, Any]]
    best_epoch: int
    best_loss: float
    epochs: int


def cross_entropy(targets: Any, probabilities: Any) -> Any:  # noqa: ANN401 - tensors
    """YouTube-8M's loss per row (spec 5.6): summed over classes, with 1e-5 inside both logarithms."""
    cells = targets * tf.math.log(probabilities + LOSS_FLOOR)
    cells += (1.0 - targets) * tf.math.log(1.0 - probabilities + LOSS_FLOOR)
    return -tf.reduce_sum(cells, axis=-1)


def frame_mask(lengths: Any, frames: int, target: str) -> Any:  # noqa: ANN401 - tensors
    """1 for the frames that count, (n, frames)."""
    index = tf.range(frames)[tf.newaxis]
    if target == "last":
        return tf.cast(index == lengths[:, tf.newaxis] - 1, tf.float32)
    return tf.cast(index < lengths[:, tf.newaxis], tf.float32)


def train_lstm(model: Lstm, training: Sequences, validation: Sequences, plan: LstmPlan, checkpoint: Path) -> Outcome:
    """Train, or go on from the checkpoint; the best epoch's weights are kept beside it."""
    trainer = Trainer(model.parameters, average_decay=0.998, weight_decay=0.01)
    best_path = checkpoint.with_name("best.npz")
    epoch, best_loss, best_epoch = 0, math.inf, 0
    if checkpoint.exists():
        numbers = trainer.restore(checkpoint)
        epoch, best_loss, best_epoch = int(numbers["epoch"]), numbers["best_loss"], int(numbers["best_epoch"])
    best = trainer.averages()
    if best_epoch:
        best = read_arrays(best_path)
    step = _step_function(model, trainer, plan)
    progress = Progress("train: epoch", plan.epochs)
    while epoch < plan.epochs and epoch - best_epoch < plan.patience:
        loss = _epoch(step, training, plan, epoch)
        epoch += 1
        averages = trainer.averages()
        held_out = evaluate(model, averages, validation, plan)
        if held_out < best_loss:
            best, best_loss, best_epoch = averages, held_out, epoch
            write_arrays(best_path, best)
        trainer.save(checkpoint, epoch=epoch, best_loss=best_loss, best_epoch=best_epoch)
        progress.update(epoch, f"loss {loss:.4f}  validation {held_out:.4f}  best {best_loss:.4f} in epoch {best_epoch}")
    progress.close()
    return Outcome(best, best_epoch, best_loss, epoch)


def _epoch(step: Any, data: Sequences, plan: LstmPlan, epoch: int) -> float:  # noqa: ANN401 - a tf.function
    order = np.random.default_rng([plan.seed, epoch]).permutation(len(data.lengths))
    batches = [order[first : first + plan.batch] for first in range(0, len(order), plan.batch)]
    losses = []
    for number, index in enumerate(batches):
        fraction = (epoch + number / len(batches)) / plan.epochs
        rate = plan.learning_rate * max(0.5 * (1.0 + math.cos(math.pi * fraction)), 0.01)
        rows = data.rows(index)
        losses.append(float(step(*_tensors(rows), tf.constant(rate, tf.float32))))
    return float(np.mean(losses))


def _tensors(rows: Sequences) -> tuple[Any, Any, Any]:
    return tf.constant(rows.codes), tf.constant(rows.targets), tf.constant(rows.lengths)


def _step_function(model: Lstm, trainer: Trainer, plan: LstmPlan) -> Any:  # noqa: ANN401 - a tf.function
    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(codes: Any, targets: Any, lengths: Any, rate: Any) -> Any:  # noqa: ANN401 - tensors
        mask = frame_mask(lengths, codes.shape[1], plan.target)
        with tf.GradientTape() as tape:
            # Seeded by the step, so that training taken up again drops what it would have dropped.
            dropout_seed = tf.stack([tf.constant(plan.seed, tf.int64), trainer.step])
            probabilities = tf.sigmoid(model.offline_logits(codes, plan.keep, dropout_seed))
            loss = tf.reduce_sum(cross_entropy(targets, probabilities) * mask) / tf.reduce_sum(mask)
        trainer.apply(tape.gradient(loss, trainer.trained_list()), rate)
        return loss

    return step


def evaluate(model: Lstm, weights: dict[str, np.ndarray[Any, Any]], data: Sequences, plan: LstmPlan) -> float:
    """Mean loss of a counting frame, with these weights; the model's own are put back."""
    own = {name: variable.numpy() for name, variable in model.parameters.items()}
    model.load(weights)
    total = count = 0.0
    for first in range(0, len(data.lengths), 512):
        rows = data.rows(np.arange(first, min(first + 512, len(data.lengths))))
        mask = frame_mask(tf.constant(rows.lengths), rows.codes.shape[1], plan.target)
        losses = cross_entropy(tf.constant(rows.targets), tf.constant(model.offline(rows.codes)))
        total += float(tf.reduce_sum(losses * mask))
        count += float(tf.reduce_sum(mask))
    model.load(own)
    return total / max(count, 1.0)
