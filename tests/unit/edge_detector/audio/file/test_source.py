import hashlib
import os
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.audio.file import AudioFile, read_mono
from edge_detector.audio.gaps import Gap, format_gaps, gaps_path, parse_gaps
from edge_detector.errors import SourceError
from edge_detector.types import Block, Float32

RATE_HZ = 16_000


def noise(samples: int, channels: int = 1) -> Float32:
    shape = (samples, channels) if channels > 1 else samples
    return np.random.default_rng(3).uniform(-0.5, 0.5, shape).astype(np.float32)


def written(path: Path, samples: np.ndarray[tuple[int, ...], np.dtype[np.generic]], rate_hz: int = RATE_HZ, **how: str) -> Path:
    soundfile.write(path, samples, rate_hz, **how)
    return path


def everything(source: AudioFile) -> list[Block]:
    blocks = []
    while (block := source.read(0.0)) is not None:
        blocks.append(block)
    assert source.ended
    return blocks


def joined(path: Path, block_samples: int = 4_096) -> Float32:
    return np.concatenate([block.samples for block in everything(AudioFile(path, block_samples=block_samples))])


def test_every_16_bit_value_comes_out_as_exactly_itself_by_32768(tmp_path: Path) -> None:
    values = np.arange(-32_768, 32_768).astype("<i2")
    path = tmp_path / "all.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(values.tobytes())
    samples = joined(path)
    assert samples.dtype == np.float32
    assert samples.tobytes() == (values.astype(np.float32) / np.float32(32_768)).tobytes()


def test_channels_become_their_mean(tmp_path: Path) -> None:
    stereo = np.random.default_rng(1).integers(-32_768, 32_768, (5_000, 2), dtype=np.int16)
    samples = joined(written(tmp_path / "stereo.wav", stereo))
    expected = (stereo[:, 0].astype(np.float64) + stereo[:, 1]) / 65_536.0
    assert samples.tobytes() == expected.astype(np.float32).tobytes()


def test_24_bit_stereo_at_8_khz_works_and_warns_that_the_treble_is_missing(tmp_path: Path) -> None:
    source = AudioFile(written(tmp_path / "low.wav", noise(8_000, 2), 8_000, subtype="PCM_24"))
    assert source.rate_hz == 8_000
    assert source.channels == 2
    assert sum(len(block.samples) for block in everything(source)) == 8_000
    assert "it has nothing above 4000 Hz" in source.warnings[0]


def test_nothing_is_said_about_a_recording_at_16_khz_or_more(tmp_path: Path) -> None:
    assert AudioFile(written(tmp_path / "fine.wav", noise(100))).warnings == ()


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_U8"), ("a.wav", "PCM_24"), ("a.wav", "PCM_32"), ("a.wav", "FLOAT"), ("a.wav", "DOUBLE"), ("a.wav", "ULAW"),
     ("a.flac", "PCM_16"), ("a.flac", "PCM_24"), ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III"), ("a.aiff", "PCM_16")],
)  # fmt: skip
def test_the_samples_do_not_depend_on_the_block_size(tmp_path: Path, name: str, subtype: str) -> None:
    path = written(tmp_path / name, noise(11_000, 2), 44_100, subtype=subtype)
    whole = joined(path)
    assert len(whole) == 11_000
    for block_samples in (160, 1_000, 5_000, 100_000):
        assert joined(path, block_samples).tobytes() == whole.tobytes(), block_samples


@pytest.mark.parametrize(("samples", "block_samples", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (2, 1, [1, 1])])
def test_blocks_have_the_size_asked_for(tmp_path: Path, samples: int, block_samples: int, sizes: list[int]) -> None:
    blocks = everything(AudioFile(written(tmp_path / "a.wav", noise(samples)), block_samples=block_samples))
    assert [len(block.samples) for block in blocks] == sizes
    assert [block.first_sample for block in blocks] == [sum(sizes[:index]) for index in range(len(sizes))]


def test_a_whole_recording_can_be_had_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", noise(10_000), 22_050)
    samples, rate_hz = read_mono(path)
    assert rate_hz == 22_050
    assert samples.tobytes() == joined(path).tobytes()


def test_the_stream_id_is_that_of_the_content(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", noise(100))
    copy = tmp_path / "b.wav"
    copy.write_bytes(path.read_bytes())
    expected = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert AudioFile(path).stream_id == AudioFile(copy).stream_id == expected


def test_closing_twice_is_fine_and_ends_the_source(tmp_path: Path) -> None:
    source = AudioFile(written(tmp_path / "a.wav", noise(100)))
    source.close()
    source.close()
    assert source.ended
    assert source.read(0.0) is None


def test_gaps_noted_beside_the_file_are_given_out_where_they_were(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", noise(10))
    gaps_path(path).write_text(format_gaps([Gap(0, 5), Gap(6, 100), Gap(7, 1), Gap(10, 9)]))
    blocks = everything(AudioFile(path, block_samples=4))
    found = [(block.first_sample, block.lost_samples, len(block.samples)) for block in blocks]
    assert found == [(5, 5, 4), (9, 0, 2), (111, 100, 1), (113, 1, 3)]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**9)), unique_by=lambda gap: gap[0]))
def test_gaps_survive_being_written_and_read(entries: list[tuple[int, int]]) -> None:
    gaps = tuple(Gap(*entry) for entry in sorted(entries))
    assert parse_gaps(format_gaps(gaps), "gaps") == gaps


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a table"),
        ('{"version": 2, "gaps": []}', "version"),
        ('{"version": 1, "gaps": [{"at_sample": 5, "lost_samples": 0}]}', "lost_samples = 0"),
        ('{"version": 1, "gaps": [{"at_sample": 5, "lost_samples": 1}, {"at_sample": 5, "lost_samples": 1}]}', "at_sample = 5"),
        ('{"version": 1, "gaps": [], "more": 1}', "unknown key 'more'"),
    ],
)
def test_a_damaged_list_of_gaps_is_one_clear_error(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path / "a.wav", noise(10))
    gaps_path(path).write_text(text)
    with pytest.raises(SourceError, match=complaint):
        AudioFile(path)


def test_in_real_time_no_block_comes_before_its_last_sample_was_due(tmp_path: Path) -> None:
    now_seconds = 100.0
    waits: list[float] = []

    def wait(seconds: float) -> None:
        nonlocal now_seconds
        waits.append(seconds)
        now_seconds += seconds

    path = written(tmp_path / "a.wav", noise(RATE_HZ))
    source = AudioFile(path, block_samples=8_000, real_time=True, clock=lambda: now_seconds, wait=wait)
    assert source.read(0.2) is None
    assert not source.ended
    assert source.read(0.2) is None
    assert source.read(0.2) is not None
    assert now_seconds == pytest.approx(100.5)
    now_seconds = 105.0
    assert source.read(0.2) is not None, "a late reader gets what is overdue at once"
    assert waits == pytest.approx([0.2, 0.2, 0.1])


def test_a_missing_file_a_folder_and_a_pipe_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        AudioFile(tmp_path / "none.wav")
    with pytest.raises(SourceError, match="is a folder"):
        AudioFile(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="not a regular file"):
        AudioFile(tmp_path / "pipe")


def test_an_empty_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(SourceError, match="is empty"):
        AudioFile(path)


@pytest.mark.parametrize("name", ["notes.txt", "notes.wav"])
def test_a_file_that_is_not_audio_is_named_as_such(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("this is not audio " * 100)
    with pytest.raises(SourceError, match="is not audio that can be read"):
        AudioFile(path)


def test_raw_sound_is_sent_to_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "sound.raw"
    path.write_bytes(bytes(100))
    with pytest.raises(SourceError, match="pipe it in"):
        AudioFile(path)


def test_a_header_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no samples"):
        AudioFile(written(tmp_path / "a.wav", noise(0)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_first_sample_that_is_no_number_is_named_before_any_block(tmp_path: Path, bad: float, channels: int) -> None:
    samples = noise(10_000, channels)
    samples.reshape(10_000, channels)[[5_000, 6_000], -1] = bad
    with pytest.raises(SourceError, match="sample 5000 is"):
        AudioFile(written(tmp_path / "a.wav", samples, subtype="FLOAT"))


@pytest.mark.parametrize("rate_hz", [3_999, 384_001])
def test_rates_that_cannot_be_meant_are_refused(tmp_path: Path, rate_hz: int) -> None:
    with pytest.raises(SourceError, match=f"sampled at {rate_hz} Hz"):
        AudioFile(written(tmp_path / "a.wav", noise(100), rate_hz))


def test_damage_in_the_middle_is_one_clear_error_after_what_was_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", noise(44_100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = AudioFile(path)
    with pytest.raises(SourceError, match="is damaged after sample"):
        everything(source)


def test_a_file_is_not_read_whole_to_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        file.write(noise(100))
        file.seek(30_000_000)
        file.write(noise(100))
    before = bytes_read()
    AudioFile(path).close()
    assert bytes_read() - before < path.stat().st_size / 10


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().splitlines()[0].partition(":")[2])
