"""Training of any sequence model, with checkpoints and early stopping."""

import math
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import tensorflow as tf

from convert.files import read_arrays, write_arrays
from convert.metrics.multilabel import MetricAccumulator
from convert.records.training_set import TrainingBatch, TrainingSet
from convert.sequence.base import Arrays, SequenceModel, Tensor, counting, dequantised
from convert.sequence.facts import WEIGHTS, SequenceFacts, write_facts
from convert.sequence.journal import Journal, Point
from convert.sequence.losses import LOSSES
from convert.sequence.lstm import Lstm
from convert.sequence.options import ReadoutOptions
from convert.sequence.settings import TrainingSettings
from convert.sequence.tensorboard import ScalarWriter
from convert.sequence.validation import require_one_label, validate
from convert.tf.optimiser import Trainer
from edge_detector.errors import EdgeDetectorError

CHECKPOINT, BEST, CHECKPOINTS = "checkpoint.npz", "best.npz", "checkpoints"
LOG_STEPS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """Weights of the best epoch (the last without validation), its number and loss, and the number of epochs and steps run."""

    weights: Arrays
    best_epoch: int
    best_loss: float | None
    epochs: int
    steps: int


@dataclass(slots=True)
class _Position:
    """Position of a training, as its checkpoint has it. `first_step` is the number of steps before this epoch."""

    epoch: int = 0
    first_step: int = 0
    best_epoch: int = 0
    best_score: float = math.inf
    best_loss: float = math.inf


class Training:
    """One training in its folder; `run` starts or resumes it.

    Args:
        model: with initial weights.
        training: training examples.
        validation: examples that early stopping measures, or None to run all epochs.
        settings: hyper-parameters.
        folder: for checkpoints, curve and log.
        facts: description of the model, for the checkpoints.
        stream: receives a line every ten steps; stderr if not given.
        tensorboard: write the curves for TensorBoard too.

    """

    def __init__(
        self,
        model: SequenceModel,
        training: TrainingSet,
        validation: TrainingSet | None,
        settings: TrainingSettings,
        *,
        folder: Path,
        facts: SequenceFacts,
        stream: TextIO | None = None,
        tensorboard: bool = False,
    ) -> None:
        self._model, self._training, self._validation, self._settings = model, training, validation, settings
        self._folder, self._facts = folder, facts
        self.trainer = Trainer(
            model.weights,
            model.statistics,
            average_decay=settings.weight_average,
            weight_decay=settings.weight_decay,
            clip_norm=settings.clip_norm,
            clip=settings.clip,
        )
        self._learning_rate = 0.0 if isinstance(model.options, ReadoutOptions) else model.options.learning_rate
        self._position = _Position()
        self._best: Arrays | None = None
        self._step = tf.function(self._train_step, reduce_retracing=True)
        self._restore()
        self._journal = Journal(folder, self.steps, stream)
        self._scalars = ScalarWriter(folder) if tensorboard else None
        self._saved = time.monotonic()

    @property
    def steps(self) -> int:
        """Number of batches run so far."""
        return int(self.trainer.step)

    def run(self) -> Outcome:
        """Train to the end. An interrupted training leaves a checkpoint from which the same command resumes."""
        try:
            while not self._finished():
                self._epoch()
        finally:
            self._journal.close()
            # A diverged training must not replace a good checkpoint.
            if all(np.isfinite(value).all() for value in self.trainer.averages().values()):
                self._save()
        weights = self._best or self.trainer.averages()
        position = self._position
        loss = position.best_loss if math.isfinite(position.best_loss) else None
        return Outcome(weights, position.best_epoch or position.epoch, loss, position.epoch, self.steps)

    def _finished(self) -> bool:
        position, settings = self._position, self._settings
        waited = self._validation is not None and position.epoch - position.best_epoch >= settings.patience
        return position.epoch >= settings.epochs or waited or self._at_last_step()

    def _at_last_step(self) -> bool:
        return 0 < self._settings.max_steps <= self.steps

    def _epoch(self) -> None:
        settings, position = self._settings, self._position
        batches = math.ceil(self._training.examples / settings.batch)
        for number, batch in enumerate(self._training.shuffled(settings.batch, settings.seed, position.epoch)):
            if number < self.steps - position.first_step:
                continue
            self._train_batch(batch, (position.epoch + number / batches) / settings.epochs)
            if time.monotonic() - self._saved > settings.checkpoint_seconds:
                self._save()
            if self._at_last_step() and number + 1 < batches:
                return
        position.epoch, position.first_step = position.epoch + 1, self.steps
        self._validate()

    def _train_batch(self, batch: TrainingBatch, fraction: float) -> None:
        require_one_label(batch, self._settings)
        step = self.steps
        rate = self._settings.rate(self._learning_rate, step, fraction)
        started = time.perf_counter()
        loss, probabilities = self._step(
            tf.constant(batch.codes),
            tf.constant(batch.lengths),
            (tf.constant(batch.targets), tf.constant(batch.known)),
            tf.constant(rate, tf.float32),
            tf.constant(self._model.statistics_decay(step), tf.float32),
        )
        value = float(loss)
        seconds = time.perf_counter() - started
        if not math.isfinite(value):
            message = f"the loss is not finite at step {step + 1}; lower learning_rate in the recipe and give --no-resume"
            raise EdgeDetectorError(message)
        if (step + 1) % LOG_STEPS == 0:
            found, targets = np.clip(probabilities.numpy(), 0.0, 1.0), batch.targets
            if self._settings.target == "frame":
                counted = np.arange(targets.shape[1]) < batch.lengths[:, np.newaxis]
                found, targets = found[counted], targets[counted]
            figures = MetricAccumulator().add(found, targets)
            per_second = len(batch.lengths) / seconds
            point = (step + 1, self._position.epoch + 1, rate, value, per_second, figures.hit_at_1, figures.perr, figures.gap)
            self._add(Point(*point))

    def _train_step(
        self, codes: Tensor, lengths: Tensor, truth: tuple[Tensor, Tensor], rate: Tensor, decay: Tensor
    ) -> tuple[Tensor, Tensor]:
        settings, model, loss_of = self._settings, self._model, LOSSES[self._settings.loss]
        # The loss of an unknown target does not depend on the model's output.
        targets, known = truth
        # Seeded by the step, so that a resumed training draws the same numbers.
        seed = tf.stack([tf.constant(settings.seed, tf.int64), self.trainer.step])
        moments: dict[str, Tensor] = {}
        if settings.keep_inputs < 1.0:
            codes = _with_inputs_dropped(codes, settings.keep_inputs, seed)
        with tf.GradientTape() as tape:
            if settings.target == "frame" and isinstance(model, Lstm):
                probabilities = model.frame_probabilities(codes, seed)
                mask = counting(lengths, tf.shape(codes)[1])[..., 0]
                label_loss = tf.reduce_sum(loss_of(targets * known, probabilities * known) * mask) / tf.reduce_sum(mask)
            else:
                probabilities, moments = model.training_probabilities(codes, lengths, seed)
                label_loss = tf.reduce_mean(loss_of(targets * known, probabilities * known))
            loss = label_loss + settings.l2 * model.penalty()
        gradients = tape.gradient(loss, self.trainer.trained_list())
        for name, moment in moments.items():
            statistic = model.statistics[name]
            statistic.assign(decay * statistic + (1.0 - decay) * moment)
        self.trainer.apply(gradients, rate)
        return label_loss, probabilities

    def _validate(self) -> None:
        if self._validation is None:
            return
        position, settings = self._position, self._settings
        averages = self.trainer.averages()
        loss, precision = validate(self._model, averages, self._validation, settings)
        self._add(Point(self.steps, position.epoch, validation_loss=loss, validation_average_precision=precision))
        score = loss if settings.stop_by == "loss" or precision is None else -precision
        if score < position.best_score:
            position.best_score, position.best_loss, position.best_epoch = score, loss, position.epoch
            self._best = averages

    def _add(self, point: Point) -> None:
        self._journal.add(point)
        if self._scalars is not None:
            self._scalars.add(point)

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
        if self._scalars is not None:
            self._scalars.flush()
        folder = self._folder / CHECKPOINTS / f"step-{self.steps:08d}"
        write_arrays(folder / WEIGHTS, self.trainer.averages())
        # Written last: a reader that finds it finds the weights.
        write_facts(folder, self._checkpoint_facts())
        for old in sorted(folder.parent.glob("step-*"))[: -self._settings.checkpoints]:
            shutil.rmtree(old, ignore_errors=True)
        self._saved = time.monotonic()

    def _checkpoint_facts(self) -> SequenceFacts:
        training = self._facts.training
        return self._facts if training is None else replace(self._facts, training=replace(training, step=self.steps))

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


def _with_inputs_dropped(codes: Tensor, keep: float, seed: Tensor) -> Tensor:
    """Return dequantised codes with some components at 0, the same ones in all frames of an example."""
    values = dequantised(codes)
    once_for_all_frames = tf.concat([tf.shape(values)[:1], [1], tf.shape(values)[-1:]], axis=0)
    seed = tf.random.experimental.stateless_fold_in(seed, 1)
    return tf.nn.experimental.stateless_dropout(values, 1.0 - keep, seed, noise_shape=once_for_all_frames)
