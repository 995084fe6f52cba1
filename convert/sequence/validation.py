"""Loss and GAP on held-out records, with given weights."""

import numpy as np
import tensorflow as tf

from convert.metrics.multilabel import TOP_K
from convert.metrics.ranking import Pool, global_average_precision
from convert.metrics.rows import checked, ranked_classes
from convert.records.training_set import TrainingSet
from convert.sequence.base import Arrays, SequenceModel, counting
from convert.sequence.losses import LOSSES
from convert.sequence.plan import Plan

BATCH = 512


def validate(model: SequenceModel, weights: Arrays, data: TrainingSet, plan: Plan) -> tuple[float, float | None]:
    """Mean loss of what counts, and GAP over all examples (None for frame targets); the model's own weights are put back."""
    own = {name: variable.numpy() for name, variable in model.variables_by_name.items()}
    model.load(weights)
    total = count = positives = 0.0
    pools = []
    for lesson in data.in_order(BATCH):
        if plan.target == "frame":
            probabilities = model.prefixes(np.asarray(lesson.codes))
            mask = counting(tf.constant(lesson.lengths), lesson.codes.shape[1])[..., 0].numpy()
        else:
            probabilities = model.predict(lesson.codes, lesson.lengths)
            mask = np.ones(len(probabilities), np.float32)
            scores, labels = checked(probabilities * lesson.known, lesson.targets * lesson.known)
            pools.append(Pool.best(scores, labels, ranked_classes(scores), TOP_K))
            positives += float(labels.sum())
        losses = LOSSES[plan.loss](tf.constant(lesson.targets * lesson.known), tf.constant(probabilities * lesson.known)).numpy()
        total += float((losses * mask).sum())
        count += float(mask.sum())
    model.load(own)
    return total / max(count, 1.0), global_average_precision(Pool.joined(pools), int(positives)) if pools else None
