"""A recording is heard to its end or said not to be: cut, damaged, joined, streamed, in containers of telephones."""

import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_detector.audio.file import AudioFile, read_mono
from edge_detector.errors import SourceError
from edge_detector.types import Float32

RATE_HZ = 16_000
SECONDS = 4
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def noise() -> Float32:
    return np.random.default_rng(3).uniform(-0.5, 0.5, SECONDS * RATE_HZ).astype(np.float32)


def written(path: Path, **how: str) -> Path:
    soundfile.write(path, noise(), RATE_HZ, **how)
    return path


def ffmpeg(*arguments: str | Path) -> bytes:
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout


def heard(source: AudioFile) -> int:
    count = 0
    with closing(source):
        while (block := source.read(0.0)) is not None:
            count += len(block.samples)
        assert source.ended
    return count


@needs_ffmpeg
def test_flac_that_was_streamed_and_does_not_know_its_length_is_heard_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "streamed.flac"
    path.write_bytes(ffmpeg("-i", written(tmp_path / "a.wav"), "-f", "flac", "-"))
    source = AudioFile(path)
    assert (heard(source), source.warnings) == (len(noise()), ())


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.aiff"])
def test_recordings_that_were_joined_are_read_on(tmp_path: Path, name: str) -> None:
    how = {"format": "OGG", "subtype": "OPUS"} if name.endswith("opus") else {}
    path = written(tmp_path / name, **how)
    once = heard(AudioFile(path))
    path.write_bytes(path.read_bytes() * 3)
    assert heard(AudioFile(path)) == 3 * once


def test_joined_recordings_of_two_rates_are_told_where_the_second_begins(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac")
    soundfile.write(tmp_path / "b.flac", noise(), 44_100)
    path.write_bytes(path.read_bytes() + (tmp_path / "b.flac").read_bytes())
    with pytest.raises(SourceError, match=f"continues at 44100 Hz after sample {len(noise())}"):
        heard(AudioFile(path))


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.rf64", "a.ogg", "a.mp3"])
def test_a_recording_that_was_cut_is_heard_with_a_warning_and_not_learnt_from(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name)
    assert AudioFile(path).warnings == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source = AudioFile(path)
    assert 0 < heard(source) < len(noise())
    assert "is truncated: its end is missing" in source.warnings[0]
    with pytest.raises(SourceError, match="is truncated"):
        read_mono(path)


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
def test_a_size_that_was_not_known_when_the_header_was_written_is_no_cut(tmp_path: Path, size: int) -> None:
    path = written(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[40:44] = content[4:8] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert AudioFile(path).warnings == ()


@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.mp3", "a.flac"])
def test_damage_in_the_middle_is_an_error_after_what_can_be_decoded(tmp_path: Path, name: str) -> None:
    how = {"format": "OGG", "subtype": "OPUS"} if name.endswith("opus") else {}
    path = written(tmp_path / name, **how)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4_096] = bytes(4_096)
    path.write_bytes(content)
    source = AudioFile(path)
    assert source.read(0.0) is not None
    with pytest.raises(SourceError, match="is damaged"):
        heard(source)


def test_the_decoder_of_mp3_says_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.mp3")
    content = bytearray(path.read_bytes())
    content[8_000:12_000] = bytes(4_000)
    path.write_bytes(content)
    with pytest.raises(SourceError):
        heard(AudioFile(path))
    assert capfd.readouterr().err == ""


@needs_ffmpeg
def test_mp3_of_a_variable_bit_rate_is_decoded_as_ffmpeg_does(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    ffmpeg("-i", written(tmp_path / "a.wav"), "-q:a", "5", path)
    theirs = np.frombuffer(ffmpeg("-i", path, "-f", "f32le", "-"), np.float32)
    ours = read_mono(path)[0]
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs).max() < 1e-4


@needs_ffmpeg
@pytest.mark.parametrize("name", ["phone.m4a", "browser.webm", "M4A without an ending"])
def test_what_telephones_and_browsers_record_is_decoded_by_ffmpeg(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    ffmpeg("-i", written(tmp_path / "a.wav"), *([] if path.suffix else ["-f", "mp4", "-c:a", "aac"]), path)
    assert heard(AudioFile(path)) == pytest.approx(len(noise()), abs=2_048)


def test_without_ffmpeg_the_command_that_converts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "phone.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"apt-get install ffmpeg, or convert it .*: ffmpeg -i phone.m4a phone.wav"):
        AudioFile(path)


@needs_ffmpeg
def test_a_playlist_under_another_name_opens_no_file(tmp_path: Path) -> None:
    path = tmp_path / "list.m4a"
    path.write_text(f"#EXTM3U\n#EXTINF:5,\n{written(tmp_path / 'a.wav')}\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceError, match="is not audio that can be read"):
        AudioFile(path)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("bad", [8.5, -1e4, 1e30])
def test_floats_far_beyond_full_scale_are_refused_before_any_block(tmp_path: Path, subtype: str, bad: float) -> None:
    samples = noise()
    samples[5_000] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype=subtype)
    with pytest.raises(SourceError, match=r"sample 5000 is .*, not a number between -1 and 1; export the recording again"):
        AudioFile(tmp_path / "a.wav")


def test_floats_a_little_beyond_full_scale_are_clipped_and_it_is_said(tmp_path: Path) -> None:
    samples = noise()
    samples[:1_000] = 7.5
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    source = AudioFile(tmp_path / "a.wav")
    assert "1000 of its samples exceed full scale" in source.warnings[0]
    block = source.read(0.0)
    assert block is not None
    assert block.samples.max() == 1.0
    assert source.clipped_samples == 1_000


def test_channels_that_are_each_other_upside_down_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([noise(), -noise()], axis=1), RATE_HZ)
    source = AudioFile(path)
    heard(source)
    assert "cancel each other out" in source.warnings[0]
    with pytest.raises(SourceError, match="cancel each other out"):
        read_mono(path)


def test_a_name_may_be_any_bytes(tmp_path: Path) -> None:
    path = Path(str(tmp_path) + "/caf\udce9.wav")
    written(tmp_path / "a.wav").rename(path)
    assert heard(AudioFile(path)) == len(noise())
