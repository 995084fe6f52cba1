"""Embedding records to and from bytes: AudioSet's form, and YouTube-8M's at frame and at video level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from convert.records import protobuf
from edge_detector.detection.embedding import DEQUANTISE_OFFSET, DEQUANTISE_SCALE
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Codes, Float32

RGB_SIZE = 1_024
FRAME_SIZES = {"audio_embedding": EMBEDDING_SIZE, "audio": EMBEDDING_SIZE, "rgb": RGB_SIZE}
"""Bytes of a frame, by name of the feature list."""

MEAN_SIZES = {"mean_audio": EMBEDDING_SIZE, "mean_rgb": RGB_SIZE}
"""Numbers of a video-level feature, by name."""

Features: TypeAlias = Literal["audio", "rgb", "rgb-and-audio"]
"""Features of a record that a model learns from; YouTube-8M's records have those of the pictures too."""

_KINDS: Mapping[Features, tuple[tuple[str, ...], ...]] = {
    "audio": (("audio_embedding", "audio", "mean_audio"),),
    "rgb": (("rgb", "mean_rgb"),),
    "rgb-and-audio": (("rgb", "mean_rgb"), ("audio_embedding", "audio", "mean_audio")),
}
"""For each kind of features its possible names, of which the first that a record has is taken."""

WIDTHS: Mapping[Features, int] = {"audio": EMBEDDING_SIZE, "rgb": RGB_SIZE, "rgb-and-audio": RGB_SIZE + EMBEDDING_SIZE}
"""Numbers of a frame."""
ID_NAMES = ("video_id", "id")
"""AudioSet and YouTube-8M of 2016 and 2017; YouTube-8M since 2018."""


@dataclass(frozen=True, slots=True)
class Record:
    """One recording or composed sequence as embeddings.

    Attributes:
        video_id: name: AudioSet's identifier, the name of a clip or a sequence number.
        start_seconds, end_seconds: part of the recording.
        labels: class indices of the whole record.
        codes: uint8 (frames, 128), or (frames, width) of the chosen features.
        frame_labels: class indices of each frame, or None if only the whole record is labelled.
        frame_unknown: class indices that may sound in each frame and are not trained there; None without any.
        folds: folds of its clips.
        means: float32 (width,), content of a video-level record in place of frames; `codes` is then one frame, quantised from it.

    """

    video_id: str
    start_seconds: float
    end_seconds: float
    labels: tuple[int, ...]
    codes: Codes
    frame_labels: tuple[tuple[int, ...], ...] | None = None
    frame_unknown: tuple[tuple[int, ...], ...] | None = None
    folds: tuple[int, ...] = ()
    means: Float32 | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """Requirements that a record must meet.

    Attributes:
        classes: number of classes; labels are below it. None for any label.
        labelled: it must have an id and labels, and no rated segments. Inference needs neither.
        frame_level: it must have frames; the mean of a video is refused.
        min_frames: smallest number of frames.
        features: what is read of each frame.

    """

    classes: int | None = None
    labelled: bool = True
    frame_level: bool = False
    min_frames: int = 0
    features: Features = "audio"


ANY_FORM = Form()


def encode_record(record: Record) -> bytes:
    """Serialise as AudioSet's SequenceExample, or as YouTube-8M's Example if the record has means in place of frames."""
    if record.means is not None:
        means = tuple(float(value) for value in record.means)
        video: dict[str, protobuf.Feature] = {"id": (_id_bytes(record),), "labels": record.labels, "mean_audio": means}
        return protobuf.encode(protobuf.SequenceExample(video))
    lists: dict[str, Sequence[protobuf.Feature]] = {"audio_embedding": [(frame.tobytes(),) for frame in record.codes]}
    if record.frame_labels is not None:
        lists["frame_labels"] = record.frame_labels
    if record.frame_unknown is not None:
        lists["frame_unknown"] = record.frame_unknown
    context: dict[str, protobuf.Feature] = {
        "video_id": (_id_bytes(record),),
        "start_time_seconds": (float(record.start_seconds),),
        "end_time_seconds": (float(record.end_seconds),),
        "labels": record.labels,
        **({"folds": record.folds} if record.folds else {}),
    }
    return protobuf.encode(protobuf.SequenceExample(context, lists))


def _id_bytes(record: Record) -> bytes:
    """Return the name as bytes: a file name may be any bytes."""
    return record.video_id.encode(errors="surrogateescape")


def decode_record(content: bytes, form: Form = ANY_FORM) -> Record:
    """Parse a record of any of the forms. Raises protobuf.WireError if it has none of them or does not meet `form`."""
    example = protobuf.Message(content)
    codes, means = _features(example, form.features)
    if form.frame_level and means is not None:
        text = "it holds the mean of a video, and this model needs its frames; give frame-level records, or train moe or logistic"
        raise protobuf.WireError(text, "no frames")
    if len(codes) < form.min_frames:
        raise protobuf.WireError(f"it has {len(codes)} frames, at least {form.min_frames} are needed", "too few frames")
    frame_labels, frame_unknown = (
        _by_frame(example, name, len(codes), form.classes) for name in ("frame_labels", "frame_unknown")
    )
    if form.labelled:
        _require_labels(example)
    name = (example.context(ID_NAMES[0]) or example.context(ID_NAMES[1]) or (b"",))[0]
    return Record(
        video_id=name.decode(errors="replace") if isinstance(name, bytes) else str(name),
        start_seconds=_seconds(example.context("start_time_seconds")),
        end_seconds=_seconds(example.context("end_time_seconds")),
        labels=_labels(example.context("labels"), form.classes),
        codes=codes,
        frame_labels=frame_labels,
        frame_unknown=frame_unknown,
        folds=_labels(example.context("folds"), None),
        means=means,
    )


def _by_frame(example: protobuf.Message, name: str, frames: int, classes: int | None) -> tuple[tuple[int, ...], ...] | None:
    if not example.has_list(name):
        return None
    found = example.rows(name)
    if len(found) != frames:
        raise protobuf.WireError(f"it has {frames} frames but labels for {len(found)}", "unequal frames")
    return tuple(_labels(values, classes) for values in found)


def _features(example: protobuf.Message, features: Features) -> tuple[Codes, Float32 | None]:
    wanted = [next((name for name in names if _holds(example, name)), names[0]) for names in _KINDS[features]]
    if missing := [name for name in wanted if not _holds(example, name)]:
        held = [*example.list_names, *(name for name in MEAN_SIZES if example.has_context(name))]
        has = ", ".join(sorted(held)) or "no embedding at all"
        raise protobuf.WireError(f"the key {missing[0]} is missing, it has {has}", "missing key")
    if all(name in MEAN_SIZES for name in wanted):
        means = np.concatenate([_mean(example.context(name), name) for name in wanted])
        nearest = np.rint((means - DEQUANTISE_OFFSET) / DEQUANTISE_SCALE)
        return np.clip(nearest, 0, 255).astype(np.uint8)[np.newaxis], means
    parts = [_frames(example, name) for name in wanted]
    if len({len(part) for part in parts}) > 1:
        counts = ", ".join(f"{len(part)} of {name}" for name, part in zip(wanted, parts, strict=True))
        raise protobuf.WireError(f"its features differ in their frames: {counts}", "unequal frames")
    return (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)), None


def _holds(example: protobuf.Message, name: str) -> bool:
    return example.has_context(name) if name in MEAN_SIZES else example.has_list(name)


def _frames(example: protobuf.Message, name: str) -> Codes:
    size = FRAME_SIZES.get(name)
    if size is None:
        raise protobuf.WireError(f"{name} is no list of frames; known are {', '.join(FRAME_SIZES)}", "missing key")
    frames = example.frames(name, size)
    return _frame_by_frame(example.rows(name), name, size) if frames is None else frames


def _frame_by_frame(values: Sequence[protobuf.Feature], name: str, size: int) -> Codes:
    """Return the frames of features that are one string each, or raise the error of the first that is not."""
    frames: list[bytes] = []
    for number, value in enumerate(values):
        frame = value[0] if len(value) == 1 else b""
        if not isinstance(frame, bytes) or len(frame) != size:
            numbers = not value or not isinstance(value[0], bytes)
            found = f"{len(value)} numbers" if numbers else f"{sum(len(each) for each in value if isinstance(each, bytes))} bytes"
            advice = "; quantise them as AudioSet does, into one string of bytes" if value and numbers else ""
            message = f"frame {number} of {name} has {found}, expected {size} bytes{advice}"
            raise protobuf.WireError(message, "wrong frame size")
        frames.append(frame)
    return np.frombuffer(b"".join(frames), np.uint8).reshape(-1, size)


def _mean(values: protobuf.Feature, name: str) -> Float32:
    if len(values) != MEAN_SIZES[name] or not all(isinstance(value, float) for value in values):
        raise protobuf.WireError(f"{name} has {len(values)} values, expected {MEAN_SIZES[name]} floats", "wrong frame size")
    mean = np.array(values, np.float32)
    if not np.isfinite(mean).all():
        raise protobuf.WireError(f"{name} holds values that are not finite", "unreadable content")
    return mean


def _require_labels(example: protobuf.Message) -> None:
    if example.has_context("segment_labels"):
        text = "it has rated segments of YouTube-8M 2019, whose labels are not those of the video; give records without segments"
        raise protobuf.WireError(text, "rated segments")
    for names in (ID_NAMES, ("labels",)):
        if not any(example.has_context(name) for name in names):
            has = ", ".join(example.context_names) or "nothing"
            raise protobuf.WireError(f"the key {' or '.join(names)} is missing, its context has {has}", "missing key")


def _seconds(values: protobuf.Feature) -> float:
    return float(values[0]) if values else 0.0


def _labels(values: protobuf.Feature, classes: int | None) -> tuple[int, ...]:
    labels = tuple(value for value in values if isinstance(value, int))
    if len(labels) < len(values):
        raise protobuf.WireError("its labels are not whole numbers", "unreadable content")
    if classes is not None and (outside := [label for label in labels if not 0 <= label < classes]):
        raise protobuf.WireError(
            f"it has the label {outside[0]}, but there are {classes} classes (0 to {classes - 1})", "label out of range"
        )
    return labels
