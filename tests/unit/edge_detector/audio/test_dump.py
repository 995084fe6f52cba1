import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.audio import dump as dump_module
from edge_detector.audio.dump import Dump
from edge_detector.audio.file import AudioFile
from edge_detector.audio.gaps import gaps_path
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Block, Float32

RATE_HZ = 16_000


def from_int16(samples: int, seed: int = 0) -> Float32:
    values = np.random.default_rng(seed).integers(-32_768, 32_768, samples, dtype=np.int16)
    return values.astype(np.float32) / np.float32(32_768)


def off_the_grid(samples: int) -> Float32:
    return np.random.default_rng(1).uniform(-1.0, 1.0, samples).astype(np.float32)


def dumped(path: Path, blocks: list[Block], rate_hz: int = RATE_HZ) -> Path:
    dump = Dump(path, rate_hz)
    for block in blocks:
        dump.write(block)
    dump.close()
    return path


def replayed(path: Path, block_samples: int = 4_096) -> list[Block]:
    source = AudioFile(path, block_samples=block_samples)
    blocks = []
    while (block := source.read(0.0)) is not None:
        blocks.append(block)
    return blocks


def joined(blocks: list[Block]) -> bytes:
    return np.concatenate([block.samples for block in blocks]).tobytes()


def gaps(blocks: list[Block]) -> list[tuple[int, int]]:
    return [(block.first_sample, block.lost_samples) for block in blocks if block.lost_samples]


def test_samples_from_a_microphone_become_a_16_bit_file(tmp_path: Path) -> None:
    values = np.arange(-32_768, 32_768).astype(np.float32) / np.float32(32_768)
    path = dumped(tmp_path / "a.wav", [Block(values, 0)], 44_100)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.channels, info.samplerate, info.frames) == ("WAV", "PCM_16", 1, 44_100, 65_536)
    assert joined(replayed(path)) == values.tobytes()
    assert not gaps_path(path).exists()


@pytest.mark.parametrize("late", [0, 100, 200_000])
def test_samples_that_16_bits_cannot_hold_make_it_a_float_file_from_the_first_sample_on(tmp_path: Path, late: int) -> None:
    blocks = [Block(from_int16(late), 0), Block(off_the_grid(500), late), Block(from_int16(300), late + 500)]
    path = dumped(tmp_path / "a.wav", blocks)
    assert soundfile.info(path).subtype == "FLOAT"
    assert joined(replayed(path)) == joined(blocks)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [1.0, -65_535 / 65_536, 1 / 65_536])
def test_one_sample_off_the_grid_is_enough(tmp_path: Path, value: float) -> None:
    samples = np.array([0.0, value, -1.0], np.float32)
    path = dumped(tmp_path / "a.wav", [Block(samples, 0)])
    assert joined(replayed(path)) == samples.tobytes()


@settings(deadline=None, max_examples=40)
@given(
    parts=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3), st.booleans()), min_size=1, max_size=12),
    block_samples=st.sampled_from([1, 7, 4_096]),
)
def test_a_replay_has_the_samples_and_the_gaps_of_the_live_run(parts: list[tuple[int, int, bool]], block_samples: int) -> None:
    blocks: list[Block] = []
    position = 0
    for size, lost, on_grid in [*parts, (1, 0, True)]:
        samples = from_int16(size, seed=position) if on_grid else off_the_grid(size)
        blocks.append(Block(samples, position + lost, lost))
        position += lost + size
    with tempfile.TemporaryDirectory() as folder:
        again = replayed(dumped(Path(folder) / "a.wav", blocks), block_samples)
    assert joined(again) == joined(blocks)
    assert again[-1].first_sample + len(again[-1].samples) == position
    assert sum(lost for _, lost in gaps(again)) == sum(lost for _, lost in gaps(blocks))
    for first_sample, _ in gaps([block for block in blocks if len(block.samples)]):
        assert first_sample in [first for first, _ in gaps(again)]


def test_nothing_stands_under_the_final_name_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("an older file")
    dump = Dump(path, RATE_HZ)
    dump.write(Block(from_int16(100_000), 0))
    assert path.read_text() == "an older file"
    dump.close()
    dump.close()
    assert soundfile.info(path).frames == 100_000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("as_float", [False, True])
def test_after_a_crash_the_unfinished_file_can_be_replayed(tmp_path: Path, as_float: bool) -> None:  # noqa: FBT001
    path = tmp_path / "a.wav"
    dump = Dump(path, RATE_HZ)
    first = off_the_grid(RATE_HZ) if as_float else from_int16(RATE_HZ)
    dump.write(Block(first, 0))
    dump.write(Block(from_int16(RATE_HZ), RATE_HZ + 50, 50))
    dump.write(Block(from_int16(10), 2 * RATE_HZ + 50))
    blocks = replayed(tmp_path / "a.wav.part")
    assert sum(len(block.samples) for block in blocks) >= 2 * RATE_HZ
    assert gaps(blocks) == [(RATE_HZ + 50, 50)]
    assert not path.exists()
    dump.close()


def test_a_new_dump_forgets_the_gaps_of_the_one_it_replaces(tmp_path: Path) -> None:
    path = dumped(tmp_path / "a.wav", [Block(from_int16(10), 5, 5)])
    assert gaps_path(path).exists()
    dumped(path, [Block(from_int16(10), 0)])
    assert not gaps_path(path).exists()


def test_a_source_without_a_sample_leaves_no_file(tmp_path: Path) -> None:
    dumped(tmp_path / "a.wav", [])
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EdgeDetectorError, match="cannot be written: No such file or directory"):
        Dump(tmp_path / "none" / "a.wav", RATE_HZ)
    with pytest.raises(EdgeDetectorError, match="is a folder"):
        Dump(tmp_path, RATE_HZ)


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.with_name("a.wav.part").symlink_to("/dev/full")
    dump = Dump(path, RATE_HZ)
    with pytest.raises(EdgeDetectorError, match="cannot be written: No space left on device"):
        dump.write(Block(from_int16(100_000), 0))
    with pytest.raises(EdgeDetectorError, match="cannot be written: No space left on device"):
        dump.close()
    dump.close()
    assert not path.exists()


@pytest.mark.parametrize("as_float", [False, True])
def test_a_full_wav_file_says_so_and_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_float: bool) -> None:  # noqa: FBT001
    monkeypatch.setattr(dump_module, "_MAX_BYTES", 4_000)
    path = tmp_path / "a.wav"
    dump = Dump(path, RATE_HZ)
    dump.write(Block(from_int16(900), 0))
    with pytest.raises(EdgeDetectorError, match="is full after"):
        dump.write(Block(off_the_grid(200) if as_float else from_int16(1_200), 900))
    dump.close()
    assert soundfile.info(path).frames == 900
