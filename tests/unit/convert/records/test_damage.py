"""Each kind of damage to a record is told apart, named by file and byte, and can be passed over."""

import contextlib
import gzip
import io
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.records import protobuf, tfrecord
from convert.records.damage import Damage, DamagedRecordError
from convert.records.files import Form, Record, encode_record, read_dataset, write_dataset
from edge_detector.errors import EdgeDetectorError
from tests.support.messages import decoded


def record(frames: int = 3) -> Record:
    codes = np.random.default_rng(frames).integers(0, 256, (frames, 128), dtype=np.uint8)
    return Record("clip", 0.5, 10.25, (0, 7, 526), codes)


def three(path: Path, spoil: Callable[[bytes], bytes] = bytes, form: Callable[[], bytes] = lambda: b"") -> tuple[Path, int]:
    """Three records, the middle one of another content or with its bytes spoilt; gives where it starts."""
    good = encode_record(record())
    tfrecord.write_records(path, [good])
    start = path.stat().st_size
    tfrecord.write_records(path, [form() or good])
    middle = path.read_bytes()
    tfrecord.write_records(path, [good])
    last = path.read_bytes()
    path.write_bytes(last + spoil(middle) + last)
    return path, start


def flip(position: int) -> Callable[[bytes], bytes]:
    def flipped(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[position] ^= 0x10
        return bytes(changed)

    return flipped


def altered(**change: protobuf.Feature | list[protobuf.Feature] | None) -> Callable[[], bytes]:
    """A record with one key of another value, or without it."""

    def make() -> bytes:
        example = decoded(encode_record(record()))
        context, lists = dict(example.context), dict(example.feature_lists)
        for name, value in change.items():
            context.pop(name, None)
            lists.pop(name, None)
            if isinstance(value, list):
                lists[name] = value
            elif value is not None:
                context[name] = value
        return protobuf.encode(protobuf.SequenceExample(context, lists))

    return make


FRAME: protobuf.Feature = (bytes(128),)
SHORT_FRAME: list[protobuf.Feature] = [FRAME, FRAME, (bytes(127),)]
DAMAGES = [
    (flip(2), None, "damaged length", "the record's length is damaged"),
    (flip(9), None, "damaged length", "the record's length is damaged"),
    (flip(40), None, "wrong checksum", "the record's content is damaged"),
    (flip(-1), None, "wrong checksum", "its CRC32C is 0x[0-9a-f]{8}, the file has 0x[0-9a-f]{8}"),
    (None, lambda: b"no protobuf at all", "unreadable content", "reaches past its end|neither a SequenceExample|unknown kind"),
    (None, altered(audio_embedding=None), "missing key", "the key audio_embedding is missing, it has no embedding at all"),
    (None, altered(audio_embedding=None, rgb=[FRAME]), "missing key", "the key audio_embedding is missing, it has rgb"),
    (None, altered(video_id=None), "missing key", "the key video_id or id is missing, its context has end_time_seconds, labels"),
    (None, altered(labels=None), "missing key", "the key labels is missing"),
    (None, altered(audio_embedding=SHORT_FRAME), "wrong frame size", "frame 2 of audio_embedding has 127 bytes, expected 128"),
    (None, altered(audio_embedding=[(1,)]), "wrong frame size", "frame 0 of audio_embedding has 1 numbers, expected 128 bytes"),
    (None, altered(audio_embedding=[]), "too few frames", "has 0 frames, at least 1"),
    (None, altered(labels=(3, 527)), "label out of range", r"the label 527, but there are 527 classes \(0 to 526\)"),
    (None, altered(labels=(-1,)), "label out of range", "the label -1"),
    (None, altered(labels=(b"7",)), "unreadable content", "labels are not whole numbers"),
    (None, altered(frame_labels=[(1,)]), "unequal frames", "3 frames but labels for 1"),
]
STRICT = Form(classes=527, min_frames=1)


@pytest.mark.parametrize(("spoil", "form", "kind", "what"), DAMAGES)
def test_damage_is_an_error_with_file_and_byte_or_is_counted(
    tmp_path: Path, spoil: Callable[[bytes], bytes] | None, form: Callable[[], bytes] | None, kind: str, what: str
) -> None:
    path, start = three(tmp_path / "some.tfrecord", spoil or bytes, form or (lambda: b""))
    with pytest.raises(DamagedRecordError, match=f"some.tfrecord, byte {start}: .*({what})") as raised:
        list(read_dataset(path, STRICT))
    assert raised.value.kind == kind
    said = io.StringIO()
    damage = Damage(skip=True, stream=said)
    assert len(list(read_dataset(path, STRICT, damage))) == 2, "those before and after it are read"
    assert damage.kinds == {kind: 1}
    assert f"skipped: {path}, byte {start}: " in said.getvalue()


@pytest.mark.parametrize(("position", "what"), [(3, "length is damaged"), (20, "content is damaged"), (-1, "content is damaged")])
def test_a_flipped_bit_is_an_error_with_file_and_byte(tmp_path: Path, position: int, what: str) -> None:
    path = tmp_path / "some.tfrecord"
    tfrecord.write_records(path, [b"x" * 40, b"y" * 40])
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    start = 0 if position >= 0 else 56
    with pytest.raises(EdgeDetectorError, match=f"some.tfrecord, byte {start}: .*{what}"):
        list(tfrecord.read_records(path))


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    tfrecord.write_records(path, [b"x" * 40, b"y" * 40])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(EdgeDetectorError, match="byte 56: the file ends inside a record"):
        list(tfrecord.read_records(path))


@pytest.mark.parametrize("kept", [5, 40])
def test_records_before_a_cut_are_read(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "some.tfrecord"
    write_dataset(path, [record(2), record(3)], ())
    first = len(encode_record(record(2))) + 16
    path.write_bytes(path.read_bytes()[: first + kept])
    damage = Damage(skip=True, stream=io.StringIO())
    assert len(list(read_dataset(path, damage=damage))) == 1
    assert damage.kinds == {"cut short": 1}
    with pytest.raises(DamagedRecordError, match=f"byte {first}: the file ends inside a record"):
        list(read_dataset(path))


def test_a_file_of_another_format_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF" + bytes(200))
    with pytest.raises(EdgeDetectorError, match="byte 0: this is no TFRecord file"):
        list(read_dataset(path))


@pytest.mark.parametrize(("program", "compress"), [("gzip", gzip.compress), ("zlib", zlib.compress)])
def test_a_compressed_file_is_named(program: str, compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path, _ = three(tmp_path / "some.tfrecord", bytes, lambda: b"")
    path.write_bytes(compress(path.read_bytes()))
    with pytest.raises(DamagedRecordError, match=f"some.tfrecord is compressed by {program}; decompress it first"):
        list(read_dataset(path))


def test_the_first_damaged_records_are_reported_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    tfrecord.write_records(path, [altered(labels=(600,))()] * 12)
    said = io.StringIO()
    damage = Damage(skip=True, stream=said)
    assert list(read_dataset(path, STRICT, damage)) == []
    assert damage.skipped == 12
    assert said.getvalue().count("skipped: ") == 5
    assert said.getvalue().endswith("further ones are only counted\n")


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_in_a_file_are_read_or_counted_as_damaged(content: bytes, cut: int) -> None:
    good = encode_record(record(1))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = folder / "some.tfrecord"
        tfrecord.write_records(path, [good])
        path.write_bytes(content + path.read_bytes()[:cut])
        assert len(list(read_dataset(path, damage=Damage(skip=True, stream=io.StringIO())))) <= 1 + len(content) // 16
