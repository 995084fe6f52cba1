"""Microphone by ALSA's arecord, a child process that can be killed and that lists the sound cards anew at each start."""

import re
from collections.abc import Sequence

from edge_detector.audio.programs.child import Child
from edge_detector.audio.programs.environment import SOUND_VARIABLES
from edge_detector.audio.programs.pipe_source import PipeSource
from edge_detector.errors import SourceError
from edge_detector.params import FRONT_END

DEFAULT_DEVICE = "default"
RING_SECONDS = 10.0
STALL_SECONDS = 2.0
_START_SECONDS = 8.0
_PERIOD_MICROSECONDS = 30_000
_BUFFER_MICROSECONDS = 1_000_000
_OVERRUN = re.compile(r"overrun!!!(?: \(at least ([0-9.]+) ms long\))?")
_INSTALL = "apt-get install alsa-utils"
_ADVICE = {
    "non available": "use plughw:… in place of hw:…, so that ALSA converts",
    "No such file or directory": "plug a microphone in, and see whether arecord -l lists it",
    "Permission denied": "add the user to the group audio: sudo usermod -aG audio USER, and log in again",
    "Device or resource busy": "another program uses it; close it, or choose a device that can be shared, such as default",
}
"""Remedies by arecord's messages."""


class ArecordMicrophone(PipeSource):
    """A live source by `arecord`; ALSA converts to 16 kHz if the card cannot.

    Args:
        device: an ALSA PCM as listed by `arecord -L`; None for the default. plughw:CARD=Device names a card by its id, which
            is stable; the number in hw:1,0 is not.
        channel: channel of the microphone, from 0.
        stall_seconds: time without sound after which the microphone counts as lost.
        program: command to run instead of arecord.

    Raises:
        SourceError: the device is missing, in use or not capable of 16 kHz, or arecord is not installed.

    """

    def __init__(
        self,
        device: str | None = None,
        *,
        channel: int = 0,
        stall_seconds: float = STALL_SECONDS,
        program: Sequence[str] = ("arecord",),
    ) -> None:
        device = device or DEFAULT_DEVICE
        if device.startswith("-"):
            raise SourceError(f"{device!r} is not an ALSA device; arecord -L lists them")
        channels = channel + 1
        command = [
            *program, "-D", device, "-t", "raw", "-f", "S16_LE", "-r", str(FRONT_END.sample_rate_hz), "-c", str(channels),
            f"--period-time={_PERIOD_MICROSECONDS}", f"--buffer-time={_BUFFER_MICROSECONDS}",
        ]  # fmt: skip
        self._device = device
        super().__init__(
            f"the microphone {device!r}",
            Child(command, install=_INSTALL, filter_line=_with_advice, variables=SOUND_VARIABLES),
            channels=channels,
            channel=channel,
            start_seconds=_START_SECONDS,
            stall_seconds=stall_seconds,
            ring_seconds=RING_SECONDS,
            lost_samples=self._lost_samples_in,
        )

    def _lost_samples_in(self, line: str) -> int:
        if "rate is not accurate" in line:
            raise SourceError(
                f"the microphone {self._device!r} cannot record at {FRONT_END.sample_rate_hz} Hz; "
                "use plughw:… in place of hw:…, so that ALSA converts"
            )
        found = _OVERRUN.search(line)
        if found is None:
            return 0
        # One sample makes a gap where the length is unknown.
        return max(1, round(float(found[1] or 0.0) / 1_000.0 * FRONT_END.sample_rate_hz))


def _with_advice(line: str) -> str:
    return "; ".join([line, *(advice for words, advice in _ADVICE.items() if words in line)])
