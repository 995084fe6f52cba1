"""Few-shot learning of new classes: training, cross-validation, calibration and evaluation in one result."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from convert.embedder.runtime import CodeEmbedder
from convert.evaluation.score_streams import finest_probabilities, stream_of
from convert.few_shot.calibration import FewShotCalibration, background_streams, calibrate
from convert.few_shot.evaluation import FewShotEvaluation, HeldOut, evaluate
from convert.few_shot.extended_bundle import ExtendedBundle
from convert.few_shot.model import FewShotModel
from convert.few_shot.settings import FewShotData, FewShotSettings
from convert.few_shot.training import FewShotTrainer
from convert.progress import Progress
from convert.sequence.steps import Step


@dataclass(frozen=True, slots=True)
class FewShotResult:
    """Everything that a bundle of new classes needs.

    Attributes:
        model: trained on all recordings.
        merged: the model's step merged with the bundle's.
        held_out: recordings and their streams by models that were trained without them.
        calibration: rules of the new classes.
        evaluation: figures of the held-out recordings at these rules.
        negative_sequences: number of negative records used in training.

    """

    model: FewShotModel
    merged: Step
    held_out: tuple[HeldOut, ...]
    calibration: FewShotCalibration
    evaluation: FewShotEvaluation
    negative_sequences: int


def learn_classes(
    extended: ExtendedBundle, data: FewShotData, settings: FewShotSettings, false_alarms_per_hour: float
) -> FewShotResult:
    """Train on all recordings, cross-validate, choose thresholds and measure at them.

    Args:
        extended: the bundle's classes and the new ones.
        data: recordings of the new classes, and sound without them.
        settings: hyper-parameters.
        false_alarms_per_hour: limit for each new class.

    """
    with tempfile.TemporaryDirectory(prefix="teach-") as folder:
        trainer = FewShotTrainer(data, settings, CodeEmbedder.of_bundle(extended.base), Path(folder))
        model = trainer.train()
        held_out = _cross_validate(extended, trainer)
    merged = extended.merge(model.step)
    background = background_streams(finest_probabilities(extended.networks(merged, model.kind)), data.background, settings)
    streams = [each.stream for each in held_out]
    calibration = calibrate(extended, background, streams, settings, false_alarms_per_hour)
    evaluation = evaluate(extended, held_out, len(trainer.parts), calibration.rules)
    return FewShotResult(model, merged, tuple(held_out), calibration, evaluation, trainer.negative_sequences)


def _cross_validate(extended: ExtendedBundle, trainer: FewShotTrainer) -> list[HeldOut]:
    """Run each recording through a model that was trained without its part."""
    held_out: list[HeldOut] = []
    progress = Progress("teach: left out", len(trainer.parts))
    for number, part in enumerate(trainer.parts, 1):
        model = trainer.train(part)
        probabilities = finest_probabilities(extended.networks(extended.merge(model.step), model.kind))
        first = len(extended.kept)
        held_out += [
            HeldOut(clip, stream_of(probabilities, clip.samples, frozenset({first + clip.class_index}))) for clip in part.clips
        ]
        progress.update(number)
    progress.close()
    return held_out
