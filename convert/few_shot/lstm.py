"""Small LSTM of a few-shot training, on record files."""

import io
from collections.abc import Sequence
from pathlib import Path

from convert.few_shot.model import FewShotModel
from convert.few_shot.settings import FewShotData, FewShotSettings
from convert.plain_data import to_plain
from convert.records.training_set import SHUFFLED_RECORDS, TrainingSet
from convert.sequence import streaming
from convert.sequence.facts import SequenceFacts
from convert.sequence.models import build_model
from convert.sequence.options import LstmOptions
from convert.sequence.probe_codes import stream_codes
from convert.sequence.settings import TrainingSettings
from convert.sequence.steps import Step
from convert.sequence.training import Training
from convert.tf.tflite import Precision

KIND = "lstm"
PRECISION: Precision = "float32"
CHECKED_FRAMES = 100
NEVER_SECONDS = 1e9


def train_lstm(records: Sequence[Path], data: FewShotData, settings: FewShotSettings, folder: Path) -> FewShotModel:
    """Train on record files and export the streaming step.

    Raises EdgeDetectorError if the step differs too much from its offline graph.
    """
    options = LstmOptions(
        layers=1,
        cells=settings.cells,
        head="logistic",
        mixtures=2,
        keep_outputs=settings.keep_outputs,
        learning_rate=settings.learning_rate,
    )
    model = build_model(KIND, options, len(data.labels), settings.seed)
    facts = SequenceFacts(
        model=model.kind,
        options=to_plain(options),
        states=model.states,
        parameters=model.parameters,
        macs_per_frame=model.macs_per_frame,
        labels=data.labels,
        classes={},
        made_of={},
        folds=None,
        context=data.context_frames,
    )
    examples = TrainingSet(records, len(data.labels), data.context_frames, "frame")
    plan = _training_settings(settings, data.context_frames)
    training = Training(model, examples, None, plan, folder=folder, facts=facts, stream=io.StringIO())
    model.load(training.run().weights)
    content = streaming.export_step(model, PRECISION)
    errors = streaming.step_errors(content, model, PRECISION, data.context_frames, stream_codes(CHECKED_FRAMES, 0))
    streaming.require_equal(errors)
    return FewShotModel(KIND, Step(content, model.state_shapes, model.classes), errors)


def _training_settings(settings: FewShotSettings, context_frames: int) -> TrainingSettings:
    return TrainingSettings(
        target="frame",
        features="audio",
        context_frames=context_frames,
        loss="cross-entropy",
        epochs=settings.epochs,
        patience=settings.epochs,
        stop_by="loss",
        batch=settings.batch,
        schedule="cosine",
        decay=1.0,
        decay_examples=1,
        clip="together",
        clip_norm=1.0,
        l2=0.0,
        weight_decay=settings.weight_decay,
        weight_average=settings.weight_average,
        keep_inputs=1.0,
        shuffle_records=SHUFFLED_RECORDS,
        seed=settings.seed,
        checkpoint_seconds=NEVER_SECONDS,
        checkpoints=1,
        max_steps=0,
    )
