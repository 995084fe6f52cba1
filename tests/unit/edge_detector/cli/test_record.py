"""Collecting clips: from a microphone, a recording and a pipe, on a terminal and off it."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_detector.audio.clips import find_clips
from tests.support.fake_microphone import FakeMicrophone

RATE_HZ = 16_000
DEADLINE_SECONDS = 60.0


def sound(*parts: tuple[float, float]) -> NDArray[np.int16]:
    """Noise for so many seconds at such a level in dBFS, one part after the other."""
    rng = np.random.default_rng(0)
    pieces = [rng.standard_normal(round(seconds * RATE_HZ)) * 10.0 ** (level / 20.0) for seconds, level in parts]
    return np.asarray(np.clip(np.rint(np.concatenate(pieces) * 32_768), -32_768, 32_767), np.int16)


TWO_SOUNDS = sound((3.0, -60.0), (1.0, -20.0), (4.0, -60.0), (1.0, -14.0), (4.0, -60.0))


def recording(folder: Path, samples: NDArray[np.int16] = TWO_SOUNDS) -> Path:
    path = folder / "recording.wav"
    soundfile.write(path, samples, RATE_HZ)
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edge_detector", "record", *map(str, arguments)]


def record(*arguments: object, **more: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: ANN401 - what a process takes
    return subprocess.run(command(*arguments), capture_output=True, timeout=DEADLINE_SECONDS, check=False, **more)


@contextmanager
def recording_from(microphone: FakeMicrophone, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """`record` with --json, once it listens."""
    environment = {**os.environ, **microphone.environment}
    with subprocess.Popen(command(*arguments, "--json"), stdout=subprocess.PIPE, env=environment) as process:
        assert json.loads(output(process).readline()) == {"type": "listening", "label": "beep"}
        yield process


def output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def test_the_sounds_in_a_microphone_become_clips_sample_by_sample(microphone: FakeMicrophone, tmp_path: Path) -> None:
    with recording_from(microphone, "beep", "-o", tmp_path, "--seconds", 2, "--count", 2) as process:
        microphone.play(TWO_SOUNDS.astype("<i2").tobytes(), latency_milliseconds=500)
        *clips, summary = map(json.loads, output(process).read().splitlines())
    assert process.returncode == 0
    facts = {"label": "beep", "folder": str(tmp_path / "beep"), "kept": 2, "not_kept": {}, "seconds": 4.0}
    assert summary == {"type": "summary", **facts}
    assert [clip["path"] for clip in clips] == [str(tmp_path / "beep" / f"beep_00{number}.wav") for number in (1, 2)]
    for clip in clips:
        assert soundfile.info(clip["path"]).subtype == "PCM_16"
        samples, rate_hz = soundfile.read(clip["path"], dtype="int16")
        assert rate_hz == RATE_HZ
        assert len(samples) == 2 * RATE_HZ
        assert samples.tobytes() in TWO_SOUNDS.tobytes()


@pytest.mark.parametrize(
    ("label", "slug"), [("dog_bark", "dog_bark"), ("Door bell", "door_bell"), ("Küchenuhr (neu) [2]", "kuchenuhr_neu_2")]
)
def test_teach_finds_the_clips_of_any_label(tmp_path: Path, label: str, slug: str) -> None:
    for _ in range(2):
        assert record(label, recording(tmp_path), "-o", tmp_path / "sounds", "--seconds", 2, "--count", 1).returncode == 0
    assert [clip.label for clip in find_clips(tmp_path / "sounds")] == [slug, slug]


def test_clips_that_are_there_stay_and_new_ones_are_numbered_on(tmp_path: Path) -> None:
    folder = tmp_path / "sounds" / "beep"
    folder.mkdir(parents=True)
    (folder / "beep_007.ogg").write_bytes(b"mine")
    (folder / "other.wav").write_bytes(b"mine too")
    result = record("beep", recording(tmp_path), "-o", tmp_path / "sounds", "--seconds", 2)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["beep_007.ogg", "beep_008.wav", "beep_009.wav", "other.wav"]
    assert (folder / "beep_007.ogg").read_bytes() == b"mine"


def test_it_stops_when_there_are_enough(tmp_path: Path) -> None:
    result = record("beep", recording(tmp_path), "-o", tmp_path, "--seconds", 2, "--count", 1)
    assert f"clips of beep in {tmp_path / 'beep'}: 1\n" in result.stdout.decode()
    assert [path.name for path in (tmp_path / "beep").iterdir()] == ["beep_001.wav"]


def test_a_pipe_of_raw_samples_gives_the_same_clips_as_a_file(tmp_path: Path) -> None:
    record("beep", recording(tmp_path), "-o", tmp_path / "file", "--seconds", 2)
    record("beep", "-", "-o", tmp_path / "pipe", "--seconds", 2, input=TWO_SOUNDS.astype("<i2").tobytes())
    for name in ("beep_001.wav", "beep_002.wav"):
        assert (tmp_path / "file" / "beep" / name).read_bytes() == (tmp_path / "pipe" / "beep" / name).read_bytes()


def test_what_is_clipped_or_too_quiet_is_said_and_not_kept(tmp_path: Path) -> None:
    samples = sound((3.0, -75.0), (1.0, 10.0), (4.0, -75.0), (1.0, -57.0), (4.0, -75.0), (1.0, -20.0), (4.0, -75.0))
    result = record("beep", recording(tmp_path, samples), "-o", tmp_path, "--seconds", 2)
    said = result.stdout.decode()
    assert "not kept, clipped: go further away" in said
    assert "not kept, too quiet: go nearer" in said
    assert "beep: 1, 2 not kept" in said
    assert [path.name for path in (tmp_path / "beep").iterdir()] == ["beep_001.wav"]


def test_interrupted_it_keeps_whole_clips_and_says_what_was_collected(microphone: FakeMicrophone, tmp_path: Path) -> None:
    with recording_from(microphone, "beep", "-o", tmp_path, "--seconds", 2) as process:
        microphone.play(np.tile(TWO_SOUNDS, 3).astype("<i2").tobytes(), latency_milliseconds=500)
        assert json.loads(output(process).readline())["kept"]
        process.send_signal(signal.SIGINT)
        *others, summary = map(json.loads, output(process).read().splitlines())
    assert process.returncode == 0
    assert summary["kept"] == 1 + len(others)
    paths = list((tmp_path / "beep").iterdir())
    assert len(paths) == summary["kept"]
    assert all(len(soundfile.read(path)[0]) == 2 * RATE_HZ for path in paths)


def test_enter_begins_a_clip_of_a_sound_that_is_there_all_the_time(microphone: FakeMicrophone, tmp_path: Path) -> None:
    microphone.play(sound((60.0, -30.0)).astype("<i2").tobytes(), latency_milliseconds=500)
    terminal, its_end = pty.openpty()
    environment = {**os.environ, **microphone.environment}
    options = ("fan", "-o", tmp_path, "--seconds", 1, "--count", 1, "--press-enter")
    with subprocess.Popen(command(*options), stdin=its_end, stdout=its_end, stderr=its_end, env=environment) as process:
        os.close(its_end)
        shown = b""
        # The sound has arrived once the live line shows its level.
        while b" -30." not in shown and b" -29." not in shown:
            shown += os.read(terminal, 4_096)
        os.write(terminal, b"\n")
        while b"clips of fan" not in shown:
            shown += os.read(terminal, 4_096)
    os.close(terminal)
    assert process.returncode == 0, shown
    assert b"when you press Enter" in shown
    assert b"recording 0." in shown
    (path,) = (tmp_path / "fan").iterdir()
    assert np.abs(soundfile.read(path)[0][-8_000:]).max() > 0.03


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("...", "-o", "."), 2, "cannot be a label"),
        (("!", "-o", "."), 2, "cannot be a label"),
        (("two\nlines", "-o", "."), 2, "cannot be a label"),
        (("../beep", "-o", "."), 2, "cannot be a label"),
        (("beep", "-o", ".", "--seconds", "0.5"), 2, "is too short"),
        (("-o", "."), 2, "needs the LABEL of the sound, or --background MINUTES"),
        (("Background", "-o", "."), 2, "the folder background is kept for the room"),
        (("Not", "-o", "."), 2, "the folder not is kept for wrong detections"),
        (("時計", "-o", "."), 2, "cannot be a label"),
        (("beep", "-o", ".", "--press-enter"), 2, "needs a terminal"),
        (("beep", "-o", "/proc"), 1, "no clips can be kept in /proc/beep"),
        (("beep", "nothing.wav", "-o", "."), 1, "nothing.wav"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: Sequence[str], code: int, what: str, tmp_path: Path) -> None:
    result = record(*arguments, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert result.returncode == code
    message = result.stderr.decode()
    assert what in message
    assert message.count("\n") == 1


def test_a_recording_in_which_nothing_stands_out_is_an_error(tmp_path: Path) -> None:
    result = record("beep", recording(tmp_path, sound((8.0, -30.0))), "-o", tmp_path)
    assert result.returncode == 1
    assert b"give a lower --louder-by" in result.stderr
