"""Records as AudioSet, YouTube-8M and the demo of VGGish write them."""

from pathlib import Path

import numpy as np
import pytest

from convert.records import protobuf
from convert.records.files import (
    Form,
    decode_record,
    encode_record,
    read_dataset,
    write_dataset,
)
from edge_detector.detection.embedding import dequantise


@pytest.mark.data
def test_audiosets_own_records_are_read(data: Path) -> None:
    records = list(read_dataset(data / "audioset", Form(classes=527, min_frames=1)))
    assert len(records) >= 650
    assert all(len(found.codes) == int(found.end_seconds - found.start_seconds) for found in records)
    assert max(index for found in records for index in found.labels) < 527


@pytest.mark.data
def test_audiosets_records_are_equal_to_tensorflow_after_rewriting(data: Path, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    count = 0
    for path in sorted((data / "audioset").glob("*.tfrecord")):
        again = tmp_path / path.name
        write_dataset(again, read_dataset(path), ())
        for theirs, ours in zip(tf.data.TFRecordDataset(str(path)), tf.data.TFRecordDataset(str(again)), strict=True):
            parse = tf.train.SequenceExample.FromString
            assert parse(theirs.numpy()) == parse(ours.numpy()), f"record {count}"
            count += 1
    assert count >= 650


@pytest.mark.parametrize("key", ["id", "video_id"])
def test_youtube_8ms_frame_level_records_are_read(key: str) -> None:
    """`id` since 2018, `video_id` before; the audio alone, or picture and sound side by side."""
    tf = pytest.importorskip("tensorflow")
    generator = np.random.default_rng(5)
    rgb = generator.integers(0, 256, (4, 1024), dtype=np.uint8)
    audio = generator.integers(0, 256, (4, 128), dtype=np.uint8)
    example = tf.train.SequenceExample()
    example.context.feature[key].bytes_list.value.append(b"abCD")
    example.context.feature["labels"].int64_list.value.extend([3, 3861])
    for name, frames in (("rgb", rgb), ("audio", audio)):
        for frame in frames:
            example.feature_lists.feature_list[name].feature.add().bytes_list.value.append(frame.tobytes())
    content = example.SerializeToString()
    found = decode_record(content, Form(classes=3862))
    assert (found.video_id, found.labels, found.means) == ("abCD", (3, 3861), None)
    assert np.array_equal(found.codes, audio)
    both = decode_record(content, Form(features="rgb-and-audio"))
    assert np.array_equal(both.codes, np.concatenate([rgb, audio], axis=1))
    del example.feature_lists.feature_list["rgb"].feature[3]
    with pytest.raises(protobuf.WireError, match="3 of rgb, 4 of audio"):
        decode_record(example.SerializeToString(), Form(features="rgb-and-audio"))


def test_youtube_8ms_video_level_records_are_read() -> None:
    tf = pytest.importorskip("tensorflow")
    generator = np.random.default_rng(6)
    means = {"mean_rgb": generator.normal(0, 0.5, 1024), "mean_audio": np.clip(generator.normal(0, 0.5, 128), -1.9, 1.9)}
    example = tf.train.Example()
    example.features.feature["id"].bytes_list.value.append(b"abCD")
    example.features.feature["labels"].int64_list.value.extend([7])
    for name, values in means.items():
        example.features.feature[name].float_list.value.extend(values)
    found = decode_record(example.SerializeToString())
    assert (found.video_id, found.labels) == ("abCD", (7,))
    assert found.means is not None
    assert np.array_equal(found.means, means["mean_audio"].astype(np.float32))
    assert found.codes.shape == (1, 128)
    assert np.abs(dequantise(found.codes)[0] - found.means).max() <= 2 / 255 + 1e-6, "the nearest code"
    again = decode_record(encode_record(found))
    assert again.means is not None
    assert np.array_equal(again.means, found.means)
    assert (again.video_id, again.labels) == (found.video_id, found.labels)
    assert tf.train.Example.FromString(encode_record(found)).features.feature["mean_audio"].float_list.value
    both = decode_record(example.SerializeToString(), Form(features="rgb-and-audio"))
    assert both.means is not None
    assert both.means.shape == (1152,)
    example.features.feature["mean_audio"].float_list.value.pop()
    with pytest.raises(protobuf.WireError, match="mean_audio has 127 values, expected 128"):
        decode_record(example.SerializeToString())


def test_rated_segments_of_2019_are_not_taken_for_labels_of_the_video() -> None:
    context: dict[str, protobuf.Feature] = {"id": (b"a",), "labels": (1,), "segment_labels": (1,), "segment_scores": (1.0,)}
    content = protobuf.encode(protobuf.SequenceExample(context, {"audio": [(bytes(128),)] * 2}))
    with pytest.raises(protobuf.WireError, match="it has rated segments of YouTube-8M 2019"):
        decode_record(content)
    assert len(decode_record(content, Form(labelled=False)).codes) == 2


def test_records_without_context_as_vggishs_demo_writes_are_accepted_for_inference() -> None:
    content = protobuf.encode(protobuf.SequenceExample({}, {"audio_embedding": [(bytes(128),)] * 2}))
    found = decode_record(content, Form(labelled=False))
    assert (found.video_id, found.labels, len(found.codes)) == ("", (), 2)
    with pytest.raises(protobuf.WireError, match="its context has nothing"):
        decode_record(content)
