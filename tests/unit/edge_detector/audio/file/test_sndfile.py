"""FLAC files: what is written is what is read, and what the disk says is raised."""

import errno
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_detector.audio.file.sndfile import FlacWriter
from tests.support.clips import noise
from tests.support.disks import fill, small_disk


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000, 192_000])
def test_a_flac_file_has_the_samples_the_length_and_the_tags(tmp_path: Path, rate_hz: int) -> None:
    path, samples = tmp_path / "sound.flac", noise(1.0, rate_hz=rate_hz)
    with path.open("w+b", buffering=0) as file:
        writer = FlacWriter(file, rate_hz, {"title": "Baby crying", "comment": "näher"})
        for part in np.array_split(samples, 7):
            writer.write(part)
        writer.close()
    with soundfile.SoundFile(path) as found:
        assert (found.samplerate, found.subtype, found.frames) == (rate_hz, "PCM_16", len(samples))
        assert (found.title, found.comment) == ("Baby crying", "näher")
        assert np.array_equal(found.read(dtype="int16"), samples)


def test_a_full_disk_is_an_error_of_the_writer_and_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path / "disk"):
        path = tmp_path / "disk" / "sound.flac"
        with path.open("w+b", buffering=0) as file:
            writer = FlacWriter(file, 16_000, {})
            fill(tmp_path / "disk")
            with pytest.raises(OSError, match="No space left") as caught:
                writer.write(noise(60.0))
            with pytest.raises(OSError, match="No space left"):
                writer.close()
    assert caught.value.errno == errno.ENOSPC
    assert capfd.readouterr() == ("", "")
