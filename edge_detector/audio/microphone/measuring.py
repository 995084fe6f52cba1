"""Measurement of a microphone: supported rates and current level."""

import subprocess
import time
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from edge_detector.audio.microphone.capture import Microphone
from edge_detector.audio.microphone.devices import choose_device
from edge_detector.audio.microphone.portaudio import (
    INT16,
    PortAudio,
    ask_child,
    failure_text,
    input_devices,
    open_portaudio,
    quiet_sound_libraries,
)
from edge_detector.errors import SourceError
from edge_detector.levels import level_dbfs
from edge_detector.types import Float32

RATES_HZ = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)
LISTEN_SECONDS = 0.5
_ANSWER_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """Result of a measurement.

    Attributes:
        rates_hz: supported rates of RATES_HZ.
        level_dbfs: RMS level over half a second, floor -120; None without samples.
        problem: why there are no samples, or None.

    """

    rates_hz: tuple[int, ...]
    level_dbfs: float | None
    problem: str | None


def measure(name: str) -> Measurement:
    """Measure the microphone `name` for half a second, in a child process."""
    try:
        answer = ask_child(name, timeout_seconds=_ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        return Measurement((), None, f"it did not answer within {_ANSWER_SECONDS:g} s")
    except subprocess.CalledProcessError as error:
        return Measurement((), None, f"PortAudio fails ({failure_text(error)})")
    return Measurement(tuple(answer["rates_hz"]), answer["level_dbfs"], answer["problem"])


def measure_here(name: str) -> Measurement:
    """Measure the microphone `name` in this process, which PortAudio may abort."""
    with quiet_sound_libraries():
        portaudio = open_portaudio()
    devices = input_devices(portaudio)
    try:
        rates_hz = _rates(portaudio, choose_device(devices, name).index)
        with closing(Microphone(name, list_devices=lambda: devices, open_portaudio=lambda: portaudio)) as source:
            return Measurement(rates_hz, _level(source), None)
    except SourceError as error:
        return Measurement((), None, str(error))


def _rates(portaudio: PortAudio, index: int) -> tuple[int, ...]:
    def can(rate_hz: int) -> bool:
        try:
            return portaudio.is_format_supported(rate_hz, input_device=index, input_channels=1, input_format=INT16)
        except ValueError:
            return False

    with quiet_sound_libraries():
        return tuple(rate_hz for rate_hz in RATES_HZ if can(rate_hz))


def _level(source: Microphone) -> float:
    pieces: list[Float32] = []
    give_up_at = time.monotonic() + _ANSWER_SECONDS / 2.0
    while sum(len(piece) for piece in pieces) < LISTEN_SECONDS * source.rate_hz:
        if (block := source.read(LISTEN_SECONDS)) is not None:
            pieces.append(block.samples)
        elif time.monotonic() >= give_up_at:
            raise SourceError("it gives no sound")
    samples = np.concatenate(pieces).astype(np.float64)
    return level_dbfs(float(np.mean(samples * samples)))
