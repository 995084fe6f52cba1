"""Recording a room: from a microphone, a recording and a pipe, until the time is over, Ctrl-C or a full disk."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from numpy.typing import NDArray

from edge_detector.teaching.sounds import halve_background
from tests.support.disks import SMALL_DISK_BYTES, small_disk
from tests.support.fake_microphone import FakeMicrophone
from tests.support.terminal import INTERRUPT, Dialogue

RATE_HZ = 16_000
DEADLINE_SECONDS = 60.0


def room(seconds: float, level: float = 0.02) -> NDArray[np.int16]:
    noise = np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ)) * level
    return np.asarray(np.clip(np.rint(noise * 32_768), -32_768, 32_767), np.int16)


def recording(folder: Path, samples: NDArray[np.int16]) -> Path:
    path = folder / "recording.wav"
    soundfile.write(path, samples, RATE_HZ)
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edge_detector", "record", "--background", *map(str, arguments)]


def record(*arguments: object, sound: bytes | None = None, folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments), capture_output=True, timeout=DEADLINE_SECONDS, check=False, input=sound, cwd=folder
    )


def files(sounds: Path) -> list[Path]:
    return sorted((sounds / "background").iterdir())


def test_a_room_is_kept_in_pieces_of_a_minute_and_teach_reads_them(tmp_path: Path) -> None:
    samples = room(150.0)
    result = record(2.25, recording(tmp_path, samples), "-o", tmp_path / "sounds")
    assert result.returncode == 0, result.stderr
    paths = files(tmp_path / "sounds")
    assert [path.name for path in paths] == ["background_001.wav", "background_002.wav", "background_003.wav"]
    kept = [soundfile.read(path, dtype="int16") for path in paths]
    assert {rate_hz for _, rate_hz in kept} == {RATE_HZ}
    assert [len(found) for found, _ in kept] == [60 * RATE_HZ, 60 * RATE_HZ, 15 * RATE_HZ]
    assert np.array_equal(np.concatenate([found for found, _ in kept]), samples[: 135 * RATE_HZ])
    assert f"{tmp_path / 'sounds' / 'background'}: 2:15 of 2:15\n" in result.stdout.decode()
    training, thresholds = halve_background([tmp_path / "sounds" / "background"])
    # The two whole minutes are halved, and the short one is the third, so all of it is to train on.
    assert sum(map(len, training)) == 75 * RATE_HZ
    assert sum(map(len, thresholds)) == 60 * RATE_HZ


def test_what_is_there_stays_and_new_recordings_are_numbered_on(tmp_path: Path) -> None:
    samples = room(3.0)
    for _ in range(2):
        assert record(0.05, "-", "-o", tmp_path, sound=samples.astype("<i2").tobytes()).returncode == 0
    assert [path.name for path in files(tmp_path)] == ["background_001.wav", "background_002.wav"]


def test_a_microphone_is_recorded_for_the_time_asked_for(microphone: FakeMicrophone, tmp_path: Path) -> None:
    microphone.play(room(60.0).astype("<i2").tobytes(), latency_milliseconds=500)
    environment = {**os.environ, **microphone.environment}
    with subprocess.Popen(command(0.1, "-o", tmp_path, "--json"), stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        listening, piece, summary = map(json.loads, process.stdout.read().splitlines())
    assert process.returncode == 0
    assert listening == {"type": "listening", "label": "background"}
    (path,) = files(tmp_path)
    assert (piece["kept"], piece["path"], piece["seconds"]) == (True, str(path), 6.0)
    assert (summary["kept"], summary["not_kept"], summary["seconds"]) == (1, {}, 6.0)
    assert len(soundfile.read(path)[0]) == 6 * RATE_HZ


def test_ctrl_c_keeps_what_was_recorded_and_says_how_much(microphone: FakeMicrophone, tmp_path: Path) -> None:
    microphone.play(room(60.0).astype("<i2").tobytes(), latency_milliseconds=500)
    with Dialogue(command(10, "-o", tmp_path), environment=microphone.environment) as terminal:
        terminal.expect("make none of your sounds")
        terminal.expect("0:03 of 10:00, 9:57 left")
        terminal.type(INTERRUPT)
        code, shown = terminal.finish()
    assert code == 0, shown
    (path,) = files(tmp_path)
    seconds = len(soundfile.read(path)[0]) / RATE_HZ
    assert seconds >= 2.5
    # The path may be as long as the terminal is wide.
    *_, kept = re.findall(r": 0:(\d\d) of 10:00(?!,)", " ".join(shown.split()))
    assert int(kept) == pytest.approx(seconds, abs=1.0)


def test_a_muted_microphone_is_an_error_and_leaves_no_recording(tmp_path: Path) -> None:
    result = record(0.5, recording(tmp_path, np.zeros(30 * RATE_HZ, np.int16)), "-o", tmp_path)
    assert result.returncode == 1
    assert "no sound, digital silence: the microphone is muted" in result.stdout.decode(), "said while it runs"
    assert "was kept: digital silence: the microphone is muted" in result.stderr.decode()
    assert files(tmp_path) == []


def test_a_minute_that_is_clipped_is_left_out_and_the_others_are_kept(tmp_path: Path) -> None:
    samples = np.concatenate([room(60.0), room(60.0, 4.0), room(30.0)])
    result = record(3, recording(tmp_path, samples), "-o", tmp_path)
    assert result.returncode == 0
    said = result.stdout.decode()
    assert "60 s not kept, clipped: go further away, or turn the microphone down" in said
    assert "1:30 of 3:00, 1 recordings not kept" in said
    assert [len(soundfile.read(path)[0]) for path in files(tmp_path)] == [60 * RATE_HZ, 30 * RATE_HZ]


def test_a_full_disk_ends_it_and_the_minutes_before_stay(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        assert 2 * RATE_HZ * 60 > SMALL_DISK_BYTES, "a minute does not fit"
        assert record(0.1, recording(tmp_path, room(150.0)), "-o", tmp_path / "disk").returncode == 0
        result = record(2, tmp_path / "recording.wav", "-o", tmp_path / "disk")
        assert result.returncode == 1
        assert "cannot be written: No space left on device" in result.stderr.decode()
        assert "0:00 of 2:00" in result.stdout.decode()
        assert [path.name for path in files(tmp_path / "disk")] == ["background_001.wav"]


def test_the_memory_does_not_grow_with_the_minutes(tmp_path: Path) -> None:
    """The peak of five minutes is that of two, for which one minute is written while another comes in."""
    minutes = {}
    for count in (2, 5):
        path = recording(tmp_path, room(60.0 * count))
        with subprocess.Popen(command(count, path, "-o", tmp_path / str(count)), stdout=subprocess.DEVNULL) as process:
            watched, peak = psutil.Process(process.pid), 0
            while process.poll() is None:
                with watched.oneshot():
                    if watched.status() != psutil.STATUS_ZOMBIE:
                        peak = max(peak, watched.memory_info().rss)
        assert process.returncode == 0
        minutes[count] = peak
    assert minutes[5] < minutes[2] + 8_000_000


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("1", "beep", "-o", "."), "'beep' is neither a file nor another source, and --background takes no LABEL"),
        (("1", "beep", "mic", "-o", "."), "--background takes no LABEL; leave 'beep' out"),
        (("1", "-o", ".", "--count", "3"), "--count is for clips of a sound"),
        (("1", "-o", ".", "--press-enter"), "--press-enter is for clips of a sound"),
        (("0.001", "-o", "."), "is too short; give minutes: 10"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: Sequence[str], what: str, tmp_path: Path) -> None:
    result = record(*arguments, folder=tmp_path)
    assert result.returncode == 2
    message = result.stderr.decode()
    assert what in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
