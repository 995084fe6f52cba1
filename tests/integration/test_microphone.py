"""A microphone as a source, with real parts: PulseAudio, ALSA, PortAudio, PyAudio."""

import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_detector.audio.microphone import Microphone, UnseenDeviceError, list_devices, portaudio
from edge_detector.errors import SourceError, UnknownDeviceError
from edge_detector.types import Block, Float32
from tests.support.fake_microphone import DEVICE_NAME, FakeMicrophone

RATE_HZ = 16_000
READ_SECONDS = 10.0
MOST_READS = 2_000


def heard(source: Microphone, sounding_samples: int) -> tuple[Float32, list[Block]]:
    """All samples until that many of them were not silent, checked for holes."""
    blocks: list[Block] = []
    position = 0
    for _ in range(MOST_READS):
        block = source.read(READ_SECONDS)
        assert block is not None, f"nothing within {READ_SECONDS} s"
        assert block.first_sample == position + block.lost_samples
        position = block.first_sample + len(block.samples)
        blocks.append(block)
        samples = np.concatenate([block.samples for block in blocks])
        if np.count_nonzero(samples) >= sounding_samples:
            return samples, blocks
    raise AssertionError("never enough")


def lost(source: Microphone) -> SourceError:
    """The error that ends the source."""

    def listen() -> None:
        for _ in range(MOST_READS):
            source.read(READ_SECONDS)

    with pytest.raises(SourceError) as caught:
        listen()
    return caught.value


def test_every_sample_played_in_the_room_arrives_exactly_and_in_order(room: FakeMicrophone) -> None:
    ramp = (np.arange(2 * RATE_HZ) % 32_767 + 1).astype("<i2")
    with closing(Microphone(stall_seconds=READ_SECONDS)) as source:
        assert source.rate_hz == RATE_HZ
        assert source.live
        room.play(ramp.tobytes(), latency_milliseconds=500)
        samples, blocks = heard(source, len(ramp))
    assert samples.dtype == np.float32
    start = int(np.flatnonzero(samples)[0])
    expected = ramp.astype(np.float32) / np.float32(32_768)
    assert samples[start : start + len(ramp)].tobytes() == expected.tobytes()
    assert sum(block.lost_samples for block in blocks) == 0
    assert source.overflows == 0


def test_the_microphones_are_listed_with_the_default_marked(room: FakeMicrophone) -> None:
    assert room.environment["ALSA_CONFIG_PATH"] == os.environ["ALSA_CONFIG_PATH"]
    devices = list_devices()
    assert DEVICE_NAME in [device.name for device in devices]
    assert [device.name for device in devices if device.is_default] == ["default"]
    assert all(device.max_channels > 0 for device in devices)


@pytest.mark.usefixtures("room")
def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UnknownDeviceError, match=rf"no microphone 'Neumann'; there are: .*'{DEVICE_NAME}'") as caught:
        Microphone("Neumann")
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("room")
def test_a_channel_the_device_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownDeviceError, match="no channel 99"):
        Microphone(DEVICE_NAME, channel=99)


def test_a_microphone_that_vanishes_without_a_word_is_noticed_and_can_be_opened_again(room: FakeMicrophone) -> None:
    with closing(Microphone(DEVICE_NAME, stall_seconds=1.0)) as source:
        assert source.read(READ_SECONDS) is not None
        room.unplug()
        assert DEVICE_NAME in str(lost(source))
    with pytest.raises(SourceError, match="cannot be opened"):
        Microphone(DEVICE_NAME)
    room.plug()
    with closing(Microphone(DEVICE_NAME, stall_seconds=READ_SECONDS)) as again:
        block = again.read(READ_SECONDS)
        assert block is not None
        assert block.first_sample == 0
        assert again.stream_id != source.stream_id


def test_a_sound_system_that_crashes_is_noticed_and_then_there_is_no_microphone(room: FakeMicrophone) -> None:
    with closing(Microphone(stall_seconds=1.0)) as source:
        source.read(READ_SECONDS)
        room.crash()
        assert "was lost" in str(lost(source))
    with pytest.raises(SourceError, match="no microphone was found") as caught:
        Microphone()
    assert caught.value.exit_code == 1
    room.start()
    with closing(Microphone(stall_seconds=READ_SECONDS)) as again:
        assert again.read(READ_SECONDS) is not None


def test_a_sound_system_that_hangs_is_noticed_and_does_not_hang_the_one_who_closes(room: FakeMicrophone) -> None:
    source = Microphone(stall_seconds=1.0)
    source.read(READ_SECONDS)
    room.freeze()
    assert "no sound for" in str(lost(source))
    source.close()
    source.close()
    assert source.ended
    room.thaw()
    for thread in threading.enumerate():
        if thread.name.startswith("release"):
            thread.join(READ_SECONDS)
            assert not thread.is_alive()


def test_a_microphone_that_comes_while_another_is_open_is_never_mistaken_for_another_one(
    room: FakeMicrophone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeMicrophone() as other:
        config = Path(room.environment["ALSA_CONFIG_PATH"]).read_text()
        second = Path(other.environment["ALSA_CONFIG_PATH"]).read_text().splitlines()[2].replace("pcm.fakemic", "pcm.second")
        both = tmp_path / "asound.conf"
        both.write_text(f"{config}\n{second}\n")
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(both))
        other.crash()
        with closing(Microphone(DEVICE_NAME)) as source:
            assert "second" not in [device.name for device in list_devices()]
            other.start()
            assert "second" in [device.name for device in list_devices()]
            with pytest.raises(UnseenDeviceError, match="plugged in after another one was opened") as caught:
                Microphone("second")
            assert caught.value.alsa_device == "second"
            assert source.read(READ_SECONDS) is not None, "the one that was open goes on"
        with closing(Microphone("second")) as source:
            assert source.read(READ_SECONDS) is not None


def test_what_is_said_while_an_opening_hangs_is_not_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with portaudio.quiet_sound_libraries():
        os.write(2, b"ALSA lib: noise\nthe service says something\n")
        said = ""
        while not said:
            said = capfd.readouterr().err
        assert said == "the service says something\n"


@pytest.mark.usefixtures("room")
def test_the_chatter_of_the_sound_libraries_is_held_back_and_other_messages_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    def open_and_warn() -> portaudio.PortAudio:
        os.write(2, b"a message of ours\n")
        return portaudio.open_portaudio()

    Microphone(open_portaudio=open_and_warn).close()
    assert capfd.readouterr().err == "a message of ours\n"


def test_a_configuration_that_makes_portaudio_abort_is_an_error_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "asound.conf"
    config.write_text("pcm.lonely { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    try:
        devices = list_devices()
    except SourceError as error:
        assert "PortAudio fails" in str(error)  # noqa: PT017 - newer PortAudio no longer aborts
    else:
        assert isinstance(devices, tuple)


def test_without_pyaudio_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(SourceError, match=r"pip install 'edge-detector\[mic\]'"):
        list_devices()


def test_a_sound_system_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(SourceError, match="did not list its devices"):
        list_devices()
