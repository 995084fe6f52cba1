"""Records are TensorFlow's own format, and damage is named by file and byte."""

import contextlib
import itertools
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.records import protobuf, tfrecord
from convert.records.batches import batches
from convert.records.files import (
    Form,
    Record,
    decode_record,
    encode_record,
    find_classes,
    find_embedder,
    read_classes,
    read_dataset,
    write_dataset,
)
from edge_detector.class_names import ClassName
from edge_detector.detection.embedding import dequantise
from edge_detector.errors import EdgeDetectorError, UsageError
from tests.support.messages import decoded


def record(frames: int = 3, *, labelled: bool = True, composed: bool = False) -> Record:
    codes = np.random.default_rng(frames).integers(0, 256, (frames, 128), dtype=np.uint8)
    frame_labels = tuple((index % 3,) if index else () for index in range(frames)) if labelled else None
    plain = Record("clip-é", 0.5, 10.25, (0, 7, 526), codes, frame_labels)
    frame_unknown = tuple((7, 526) if index % 2 else () for index in range(frames))
    return replace(plain, frame_unknown=frame_unknown, folds=(1, 3)) if composed else plain


def assert_same(found: Record, wanted: Record) -> None:
    assert np.array_equal(found.codes, wanted.codes)
    assert (found.video_id, found.start_seconds, found.end_seconds) == (wanted.video_id, wanted.start_seconds, wanted.end_seconds)
    assert (found.labels, found.frame_labels) == (wanted.labels, wanted.frame_labels)
    assert (found.frame_unknown, found.folds) == (wanted.frame_unknown, wanted.folds)


@pytest.mark.parametrize("composed", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("frames", [0, 1, 10])
def test_a_record_is_equal_after_writing_and_reading(frames: int, labelled: bool, composed: bool) -> None:  # noqa: FBT001 - parameters of the test
    wanted = record(frames, labelled=labelled, composed=composed)
    assert_same(decode_record(encode_record(wanted)), wanted)


def test_a_record_without_unknown_labels_and_folds_has_audiosets_form() -> None:
    example = decoded(encode_record(record(labelled=False)))
    assert set(example.context) == {"video_id", "start_time_seconds", "end_time_seconds", "labels"}
    assert set(example.feature_lists) == {"audio_embedding"}


@pytest.mark.parametrize(
    ("unknown", "what"),
    [(((),), "has 3 frames but labels for 1"), (((), (2,), (3,)), r"has the label 3, but there are 3 classes \(0 to 2\)")],
)
def test_unknown_labels_are_checked_for_class_and_frame(unknown: tuple[tuple[int, ...], ...], what: str) -> None:
    content = encode_record(replace(record(labelled=False), labels=(0,), frame_unknown=unknown))
    with pytest.raises(protobuf.WireError, match=what):
        decode_record(content, Form(classes=3))


def test_tensorflow_parses_written_records_and_its_records_are_parsed() -> None:
    tf = pytest.importorskip("tensorflow")
    wanted = record(composed=True)
    parsed = tf.train.SequenceExample.FromString(encode_record(wanted))
    assert parsed.context.feature["video_id"].bytes_list.value[0].decode() == wanted.video_id
    assert tuple(parsed.context.feature["labels"].int64_list.value) == wanted.labels
    assert parsed.context.feature["start_time_seconds"].float_list.value[0] == wanted.start_seconds
    frames = parsed.feature_lists.feature_list["audio_embedding"].feature
    assert [frame.bytes_list.value[0] for frame in frames] == [row.tobytes() for row in wanted.codes]
    labels = parsed.feature_lists.feature_list["frame_labels"].feature
    assert [tuple(item.int64_list.value) for item in labels] == list(wanted.frame_labels or ())
    unknown = parsed.feature_lists.feature_list["frame_unknown"].feature
    assert [tuple(item.int64_list.value) for item in unknown] == list(wanted.frame_unknown or ())
    assert tuple(parsed.context.feature["folds"].int64_list.value) == (1, 3)
    assert_same(decode_record(parsed.SerializeToString()), wanted)


def test_tensorflow_reads_the_file(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    path = tmp_path / "some.tfrecord"
    payloads = [b"", b"one", bytes(range(256)) * 20]
    assert tfrecord.write_records(path, payloads) == 3
    assert [item.numpy() for item in tf.data.TFRecordDataset(str(path))] == payloads
    assert list(tfrecord.read_records(path)) == payloads


def test_an_error_in_the_records_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> list[bytes]:
        raise EdgeDetectorError("no more")

    with pytest.raises(EdgeDetectorError, match="no more"):
        tfrecord.write_records(tmp_path / "some.tfrecord", (item for _ in range(1) for item in failing()))
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_wire_error(content: bytes) -> None:
    with contextlib.suppress(protobuf.WireError):
        assert isinstance(decode_record(content), Record)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5))
def test_any_int64_is_equal_after_encoding_and_decoding(values: list[int]) -> None:
    example = protobuf.SequenceExample({"labels": tuple(values)})
    assert decoded(protobuf.encode(example)).context["labels"] == tuple(values)


def test_class_names_are_in_the_json_file_beside_the_records(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    assert write_dataset(path, [record()], ("a", "b", "c")) == 1
    assert [each.slug for each in read_classes(path)] == ["a", "b", "c"]


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    for name, frames in (("b", 2), ("a", 1)):
        write_dataset(tmp_path / f"{name}.tfrecord", [record(frames)], ("x", "y"))
    assert [len(found.codes) for found in read_dataset(tmp_path)] == [1, 2]
    assert [each.slug for each in find_classes(tmp_path) or ()] == ["x", "y"]
    write_dataset(tmp_path / "c.tfrecord", [], ("z",))
    with pytest.raises(EdgeDetectorError, match="different classes"):
        find_classes(tmp_path)


def test_a_class_keeps_its_label_and_identifier(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    write_dataset(path, [record()], [ClassName("dog_bark", "Dog bark", "/m/05tny_"), ClassName("turklingel", "Türklingel")])
    assert read_classes(path) == (ClassName("dog_bark", "Dog bark", "/m/05tny_"), ClassName("turklingel", "Türklingel"))


def test_records_of_two_embedders_in_a_folder_are_an_error(tmp_path: Path) -> None:
    for name in "ab":
        made_of = {"embedder": name, "pca": "p", "embedder_name": f"body-{name}", "seed": 1}
        write_dataset(tmp_path / f"{name}.tfrecord", [record()], ("x",), made_of=made_of)
    alone = {"embedder": "a", "pca": "p", "embedder_name": "body-a"}
    assert find_embedder(tmp_path / "a.tfrecord") == alone
    with pytest.raises(
        EdgeDetectorError, match=r"are of two embedders, body-a \(\w{8}\) and body-b \(\w{8}\); keep those of one"
    ):
        find_embedder(tmp_path)
    write_dataset(tmp_path / "b.tfrecord", [record()], ("x",), made_of={"embedder": "a", "pca": "p"})
    assert find_embedder(tmp_path) == alone, "a digest without a name is of the same embedder"
    write_dataset(tmp_path / "b.tfrecord", [record()], ("x",))
    assert find_embedder(tmp_path) == alone, "of b nothing is known"


def test_a_folder_without_records_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no \.tfrecord file"):
        list(read_dataset(tmp_path))
    with pytest.raises(UsageError, match=r"none\.tfrecord does not exist"):
        list(read_dataset(tmp_path / "none.tfrecord"))


def test_batches_are_padded_with_zeros_and_cut_to_the_longest_allowed() -> None:
    records = [Record(f"r{n}", 0.0, 1.0, (n % 3,), np.full((n, 128), 7, np.uint8)) for n in (1, 12, 4)]
    first, second = batches(records, 3, 2)
    assert first.codes.shape == (2, 20, 128)
    assert first.frames.tolist() == [1, 12]
    assert first.codes[0, 0].all()
    assert not first.codes[0, 1:].any()
    assert first.labels.tolist() == [[False, True, False], [True, False, False]]
    assert (second.codes.shape, second.ids) == ((1, 10, 128), ("r4",))
    (cut,) = batches(records, 3, 10, max_frames=5)
    assert (cut.codes.shape, cut.frames.tolist()) == ((3, 5, 128), [1, 5, 4])


def test_a_long_file_is_written_and_read_in_constant_memory(tmp_path: Path) -> None:
    def segments() -> Iterator[Record]:
        codes = np.random.default_rng(0).integers(0, 256, (10, 128), dtype=np.uint8)
        return (Record(f"segment{n:05}", 0.0, 10.0, (n % 527,), codes) for n in range(5_000))

    path = tmp_path / "many.tfrecord"
    write_dataset(path, segments(), ())
    assert path.stat().st_size > 6_500_000
    tracemalloc.start()
    try:
        found = batches(read_dataset(path, Form(classes=527)), 527, 256)
        # The first batches warm up what is held once.
        count = sum(len(batch.ids) for batch in itertools.islice(found, 4))
        early = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        count += sum(len(batch.ids) for batch in found)
        late, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 5_000
    assert late < early + 500_000
    assert peak < early + 2_500_000, "a few batches' worth"


def test_a_batch_of_video_level_records_holds_their_means() -> None:
    means = np.linspace(-1, 1, 128, dtype=np.float32)
    video = Record("v", 0.0, 1.0, (1,), np.zeros((1, 128), np.uint8), means=means)
    (batch,) = batches([video, video], 3, 8)
    assert batch.codes.shape == (2, 1, 128)
    assert np.array_equal(batch.codes[1, 0], means)
    (mixed,) = batches([video, record()], 3 * 527, 8)
    assert mixed.codes.dtype == np.float32, "what was never a code does not become one beside frames"
    assert np.array_equal(mixed.codes[0, 0], means)
    assert np.array_equal(mixed.codes[1, :3], dequantise(record().codes))
    assert not mixed.codes[0, 1:].any()
    assert mixed.frames.tolist() == [1, 3]


def test_the_error_of_numeric_frames_says_to_quantise_them() -> None:
    frames = [tuple(float(value) for value in range(128))]
    content = protobuf.encode(protobuf.SequenceExample({"video_id": (b"a",), "labels": (1,)}, {"audio_embedding": frames}))
    with pytest.raises(protobuf.WireError, match="frame 0 of audio_embedding has 128 numbers, expected 128 bytes; quantise"):
        decode_record(content)


def test_a_record_name_may_be_any_bytes() -> None:
    record = Record("caf\udce9", 0.0, 0.96, (), np.zeros((1, 128), np.uint8))
    assert decoded(encode_record(record)).context["video_id"] == (b"caf\xe9",)
