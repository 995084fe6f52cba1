import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_detector.edges.microphone import (
    InputDevice,
    Microphone,
    UnseenDeviceError,
    alsa_name,
    choose_device,
    list_devices,
    portaudio,
)
from edge_detector.edges.microphone.portaudio import CONTINUE, INPUT_OVERFLOW
from edge_detector.errors import SourceError, UnknownDeviceError
from edge_detector.types import Block, Float32
from tests.rigs.fake_microphone import DEVICE_NAME, FakeMicrophone

RATE_HZ = 16_000
READ_SECONDS = 10.0
MOST_READS = 2_000


# --- real parts: PulseAudio, ALSA, PortAudio, PyAudio ---------------------------------------------------------------------


@pytest.fixture
def room(microphone: FakeMicrophone, monkeypatch: pytest.MonkeyPatch) -> FakeMicrophone:
    """The only microphone this process, and its children, can see."""
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    return microphone


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
    assert "no sound from it for" in str(lost(source))
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


# --- choosing --------------------------------------------------------------------------------------------------------------

DEVICES = (
    InputDevice(0, "USB PnP Sound Device: Audio (hw:1,0)", 1, 48_000, is_default=False),
    InputDevice(3, "USB Camera: Audio (hw:2,0)", 2, 44_100, is_default=False),
    InputDevice(5, "default", 32, 44_100, is_default=True),
)


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 5), ("default", 5), ("pnp", 0), ("USB Camera: Audio (hw:2,0)", 3), ("3", 3), (3, 3)]
)
def test_a_microphone_is_found_by_name_part_of_it_or_index(wanted: str | int | None, index: int) -> None:
    assert choose_device(DEVICES, wanted).index == index


def test_without_a_default_the_first_one_is_taken() -> None:
    assert choose_device(DEVICES[:2], None).index == 0


def test_a_full_name_fits_the_card_under_its_new_number() -> None:
    assert choose_device(DEVICES, "USB PnP Sound Device: Audio (hw:7,0)").index == 0
    assert (
        choose_device(
            (*DEVICES, replace(DEVICES[0], index=9, name="USB PnP Sound Device: Audio (hw:7,0)")), DEVICES[0].name
        ).index
        == 0
    )
    with pytest.raises(UnknownDeviceError, match="no microphone"):
        choose_device(DEVICES, "Neumann: Audio (hw:1,0)")


@pytest.mark.parametrize(("name", "alsa"), [("USB PnP: Audio (hw:1,0)", "plughw:1,0"), ("default", "default")])
def test_what_portaudio_names_alsa_can_open(name: str, alsa: str) -> None:
    assert alsa_name(name) == alsa


@pytest.mark.parametrize("wanted", ["usb", "AUDIO"])
def test_an_ambiguous_name_lists_those_it_fits(wanted: str) -> None:
    with pytest.raises(UnknownDeviceError, match=r"fits several microphones: 0 'USB PnP[^;]*3 'USB Camera[^;]*;"):
        choose_device(DEVICES, wanted)


@pytest.mark.parametrize("wanted", ["Neumann", "", "1", 1, -1])
def test_what_fits_none_is_refused(wanted: str | int) -> None:
    with pytest.raises(UnknownDeviceError, match="there is no microphone"):
        choose_device(DEVICES, wanted)


def test_no_device_at_all_is_not_an_unknown_one() -> None:
    with pytest.raises(SourceError, match="no microphone was found") as caught:
        choose_device((), "Neumann")
    assert not isinstance(caught.value, UnknownDeviceError)


# --- faults that real parts do not show on command -------------------------------------------------------------------------


class StubSystem:
    """Stands for PortAudio and one stream of it. The test is the callback's caller."""

    def __init__(self, *, rates_hz: tuple[int, ...] = (RATE_HZ,), channels: int = 2) -> None:
        self.rates_hz = rates_hz
        self.devices = (InputDevice(0, "stub", channels, 48_000, is_default=True),)
        self.now_seconds = 0.0
        self.active = True
        self.opened: dict[str, object] = {}
        self.closed: list[str] = []

    def microphone(self, **options: object) -> Microphone:
        return Microphone(
            list_devices=lambda: self.devices,
            open_portaudio=lambda: self,
            clock=lambda: self.now_seconds,
            **options,  # type: ignore[arg-type]  # each test passes one of the constructor's own
        )

    def deliver(self, samples: list[int], flags: int = 0) -> object:
        callback = self.opened["stream_callback"]
        assert callable(callback)
        return callback(np.array(samples, "<i2").tobytes(), len(samples), {}, flags)

    def get_device_count(self) -> int:
        return 1

    def get_device_info_by_index(self, device_index: int) -> Mapping[str, object]:
        device = self.devices[device_index]
        return {"name": device.name, "maxInputChannels": device.max_channels, "defaultSampleRate": 48_000.0}

    def get_default_input_device_info(self) -> Mapping[str, object]:
        raise OSError("No Default Input Device Available")

    def open(self, rate: int, channels: int, format: int, **options: object) -> "StubSystem":  # noqa: A002 - PyAudio's name for it
        if rate not in self.rates_hz:
            raise OSError(-9997, "Invalid sample rate")
        self.opened = options | {"rate": rate, "channels": channels, "format": format}
        return self

    def is_format_supported(self, rate: float, **_: object) -> bool:
        return rate in self.rates_hz

    def is_active(self) -> bool:
        return self.active

    def close(self) -> None:
        self.closed.append("stream")

    def terminate(self) -> None:
        self.closed.append("portaudio")


@pytest.fixture
def system() -> StubSystem:
    return StubSystem()


def test_an_overflow_flag_is_a_gap_of_at_least_one_sample(system: StubSystem) -> None:
    source = system.microphone()
    assert system.deliver([1, 2]) == (None, CONTINUE)
    system.deliver([3], flags=INPUT_OVERFLOW)
    first, second = source.read(0.0), source.read(0.0)
    assert first is not None
    assert second is not None
    assert (first.first_sample, first.lost_samples) == (0, 0)
    assert (second.first_sample, second.lost_samples) == (3, 1)
    assert source.overflows == 1


def test_a_slow_reader_loses_the_oldest_sound_and_is_told(system: StubSystem) -> None:
    source = system.microphone(ring_seconds=10 / RATE_HZ)
    for value in range(5):
        system.deliver([value] * 4)
    block = source.read(0.0)
    assert block is not None
    assert (block.first_sample, block.lost_samples) == (12, 12)
    assert block.samples[0] == np.float32(3 / 32_768)
    assert source.waiting_seconds == 4 / RATE_HZ


def test_the_channel_asked_for_is_listened_to(system: StubSystem) -> None:
    source = system.microphone(channel=1)
    system.deliver([1, -100, 2, -200])
    block = source.read(0.0)
    assert block is not None
    assert (block.samples * 32_768).tolist() == [-100.0, -200.0]
    assert system.opened["channels"] == 2


def test_a_device_that_cannot_do_16_khz_is_opened_at_its_own_rate() -> None:
    system = StubSystem(rates_hz=(48_000,))
    assert system.microphone().rate_hz == 48_000
    assert system.opened["frames_per_buffer"] == 1_440


def test_a_device_that_cannot_be_opened_at_all_says_why_and_is_let_go() -> None:
    system = StubSystem(rates_hz=())
    with pytest.raises(SourceError, match=r"'stub' cannot be opened at 16000 or 48000 Hz: .*Invalid sample rate"):
        system.microphone()
    assert system.closed == ["portaudio"]


def test_a_stream_that_stays_active_without_callbacks_is_lost_after_the_stall_time(system: StubSystem) -> None:
    source = system.microphone(stall_seconds=2.0)
    system.now_seconds = 1.0
    system.deliver([1])
    system.now_seconds = 4.0
    assert source.read(0.0) is not None, "what was captured is heard first"
    with pytest.raises(SourceError, match=r"'stub' was lost: no sound from it for 3\.0 s"):
        source.read(0.0)


def test_a_stream_that_ends_is_lost_once_everything_was_heard(system: StubSystem) -> None:
    source = system.microphone()
    system.deliver([1])
    system.active = False
    assert source.read(0.0) is not None
    with pytest.raises(SourceError, match="was lost: its stream has ended"):
        source.read(0.0)


def test_a_quiet_moment_is_no_loss(system: StubSystem) -> None:
    assert system.microphone().read(0.0) is None


def test_closing_wakes_a_reader_lets_the_device_go_and_may_be_repeated(system: StubSystem) -> None:
    source = system.microphone()
    found: list[Block | None] = []
    reader = threading.Thread(target=lambda: found.append(source.read(READ_SECONDS)))
    reader.start()
    source.close()
    source.close()
    reader.join(READ_SECONDS)
    assert found == [None]
    assert source.ended
    assert system.closed == ["stream", "portaudio"]
