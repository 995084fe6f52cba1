"""Embedding records: AudioSet's SequenceExample, and an extra list of labels per frame where frames are labelled."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.data import protobuf, tfrecord
from convert.files import read_json, write_json
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Codes, Float32


@dataclass(frozen=True, slots=True)
class Record:
    """One recording or composed sequence as embeddings.

    Attributes:
        video_id: AudioSet's name for it; ours are clip names or sequence numbers.
        start_seconds, end_seconds: the part of the recording that it covers.
        labels: class indices that sound somewhere in it.
        codes: uint8 (frames, 128).
        frame_labels: class indices that sound in each frame, or None where only the whole is labelled.

    """

    video_id: str
    start_seconds: float
    end_seconds: float
    labels: tuple[int, ...]
    codes: Codes
    frame_labels: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Sequences:
    """Records as padded arrays.

    Attributes:
        codes: uint8 (n, frames, 128), zero where padded.
        lengths: int32 (n,), frames of each.
        targets: float32 (n, frames, classes), 1 where the class sounds in the frame.
        ids: names of the records.

    """

    codes: Codes
    lengths: NDArray[np.int32]
    targets: Float32
    ids: tuple[str, ...]

    def rows(self, index: NDArray[np.int64]) -> "Sequences":
        """Some of them."""
        return Sequences(self.codes[index], self.lengths[index], self.targets[index], tuple(self.ids[int(row)] for row in index))


def encode_record(record: Record) -> bytes:
    """To bytes."""
    lists: dict[str, Sequence[protobuf.Feature]] = {"audio_embedding": [(frame.tobytes(),) for frame in record.codes]}
    if record.frame_labels is not None:
        lists["frame_labels"] = record.frame_labels
    context: dict[str, protobuf.Feature] = {
        "video_id": (record.video_id.encode(),),
        "start_time_seconds": (float(record.start_seconds),),
        "end_time_seconds": (float(record.end_seconds),),
        "labels": record.labels,
    }
    return protobuf.encode(protobuf.SequenceExample(context, lists))


def decode_record(content: bytes) -> Record:
    """From bytes. Raises protobuf.WireError when it is no embedding record."""
    example = protobuf.decode(content)
    frames = [value[0] if value else b"" for value in example.feature_lists.get("audio_embedding", ())]
    if not all(isinstance(frame, bytes) and len(frame) == EMBEDDING_SIZE for frame in frames):
        message = f"an audio_embedding is not {EMBEDDING_SIZE} bytes"
        raise protobuf.WireError(message)
    codes = np.frombuffer(b"".join(bytes(frame) for frame in frames), np.uint8)  # type: ignore[arg-type]
    frame_labels = example.feature_lists.get("frame_labels")
    if frame_labels is not None and len(frame_labels) != len(frames):
        message = f"it has {len(frames)} frames but labels for {len(frame_labels)}"
        raise protobuf.WireError(message)
    name = (example.context.get("video_id") or example.context.get("id") or (b"",))[0]
    return Record(
        video_id=name.decode(errors="replace") if isinstance(name, bytes) else str(name),
        start_seconds=_seconds(example.context.get("start_time_seconds", ())),
        end_seconds=_seconds(example.context.get("end_time_seconds", ())),
        labels=_indices(example.context.get("labels", ())),
        codes=codes.reshape(-1, EMBEDDING_SIZE),
        frame_labels=None if frame_labels is None else tuple(_indices(value) for value in frame_labels),
    )


def _seconds(values: protobuf.Feature) -> float:
    return float(values[0]) if values else 0.0


def _indices(values: protobuf.Feature) -> tuple[int, ...]:
    if not all(isinstance(value, int) for value in values):
        message = "its labels are not whole numbers"
        raise protobuf.WireError(message)
    return tuple(int(value) for value in values)


def write_dataset(path: Path, records: Iterable[Record], labels: Sequence[str]) -> int:
    """Write the records, and beside them `<path>.json` with the names of the classes."""
    count = tfrecord.write_records(path, (encode_record(record) for record in records))
    write_json(sidecar(path), {"labels": list(labels), "records": count})
    return count


def sidecar(path: Path) -> Path:
    """Where the names of a file's classes stand."""
    return path.with_name(path.name + ".json")


def read_labels(path: Path) -> tuple[str, ...]:
    """The names of a file's classes."""
    return tuple(str(label) for label in read_json(sidecar(path)).get("labels", ()))


def read_dataset(path: Path) -> Iterator[Record]:
    """Yield each record. One that cannot be understood is an error that names the file and its number."""
    for number, content in enumerate(tfrecord.read_records(path)):
        try:
            yield decode_record(content)
        except protobuf.WireError as error:
            message = f"{path}, record {number}: {error}; it is not an embedding record"
            raise EdgeDetectorError(message) from error


def to_sequences(records: Iterable[Record], classes: int, max_frames: int, where: Path) -> Sequences:
    """Records as padded arrays, each cut to `max_frames`; without frame labels every frame has the labels of the whole."""
    kept = [record for record in records if len(record.codes)]
    if not kept:
        message = f"{where} holds no record with a frame; make it with: python -m convert embed"
        raise UsageError(message)
    codes = np.zeros((len(kept), max_frames, EMBEDDING_SIZE), np.uint8)
    targets = np.zeros((len(kept), max_frames, classes), np.float32)
    lengths = np.zeros(len(kept), np.int32)
    for row, record in enumerate(kept):
        lengths[row] = length = min(len(record.codes), max_frames)
        codes[row, :length] = record.codes[:length]
        frame_labels = record.frame_labels or (record.labels,) * length
        for frame, found in enumerate(frame_labels[:length]):
            if any(not 0 <= index < classes for index in found):
                message = f"{where}: {record.video_id} has the label {max(found)}, but there are {classes} classes"
                raise EdgeDetectorError(message)
            targets[row, frame, list(found)] = 1.0
    return Sequences(codes, lengths, targets, tuple(record.video_id for record in kept))
