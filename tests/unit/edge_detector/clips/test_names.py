"""Names of clips: an event's id gives its clip's id, and a file's name says what it holds."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.clips.names import ClipName, clip_id, clip_name, is_clip_id, parse_clip_name

SLUGS = st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=64)


@given(st.text(max_size=80), st.floats(0.0, 4e9), SLUGS, SLUGS)
def test_the_name_of_a_file_says_what_the_clip_is(event: str, start_seconds: float, source: str, slug: str) -> None:
    name = clip_name(event, start_seconds, source, slug)
    assert parse_clip_name(name.file_name) == name
    assert name.id == clip_id(event)
    assert is_clip_id(name.id)
    assert abs(name.start_ms - 1e3 * start_seconds) <= 0.5


def test_a_name_is_as_documented_and_sorts_by_time() -> None:
    name = clip_name("nursery/cot/5f2a9c01b3de/16000/dog_barking", 1_764_432_312.345, "cot", "dog_barking")
    assert name.file_name == "20251129T160512.345Z-cot-dog_barking-71350c061e59ed7b.flac"
    later = ClipName(name.id, name.start_ms + 1, "a", "a")
    assert later.file_name > name.file_name


def test_a_name_fits_into_a_file_system_however_long_its_source_is() -> None:
    assert len(clip_name("id", 0.0, "a" * 500, "b" * 64).file_name) <= 200


@pytest.mark.parametrize(
    "name",
    [
        "20251129T160512.345Z-cot-rain-0123456789abcdef.flac.part",
        "20251329T160512.345Z-cot-rain-0123456789abcdef.flac",
        "20251129T160512.345Z-cot-rain-0123456789ABCDEF.flac",
        "20251129T160512.345Z-cot-rain-0123456789abcdef.flac\n",
        "../20251129T160512.345Z-cot-rain-0123456789abcdef.flac",
        "try.part",
        "",
    ],
)
def test_another_file_is_no_clip(name: str) -> None:
    assert parse_clip_name(name) is None


@pytest.mark.parametrize("text", ["", "0123456789abcde", "0123456789abcdef0", "../../etc/passwd", "0123456789abcde\n", "０" * 16])
def test_another_text_is_no_id(text: str) -> None:
    assert not is_clip_id(text)
