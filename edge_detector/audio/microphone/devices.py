"""What a microphone is called, and which one is meant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_detector.errors import SourceError, UnknownDeviceError

_CARD = re.compile(r" \((hw:\d+,\d+)\)$")
"""How PortAudio ends the name of a device of a sound card; the first number changes with the order of plugging in."""


class UnseenDeviceError(SourceError):
    """The microphone is there, but PortAudio in this process does not see it until every other microphone is closed.

    Attributes:
        alsa_device: what ALSA calls it, so that another program can open it.

    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the microphone {name!r} was plugged in after another one was opened, and PortAudio does not see it while that is "
            f'open; set kind = "arecord", device = {alsa_name(name)!r} for it'
        )
        self.alsa_device = alsa_name(name)


@dataclass(frozen=True, slots=True)
class InputDevice:
    """One microphone, as PortAudio sees it. The index changes when devices come and go; the name is what to rely on."""

    index: int
    name: str
    max_channels: int
    default_rate_hz: int
    is_default: bool


def choose_device(devices: Sequence[InputDevice], wanted: str | int | None) -> InputDevice:
    """The microphone meant by a name, a unique part of a name in any case, or an index; the default one for None.

    A full name also fits once the card has another number, as after it was plugged in again.

    Raises:
        SourceError: there is no microphone at all.
        UnknownDeviceError: none or several fit.

    """
    if not devices:
        raise SourceError("no microphone was found; plug one in, or listen to a file, or to a pipe with -")
    if wanted is None:
        return next((device for device in devices if device.is_default), devices[0])
    text = str(wanted)
    # A number is an index and no part of a name, or 1 would mean whatever is at "hw:1,0".
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
    """ALSA's name for a device of PortAudio's, with ALSA converting rates and channels where the hardware does not."""
    card = _CARD.search(name)
    return f"plug{card[1]}" if card else name


def _listing(devices: Sequence[InputDevice]) -> str:
    return ", ".join(f"{device.index} {device.name!r}" for device in devices)
