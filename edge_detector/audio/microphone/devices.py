"""Names and selection of microphones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_detector.errors import SourceError, UnknownDeviceError

_CARD = re.compile(r" \((hw:\d+,\d+)\)$")
"""Suffix of PortAudio's name of a sound card's device; the first number changes with the order of plugging in."""


class PyAudioMissingError(SourceError):
    """PyAudio, or the PortAudio library below it, is not installed."""


class UnseenDeviceError(SourceError):
    """The microphone exists, but PortAudio in this process cannot detect it until all other microphones are closed.

    Attributes:
        alsa_device: its ALSA name, for use by another program.

    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the microphone {name!r} was plugged in after another one was opened, and PortAudio cannot detect it while that "
            f'is open; set kind = "arecord", device = {alsa_name(name)!r} for it'
        )
        self.alsa_device = alsa_name(name)


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A microphone as listed by PortAudio. Only the name is stable; the index changes when devices come and go."""

    index: int
    name: str
    max_channels: int
    default_rate_hz: int
    is_default: bool


def choose_device(devices: Sequence[InputDevice], wanted: str | int | None) -> InputDevice:
    """Find the microphone by name, by a unique part of it in any case, or by index; None finds the default one.

    A full name also fits if the card's number has changed, as after replugging.

    Raises:
        SourceError: there is no microphone.
        UnknownDeviceError: no microphone fits, or several do.

    """
    if not devices:
        raise SourceError("no microphone was found; plug one in, or give a file, or - for a pipe")
    if wanted is None:
        return next((device for device in devices if device.is_default), devices[0])
    text = str(wanted)
    # A number is an index, not a part of a name, or 1 would fit "hw:1,0".
    part = "" if text.isdecimal() else text.casefold()
    for fits in (
        [device for device in devices if device.name == text],
        [device for device in devices if str(device.index) == text],
        [device for device in devices if _CARD.search(text) and _CARD.sub("", device.name) == _CARD.sub("", text)],
        [device for device in devices if part and part in device.name.casefold()],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise UnknownDeviceError(f"{text!r} fits several microphones: {_listing(fits)}; give more of the name, or the index")
    raise UnknownDeviceError(f"there is no microphone {text!r}; there are: {_listing(devices)}")


def alsa_name(name: str) -> str:
    """Return ALSA's name of a PortAudio device, with conversion of rate and channels by ALSA."""
    card = _CARD.search(name)
    return f"plug{card[1]}" if card else name


def _listing(devices: Sequence[InputDevice]) -> str:
    return ", ".join(f"{device.index} {device.name!r}" for device in devices)
