"""A microphone as a source: which one is meant, and the faults that real parts do not show on command."""

import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from edge_detector.audio.microphone import InputDevice, Microphone, alsa_name, choose_device
from edge_detector.audio.microphone.portaudio import CONTINUE, INPUT_OVERFLOW
from edge_detector.errors import SourceError, UnknownDeviceError
from edge_detector.types import Block

RATE_HZ = 16_000
READ_SECONDS = 10.0

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


def test_a_slow_reader_loses_a_hop_of_the_oldest_sound_and_is_told(system: StubSystem) -> None:
    source = system.microphone(ring_seconds=2.0)
    block_samples, hop_samples = RATE_HZ * 3 // 100, RATE_HZ * 96 // 100
    for value in range(2 * RATE_HZ // block_samples + 1):
        system.deliver([value] * block_samples)
    block = source.read(0.0)
    assert block is not None
    assert (block.first_sample, block.lost_samples) == (hop_samples, hop_samples)
    assert block.samples[0] == np.float32(hop_samples // block_samples / 32_768)


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
    with pytest.raises(SourceError, match=r"'stub' was lost: no sound for 3\.0 s"):
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
