"""A microphone by ALSA's own arecord, in a process of its own: what hangs in it is killed, and each run sees the cards anew."""

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
    "non available": "name it plughw:… in place of hw:…, and ALSA converts",
    "Permission denied": "put the user into the group audio: sudo usermod -aG audio USER, and log in again",
    "Device or resource busy": "another program has it; close that one, or name a device that can be shared, such as default",
}
"""By words of arecord's, what helps."""


class ArecordMicrophone(PipeSource):
    """A live source by `arecord`, converted to 16 kHz by ALSA where the card cannot do that.

    Args:
        device: an ALSA PCM, as `arecord -L` lists them; None for the default one. plughw:CARD=Device names a card by its id,
            which stays when cards are numbered anew, as hw:1,0 does not.
        channel: which channel is listened to, from 0.
        stall_seconds: without sound for this long the microphone counts as lost.
        program: what to run instead of arecord.

    Raises:
        SourceError: no such device, it is in use, it cannot do 16 kHz, or arecord is not installed.

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
            raise SourceError(f"{device!r} is no ALSA device; arecord -L lists those there are")
        channels = channel + 1
        command = [
            *program, "-D", device, "-t", "raw", "-f", "S16_LE", "-r", str(FRONT_END.sample_rate_hz), "-c", str(channels),
            f"--period-time={_PERIOD_MICROSECONDS}", f"--buffer-time={_BUFFER_MICROSECONDS}",
        ]  # fmt: skip
        self._device = device
        super().__init__(
            f"the microphone {device!r}",
            Child(command, install=_INSTALL, words=_with_advice, variables=SOUND_VARIABLES),
            channels=channels,
            channel=channel,
            start_seconds=_START_SECONDS,
            stall_seconds=stall_seconds,
            ring_seconds=RING_SECONDS,
            lost_samples=self._lost_according_to,
        )

    def _lost_according_to(self, line: str) -> int:
        if "rate is not accurate" in line:
            raise SourceError(
                f"the microphone {self._device!r} cannot record at {FRONT_END.sample_rate_hz} Hz; "
                "name it plughw:… in place of hw:…, and ALSA converts"
            )
        found = _OVERRUN.search(line)
        if found is None:
            return 0
        # Without a length one sample is enough to make it a gap.
        return max(1, round(float(found[1] or 0.0) / 1_000.0 * FRONT_END.sample_rate_hz))


def _with_advice(line: str) -> str:
    return "; ".join([line, *(advice for words, advice in _ADVICE.items() if words in line)])
