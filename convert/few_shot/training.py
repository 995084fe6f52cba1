"""Composition of training sequences from few recordings, and training on all but one part of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.audio.clips import LoadedClip
from convert.audio.training_mixtures import Composer
from convert.embedder.corpus import FRAME_SECONDS
from convert.embedder.runtime import CodeEmbedder
from convert.few_shot.model import FewShotModel
from convert.few_shot.settings import FewShotData, FewShotSettings
from convert.few_shot.sounds import split_from_room, split_into_parts
from convert.progress import Progress
from convert.records.files import Record, read_classes, read_dataset, write_dataset


@dataclass(frozen=True, slots=True)
class Part:
    """Part of the recordings, and the record file of sequences composed of them and of negatives."""

    clips: Sequence[LoadedClip]
    records: Path


class FewShotTrainer:
    """Composes sequences and trains on them, in one folder.

    Sequences are composed for each part separately, so that cross-validation embeds each of them once.

    Attributes:
        parts: the recordings in parts.
        negative_sequences: number of negative records used in training.

    """

    def __init__(self, data: FewShotData, settings: FewShotSettings, embedder: CodeEmbedder, folder: Path) -> None:
        self._data, self._settings, self._folder = data, settings, folder
        parts = [part for part in split_into_parts(data.clips, settings.parts) if part]
        progress = Progress("teach: sequence", settings.sequences // len(parts) * len(parts))
        self.parts = [self._compose(part, number, len(parts), embedder, progress) for number, part in enumerate(parts)]
        progress.close()
        self._negatives = folder / "negatives.tfrecord"
        negatives = [] if data.negative_records is None else _without_classes(data.negative_records, data.labels)
        self.negative_sequences = write_dataset(self._negatives, negatives, data.labels) if negatives else 0

    def _compose(self, clips: Sequence[LoadedClip], number: int, parts: int, embedder: CodeEmbedder, progress: Progress) -> Part:
        data, settings = self._data, self._settings
        sounds, rooms = split_from_room(clips)
        # One seed for each part: with the same seed, all parts would share positions and levels.
        seed = settings.parts * settings.seed + number
        composer = Composer([*sounds, *rooms, *data.negatives], data.context_frames, seed)
        records = []
        for place in range(settings.sequences // parts):
            scene = composer.compose(place)
            codes = embedder.codes(scene.samples)
            frames = scene.frame_labels[: len(codes)]
            records.append(Record(f"scene-{number}-{place}", 0.0, len(codes) * FRAME_SECONDS, scene.labels, codes, frames))
            progress.update(number * (settings.sequences // parts) + place + 1)
        path = self._folder / f"part-{number}.tfrecord"
        write_dataset(path, records, data.labels)
        return Part(clips, path)

    def train(self, left_out: Part | None = None) -> FewShotModel:
        """Train a model on all parts except `left_out`."""
        from convert.few_shot.lstm import train_lstm  # noqa: PLC0415 - TensorFlow takes seconds to load

        records = [part.records for part in self.parts if part is not left_out]
        records += [self._negatives] if self.negative_sequences else []
        name = "all" if left_out is None else left_out.records.stem
        return train_lstm(records, self._data, self._settings, self._folder / name)


def _without_classes(records: Path, labels: Sequence[str]) -> list[Record]:
    """Read the records without these labels, and remove their other labels."""
    slugs = [each.slug for each in read_classes(records)]
    new = {slugs.index(label) for label in labels if label in slugs}
    return [
        replace(record, labels=(), frame_labels=((),) * len(record.codes))
        for record in read_dataset(records)
        if not new & set(record.labels)
    ]
