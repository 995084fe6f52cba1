"""Trains any of the models, from checkpoint to checkpoint, and stops when validation gets no better."""

import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import tensorflow as tf

from convert.files import read_arrays, write_arrays, write_json
from convert.metrics.multilabel import MetricAccumulator
from convert.records.training_set import Lesson, TrainingSet
from convert.sequence.base import Arrays, SequenceModel, Tensor, counting, dequantised
from convert.sequence.journal import Journal, Point
from convert.sequence.losses import LOSSES
from convert.sequence.lstm import Lstm
from convert.sequence.models import FACTS, WEIGHTS
from convert.sequence.plan import Plan
from convert.sequence.validation import validate
from convert.tf.optimiser import Trainer
from edge_detector.errors import EdgeDetectorError

CHECKPOINT, BEST, CHECKPOINTS = "checkpoint.npz", "best.npz", "checkpoints"
LOG_STEPS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """The weights of the best epoch (without validation, the last), its number and loss, and how much was run."""

    weights: Arrays
    best_epoch: int
    best_loss: float | None
    epochs: int
    steps: int


@dataclass(slots=True)
class _Position:
    """Where a training stands; all of it is in the checkpoint. `first_step` is the number of steps before this epoch."""

    epoch: int = 0
    first_step: int = 0
    best_epoch: int = 0
    best_score: float = math.inf
    best_loss: float = math.inf


class Training:
    """One training in its folder; `run` begins it or goes on with it.

    Args:
        model: with its first weights.
        training: what to learn from.
        validation: what to stop by, or None to run all epochs.
        plan: how.
        folder: for checkpoints, curve and log.
        facts: about the classes, for the checkpoints.
        stream: where each tenth step is said; stderr if not given.

    """

    def __init__(
        self,
        model: SequenceModel,
        training: TrainingSet,
        validation: TrainingSet | None,
        plan: Plan,
        *,
        folder: Path,
        facts: dict[str, Any],
        stream: TextIO | None = None,
    ) -> None:
        self._model, self._training, self._validation, self._plan = model, training, validation, plan
        self._folder, self._facts = folder, facts
        self.trainer = Trainer(
            model.weights,
            model.statistics,
            average_decay=plan.weight_average,
            weight_decay=plan.weight_decay,
            clip_norm=plan.clip_norm,
            clip=plan.clip,
        )
        self._position = _Position()
        self._best: Arrays | None = None
        self._step = tf.function(self._train_step, reduce_retracing=True)
        self._restore()
        self._journal = Journal(folder, self.steps, stream)
        self._saved = time.monotonic()

    @property
    def steps(self) -> int:
        """Batches learnt so far."""
        return int(self.trainer.step)

    def run(self) -> Outcome:
        """Train to the end. Interrupted, it leaves a checkpoint from which the same command goes on."""
        try:
            while not self._finished():
                self._epoch()
        finally:
            self._journal.close()
            # What diverged is not worth a checkpoint, and would replace one that is.
            if all(np.isfinite(value).all() for value in self.trainer.averages().values()):
                self._save()
        weights = self._best or self.trainer.averages()
        position = self._position
        loss = position.best_loss if math.isfinite(position.best_loss) else None
        return Outcome(weights, position.best_epoch or position.epoch, loss, position.epoch, self.steps)

    def _finished(self) -> bool:
        position, plan = self._position, self._plan
        waited = self._validation is not None and position.epoch - position.best_epoch >= plan.patience
        return position.epoch >= plan.epochs or waited or self._at_last_step()

    def _at_last_step(self) -> bool:
        return self._plan.max_steps is not None and self.steps >= self._plan.max_steps

    def _epoch(self) -> None:
        plan, position = self._plan, self._position
        batches = math.ceil(self._training.examples / plan.batch)
        for number, lesson in enumerate(self._training.shuffled(plan.batch, plan.seed, position.epoch)):
            if number < self.steps - position.first_step:
                continue
            self._learn(lesson, (position.epoch + number / batches) / plan.epochs)
            if time.monotonic() - self._saved > plan.checkpoint_seconds:
                self._save()
            if self._at_last_step() and number + 1 < batches:
                return
        position.epoch, position.first_step = position.epoch + 1, self.steps
        self._validate()

    def _learn(self, lesson: Lesson, fraction: float) -> None:
        step = self.steps
        rate = self._plan.rate(step, fraction)
        started = time.perf_counter()
        loss, probabilities = self._step(
            tf.constant(lesson.codes),
            tf.constant(lesson.lengths),
            (tf.constant(lesson.targets), tf.constant(lesson.known)),
            tf.constant(rate, tf.float32),
            tf.constant(self._plan.statistics_decay(step), tf.float32),
        )
        value = float(loss)
        seconds = time.perf_counter() - started
        if not math.isfinite(value):
            message = f"the loss is not finite at step {step + 1}; lower --learning-rate and give --no-resume"
            raise EdgeDetectorError(message)
        if (step + 1) % LOG_STEPS == 0:
            found, targets = np.clip(probabilities.numpy(), 0.0, 1.0), lesson.targets
            if self._plan.target == "frame":
                counted = np.arange(targets.shape[1]) < lesson.lengths[:, np.newaxis]
                found, targets = found[counted], targets[counted]
            figures = MetricAccumulator().add(found, targets)
            per_second = len(lesson.lengths) / seconds
            point = (step + 1, self._position.epoch + 1, rate, value, per_second, figures.hit_at_1, figures.perr, figures.gap)
            self._journal.add(Point(*point))

    def _train_step(
        self, codes: Tensor, lengths: Tensor, truth: tuple[Tensor, Tensor], rate: Tensor, decay: Tensor
    ) -> tuple[Tensor, Tensor]:
        plan, model = self._plan, self._model
        # A target that is not known costs the same whatever the model gives.
        targets, known = truth
        # Seeded by the step, so that training taken up again draws what it would have drawn.
        seed = tf.stack([tf.constant(plan.seed, tf.int64), self.trainer.step])
        moments: dict[str, Tensor] = {}
        if plan.keep_inputs < 1.0:
            codes = _thinned(codes, plan.keep_inputs, seed)
        with tf.GradientTape() as tape:
            if plan.target == "frame" and isinstance(model, Lstm):
                probabilities = model.frame_probabilities(codes, seed, plan.keep)
                mask = counting(lengths, tf.shape(codes)[1])[..., 0]
                label_loss = tf.reduce_sum(LOSSES[plan.loss](targets * known, probabilities * known) * mask) / tf.reduce_sum(mask)
            else:
                probabilities, moments = model.training_probabilities(codes, lengths, seed, plan.keep)
                label_loss = tf.reduce_mean(LOSSES[plan.loss](targets * known, probabilities * known))
            loss = label_loss + plan.l2 * model.penalty()
        gradients = tape.gradient(loss, self.trainer.trained_list())
        for name, moment in moments.items():
            statistic = model.statistics[name]
            statistic.assign(decay * statistic + (1.0 - decay) * moment)
        self.trainer.apply(gradients, rate)
        return label_loss, probabilities

    def _validate(self) -> None:
        if self._validation is None:
            return
        position, plan = self._position, self._plan
        averages = self.trainer.averages()
        loss, gap = validate(self._model, averages, self._validation, plan)
        self._journal.add(Point(self.steps, position.epoch, validation_loss=loss, validation_gap=gap))
        score = loss if plan.stop_by == "loss" or gap is None else -gap
        if score < position.best_score:
            position.best_score, position.best_loss, position.best_epoch = score, loss, position.epoch
            self._best = averages

    def _save(self) -> None:
        position = self._position
        if self._best is not None:
            write_arrays(self._folder / BEST, self._best)
        self.trainer.save(
            self._folder / CHECKPOINT,
            epoch=position.epoch,
            first_step=position.first_step,
            best_epoch=position.best_epoch,
            best_score=position.best_score,
            best_loss=position.best_loss,
        )
        self._journal.save()
        folder = self._folder / CHECKPOINTS / f"step-{self.steps:08d}"
        write_arrays(folder / WEIGHTS, self.trainer.averages())
        # Last, so that whoever watches for it finds the weights.
        write_json(folder / FACTS, {**self._facts, "step": self.steps})
        for old in sorted(folder.parent.glob("step-*"))[: -self._plan.checkpoints]:
            shutil.rmtree(old, ignore_errors=True)
        self._saved = time.monotonic()

    def _restore(self) -> None:
        path = self._folder / CHECKPOINT
        if not path.exists():
            return
        numbers = self.trainer.restore(path)
        try:
            self._position = _Position(
                int(numbers["epoch"]),
                int(numbers["first_step"]),
                int(numbers["best_epoch"]),
                numbers["best_score"],
                numbers["best_loss"],
            )
        except KeyError as error:
            message = f"{path} is not a checkpoint of this program's version; remove it, or give --no-resume to start anew"
            raise EdgeDetectorError(message) from error
        if self._position.best_epoch:
            self._best = read_arrays(self._folder / BEST)


def _thinned(codes: Tensor, keep: float, seed: Tensor) -> Tensor:
    """Dequantised, with components at 0: an embedder that has met these clips is surer of them than it will be of others."""
    values = dequantised(codes)
    once_for_all_frames = tf.concat([tf.shape(values)[:1], [1], tf.shape(values)[-1:]], axis=0)
    seed = tf.random.experimental.stateless_fold_in(seed, 1)
    return tf.nn.experimental.stateless_dropout(values, 1.0 - keep, seed, noise_shape=once_for_all_frames)
