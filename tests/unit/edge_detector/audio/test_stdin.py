import os
import pty
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.audio.stdin import Stdin
from edge_detector.errors import SourceError
from edge_detector.types import Block

SOUND = np.arange(-3_000, 3_000, dtype="<i2")


@contextmanager
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb", buffering=0) as writer:
        yield reader, writer


def everything(source: Stdin) -> list[Block]:
    blocks = []
    while not source.ended:
        if (block := source.read(10.0)) is not None:
            blocks.append(block)
    return blocks


def as_int16(blocks: list[Block]) -> bytes:
    position = 0
    for block in blocks:
        assert block.first_sample == position
        assert not block.lost_samples
        assert block.samples.dtype == np.float32
        position += len(block.samples)
    return (np.concatenate([block.samples for block in blocks]) * 32_768).astype("<i2").tobytes()


@settings(deadline=None, max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 2 * len(SOUND)), max_size=12),
    block_samples=st.sampled_from([1, 2, 160, 4_096]),
)
def test_samples_survive_any_cutting_of_the_pipe(cuts: list[int], block_samples: int) -> None:
    data = SOUND.tobytes()
    borders = sorted({0, len(data), *cuts})
    with pipe() as (reader, writer):
        source = Stdin(reader, block_samples=block_samples)
        blocks = []
        for start, end in pairwise(borders):
            writer.write(data[start:end])
            if (block := source.read(0.0)) is not None:
                blocks.append(block)
        writer.close()
        blocks += everything(source)
    assert as_int16(blocks) == data
    assert max(len(block.samples) for block in blocks) <= block_samples


def test_a_file_redirected_to_standard_input_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "sound.raw"
    path.write_bytes(SOUND.tobytes())
    with path.open("rb") as stream:
        assert as_int16(everything(Stdin(stream))) == SOUND.tobytes()


def test_what_has_arrived_is_given_without_waiting_for_a_full_block() -> None:
    with pipe() as (reader, writer):
        source = Stdin(reader)
        assert source.read(0.0) is None
        assert not source.ended
        writer.write(SOUND[:10].tobytes())
        block = source.read(10.0)
        assert block is not None
        assert len(block.samples) == 10


def test_the_writer_waits_for_a_slow_reader_and_nothing_is_dropped() -> None:
    data = np.tile(SOUND, 40).tobytes()
    with pipe() as (reader, writer):
        source = Stdin(reader)

        def write() -> None:
            with writer:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(writer.fileno(), rest) :]

        thread = threading.Thread(target=write)
        thread.start()
        blocks = everything(source)
        thread.join(30.0)
    assert as_int16(blocks) == data


def test_half_a_sample_at_the_end_is_dropped_with_a_warning() -> None:
    with pipe() as (reader, writer):
        writer.write(SOUND.tobytes() + b"\x01")
        writer.close()
        source = Stdin(reader)
        assert as_int16(everything(source)) == SOUND.tobytes()
        assert "middle of a sample" in source.warnings[0]


@pytest.mark.parametrize("data", [b"", b"\x01"])
def test_nothing_at_all_is_an_error(data: bytes) -> None:
    with pipe() as (reader, writer):
        writer.write(data)
        writer.close()
        with pytest.raises(SourceError, match="ended before the first sample"):
            everything(Stdin(reader))


@pytest.mark.parametrize("block_samples", [1, 4_096])
@pytest.mark.parametrize(("magic", "kind"), [(b"RIFF", "WAV"), (b"fLaC", "FLAC"), (b"OggS", "Ogg")])
def test_a_file_with_a_header_is_refused_and_named(magic: bytes, kind: str, block_samples: int) -> None:
    with pipe() as (reader, writer):
        source = Stdin(reader, block_samples=block_samples)
        writer.write(magic[:3])
        assert source.read(1.0) is None
        writer.write(magic[3:] + bytes(100))
        with pytest.raises(SourceError, match=f"holds a {kind} file"):
            source.read(10.0)


def test_a_terminal_is_refused() -> None:
    master, slave = pty.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "rb") as terminal, pytest.raises(SourceError, match="is a terminal"):
        Stdin(terminal)


def test_each_opening_has_an_id_of_its_own_and_closing_twice_is_fine() -> None:
    with pipe() as (reader, _):
        first, second = Stdin(reader), Stdin(reader)
        assert first.stream_id != second.stream_id
        assert len(first.stream_id) == 12
        assert not first.live
        first.close()
        first.close()
        assert first.ended
        assert first.read(0.0) is None
