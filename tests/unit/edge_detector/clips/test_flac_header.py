"""The head of a FLAC file: its length and tags, and no crash for any bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.clips.flac_header import HEAD_BYTES, read_head
from edge_detector.clips.store import ClipStore
from tests.support.clips import noise, write


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    store = ClipStore(tmp_path_factory.mktemp("clips"))
    write(store, 1, noise(1.5))
    return store.newest(1)[0].path.read_bytes()[:HEAD_BYTES]


def test_a_head_has_length_and_tags(content: bytes) -> None:
    head = read_head(content)
    assert head.seconds == 1.5
    assert head.comments["TITLE"] == "Rain"
    assert head.comments["ARTIST"] == "cot"
    about = "which starts 5.000 s after the beginning; 0.000 s follow its end"
    assert head.comments["COMMENT"].rstrip() == f"nursery/cot/0123456789ab/1/rain, {about}"


@given(st.data())
def test_damaged_bytes_give_an_error_or_a_head(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content[:400])
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        assert read_head(bytes(damaged[: data.draw(st.integers(0, 400))])).seconds >= 0.0


@pytest.mark.parametrize("content", [b"", b"RIFF", b"fLaC\x84\x00\x00\x04\xff\xff\xff\xff"])
def test_another_file_has_no_head(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a FLAC file|its head is cut"):
        read_head(content)
