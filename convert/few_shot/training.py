"""Few-shot training: a small LSTM on a bundle's frozen embedder."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from convert.audio.clips import LoadedClip
from convert.audio.training_mixtures import Composer
from convert.embedder.corpus import FRAME_SECONDS
from convert.embedder.runtime import CodeEmbedder
from convert.few_shot.sounds import parted, split_from_room
from convert.plain_data import to_plain
from convert.progress import Progress
from convert.records.files import Record, read_classes, read_dataset, write_dataset
from convert.records.training_set import TrainingSet
from convert.sequence.facts import SequenceFacts
from convert.sequence.options import LstmOptions
from convert.sequence.probe_codes import stream_codes
from convert.sequence.settings import TrainingSettings
from convert.sequence.steps import Step

PRECISION: Literal["float32"] = "float32"
CHECKED_FRAMES = 100


@dataclass(frozen=True, slots=True)
class FewShotData:
    """Few-shot data set.

    Attributes:
        labels: slugs of the new sounds.
        clips: recordings of them; their class indices are those of the labels.
        negatives: sound without them.
        negative_records: embeddings of such sound, by the same embedder, or None.
        context: maximum frames of a sequence.

    """

    labels: tuple[str, ...]
    clips: Sequence[LoadedClip]
    negatives: Sequence[LoadedClip]
    negative_records: Path | None
    context: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Training options.

    Attributes:
        sequences: number of composed training sequences.
        epochs: passes over them.
        seed: of all random draws.
        parts: number of cross-validation parts.
        cells: of the LSTM.

    """

    sequences: int
    epochs: int
    seed: int
    parts: int = 5
    cells: int = 64


@dataclass(frozen=True, slots=True)
class Part:
    """Part of the recordings, and sequences composed of them and negatives alone."""

    clips: Sequence[LoadedClip]
    records: Path


class FewShotTrainer:
    """Composes sequences and trains on them, all in one folder.

    Sequences are composed part by part, so that leaving out a part embeds nothing twice.

    Attributes:
        parts: the recordings in parts.
        negative_sequences: number of negative records used in training.

    """

    def __init__(self, lesson: FewShotData, recipe: Recipe, embedder: CodeEmbedder, folder: Path) -> None:
        self._lesson, self._recipe, self._folder = lesson, recipe, folder
        dealt = [part for part in parted(lesson.clips, recipe.parts) if part]
        progress = Progress("teach: sequence", recipe.sequences // len(dealt) * len(dealt))
        self.parts = [self._composed(part, number, len(dealt), embedder, progress) for number, part in enumerate(dealt)]
        progress.close()
        self._negatives = folder / "negatives.tfrecord"
        self.negative_sequences = 0
        if lesson.negative_records is not None:
            negatives = _without(lesson.negative_records, lesson.labels)
            self.negative_sequences = write_dataset(self._negatives, negatives, lesson.labels)

    def _composed(self, clips: Sequence[LoadedClip], number: int, parts: int, embedder: CodeEmbedder, progress: Progress) -> Part:
        lesson, recipe = self._lesson, self._recipe
        sounds, rooms = split_from_room(clips)
        # One seed per part, or all parts would share places and levels.
        composer = Composer([*sounds, *rooms, *lesson.negatives], lesson.context, recipe.parts * recipe.seed + number)
        count = recipe.sequences // parts

        def records() -> Iterator[Record]:
            for place in range(count):
                scene = composer.compose(place)
                codes = embedder.codes(scene.samples)
                frames = scene.frame_labels[: len(codes)]
                yield Record(f"scene-{number}-{place}", 0.0, len(codes) * FRAME_SECONDS, scene.labels, codes, frames)
                progress.update(number * count + place + 1)

        path = self._folder / f"part-{number}.tfrecord"
        write_dataset(path, records(), lesson.labels)
        return Part(clips, path)

    def trained(self, left_out: Part | None = None) -> Any:  # noqa: ANN401 - a model of convert.sequence
        """Train a model on all parts except `left_out`."""
        from convert.sequence.models import build_model  # noqa: PLC0415 - TensorFlow takes seconds to load
        from convert.sequence.training import Training  # noqa: PLC0415 - TensorFlow takes seconds to load

        lesson, recipe = self._lesson, self._recipe
        files = [part.records for part in self.parts if part is not left_out]
        files += [self._negatives] if self.negative_sequences else []
        data = TrainingSet(files, len(lesson.labels), lesson.context, "frame")
        options = LstmOptions(layers=1, cells=recipe.cells, head="logistic", mixtures=2, keep_outputs=0.7, learning_rate=3e-3)
        model = build_model("lstm", options, len(lesson.labels), recipe.seed)
        name = "all" if left_out is None else left_out.records.stem
        facts = SequenceFacts(
            model=model.kind,
            options=to_plain(options),
            states=model.states,
            parameters=model.parameters,
            macs_per_frame=model.macs_per_frame,
            labels=tuple(lesson.labels),
            classes={},
            made_of={},
            folds=None,
            context=lesson.context,
        )
        settings = _settings(recipe, lesson.context)
        training = Training(model, data, None, settings, folder=self._folder / name, facts=facts, stream=io.StringIO())
        model.load(training.run().weights)
        return model


def exported(model: Any, context: int) -> tuple[Step, dict[str, Any]]:  # noqa: ANN401 - as above
    """Export the streaming step and its error against the offline graph. Raises EdgeDetectorError if too large."""
    from convert.sequence import streaming  # noqa: PLC0415 - TensorFlow takes seconds to load

    content = streaming.export_step(model, PRECISION)
    errors = streaming.step_errors(content, model, PRECISION, context, stream_codes(CHECKED_FRAMES, 0))
    streaming.require_equal(errors)
    return Step(content, model.state_shapes, model.classes), to_plain(errors)


def _without(records: Path, labels: Sequence[str]) -> Iterator[Record]:
    """Select the records without these labels, and clear their labels."""
    known = [each.slug for each in read_classes(records)]
    taught = {known.index(label) for label in labels if label in known}
    for record in read_dataset(records):
        if not taught & set(record.labels):
            yield replace(record, labels=(), frame_labels=((),) * len(record.codes))


def _settings(recipe: Recipe, context: int) -> TrainingSettings:
    return TrainingSettings(
        target="frame",
        context_frames=context,
        loss="cross-entropy",
        epochs=recipe.epochs,
        patience=8,
        stop_by="loss",
        batch=128,
        schedule="cosine",
        decay=0.95,
        decay_examples=4_000_000,
        clip="together",
        clip_norm=1.0,
        l2=0.0,
        weight_decay=0.01,
        weight_average=0.998,
        keep_inputs=1.0,
        shuffle_records=10_000,
        seed=recipe.seed,
        checkpoint_seconds=3_600.0,
        checkpoints=1,
        max_steps=0,
    )
