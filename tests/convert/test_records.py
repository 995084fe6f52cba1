"""Records are TensorFlow's own format, and damage is named by file and byte."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.data import protobuf, tfrecord
from convert.data.records import Record, decode_record, encode_record, read_dataset, read_labels, to_sequences, write_dataset
from edge_detector.errors import EdgeDetectorError


def record(frames: int = 3, *, labelled: bool = True) -> Record:
    codes = np.random.default_rng(frames).integers(0, 256, (frames, 128), dtype=np.uint8)
    frame_labels = tuple((index % 3,) if index else () for index in range(frames)) if labelled else None
    return Record("clip-é", 0.5, 10.25, (0, 7, 526), codes, frame_labels)


def assert_same(found: Record, wanted: Record) -> None:
    assert np.array_equal(found.codes, wanted.codes)
    assert (found.video_id, found.start_seconds, found.end_seconds) == (wanted.video_id, wanted.start_seconds, wanted.end_seconds)
    assert (found.labels, found.frame_labels) == (wanted.labels, wanted.frame_labels)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("frames", [0, 1, 10])
def test_a_record_comes_back_as_it_was_written(frames: int, labelled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    wanted = record(frames, labelled=labelled)
    assert_same(decode_record(encode_record(wanted)), wanted)


def test_tensorflows_own_parser_reads_what_is_written_and_the_other_way_round() -> None:
    tf = pytest.importorskip("tensorflow")
    wanted = record()
    parsed = tf.train.SequenceExample.FromString(encode_record(wanted))
    assert parsed.context.feature["video_id"].bytes_list.value[0].decode() == wanted.video_id
    assert tuple(parsed.context.feature["labels"].int64_list.value) == wanted.labels
    assert parsed.context.feature["start_time_seconds"].float_list.value[0] == wanted.start_seconds
    frames = parsed.feature_lists.feature_list["audio_embedding"].feature
    assert [frame.bytes_list.value[0] for frame in frames] == [row.tobytes() for row in wanted.codes]
    labels = parsed.feature_lists.feature_list["frame_labels"].feature
    assert [tuple(item.int64_list.value) for item in labels] == list(wanted.frame_labels or ())
    assert_same(decode_record(parsed.SerializeToString()), wanted)


def test_tensorflow_reads_the_file(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    path = tmp_path / "some.tfrecord"
    payloads = [b"", b"one", bytes(range(256)) * 20]
    assert tfrecord.write_records(path, payloads) == 3
    assert [item.numpy() for item in tf.data.TFRecordDataset(str(path))] == payloads
    assert list(tfrecord.read_records(path)) == payloads


@pytest.mark.data
def test_audiosets_own_records_are_read(data: Path) -> None:
    records = [found for path in sorted((data / "audioset").glob("*.tfrecord")) for found in read_dataset(path)]
    assert len(records) >= 650
    assert all(len(found.codes) == int(found.end_seconds - found.start_seconds) for found in records)
    assert max(index for found in records for index in found.labels) < 527


@pytest.mark.parametrize(("position", "what"), [(3, "length is damaged"), (20, "content is damaged"), (-1, "content is damaged")])
def test_a_flipped_bit_is_named_by_file_and_byte(tmp_path: Path, position: int, what: str) -> None:
    path = tmp_path / "some.tfrecord"
    tfrecord.write_records(path, [b"x" * 40, b"y" * 40])
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    start = 0 if position >= 0 else 56
    with pytest.raises(EdgeDetectorError, match=f"some.tfrecord, byte {start}: .*{what}"):
        list(tfrecord.read_records(path))


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    tfrecord.write_records(path, [b"x" * 40, b"y" * 40])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(EdgeDetectorError, match="byte 56: the file ends inside a record"):
        list(tfrecord.read_records(path))


def test_nothing_is_written_when_the_records_fail(tmp_path: Path) -> None:
    def failing() -> list[bytes]:
        raise EdgeDetectorError("no more")

    with pytest.raises(EdgeDetectorError, match="no more"):
        tfrecord.write_records(tmp_path / "some.tfrecord", (item for _ in range(1) for item in failing()))
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_clear_error(content: bytes) -> None:
    with contextlib.suppress(protobuf.WireError):
        assert isinstance(decode_record(content), Record)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5))
def test_any_int64_comes_back(values: list[int]) -> None:
    example = protobuf.SequenceExample({"labels": tuple(values)})
    assert protobuf.decode(protobuf.encode(example)).context["labels"] == tuple(values)


def test_records_become_padded_arrays_with_a_target_for_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    short = Record("short", 0.0, 1.0, (1,), np.ones((2, 128), np.uint8))
    longer = Record("longer", 0.0, 4.0, (0, 2), np.full((4, 128), 9, np.uint8), ((), (0,), (0, 2), (2,)))
    write_dataset(path, [short, longer], ("a", "b", "c"))
    assert read_labels(path) == ("a", "b", "c")
    found = to_sequences(read_dataset(path), 3, 3, path)
    assert found.lengths.tolist() == [2, 3]
    assert found.targets[0].tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found.targets[1].tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 1]]
    assert not found.codes[0, 2].any()


def test_a_label_beyond_the_classes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EdgeDetectorError, match="has the label 526, but there are 10 classes"):
        to_sequences([record(labelled=False)], 10, 10, tmp_path / "some.tfrecord")
