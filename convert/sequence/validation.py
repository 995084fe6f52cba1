"""Loss and average precision on held-out records, with given weights."""

import numpy as np
import tensorflow as tf

from convert.metrics.curve import mean_average_precision
from convert.metrics.rows import checked
from convert.records.training_set import TrainingBatch, TrainingSet
from convert.sequence.base import Arrays, SequenceModel, counting
from convert.sequence.losses import LOSSES
from convert.sequence.settings import TrainingSettings
from edge_detector.errors import UsageError

BATCH = 512


def require_one_label(batch: TrainingBatch, settings: TrainingSettings) -> None:
    """Raise UsageError if the loss needs exactly one label for each example or frame, and the batch has others."""
    if settings.loss != "sparse-categorical":
        return
    counts = batch.targets.sum(axis=-1)
    if settings.target == "frame":
        counts = counts[np.arange(counts.shape[1]) < batch.lengths[:, np.newaxis]]
    if (counts != 1.0).any():
        raise UsageError(
            'training.loss = "sparse-categorical" needs exactly one label for each example, and some have '
            f"{int(counts[counts != 1.0][0])}; choose another loss"
        )


def validate(model: SequenceModel, weights: Arrays, data: TrainingSet, settings: TrainingSettings) -> tuple[float, float | None]:
    """Return the mean loss of unpadded frames, and the mean average precision (None for frame targets); weights are restored."""
    own = {name: variable.numpy() for name, variable in model.variables_by_name.items()}
    model.load(weights)
    total = count = 0.0
    found = []
    for batch in data.in_order(BATCH):
        require_one_label(batch, settings)
        if settings.target == "frame":
            probabilities = model.prefixes(np.asarray(batch.codes))
            mask = counting(tf.constant(batch.lengths), batch.codes.shape[1])[..., 0].numpy()
        else:
            probabilities = model.predict(batch.codes, batch.lengths)
            mask = np.ones(len(probabilities), np.float32)
            found.append(checked(probabilities * batch.known, batch.targets * batch.known))
        losses = LOSSES[settings.loss](tf.constant(batch.targets * batch.known), tf.constant(probabilities * batch.known)).numpy()
        total += float((losses * mask).sum())
        count += float(mask.sum())
    model.load(own)
    if not found:
        return total / max(count, 1.0), None
    scores, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return total / max(count, 1.0), mean_average_precision(scores, labels)
