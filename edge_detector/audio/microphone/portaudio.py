"""Interface to PortAudio by PyAudio."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from edge_detector.audio.microphone.devices import InputDevice, PyAudioMissingError
from edge_detector.audio.programs.environment import SOUND_VARIABLES, child_environment
from edge_detector.errors import SourceError

# PortAudio's constants, defined here so that this package can be imported and tested without PyAudio.
INT16 = 8
INPUT_OVERFLOW = 0x2
CONTINUE = 0

_PROBE_SECONDS = 15.0
_NOISE = (
    b"ALSA lib",
    b"Cannot connect to server",
    b"jack server",
    b"JackShm",
    b"connect(2)",
    b"attempt to connect",
    b"Expression",
)


class Stream(Protocol):
    """The used part of pyaudio.PyAudio.Stream."""

    def is_active(self) -> bool:
        """Return whether callbacks are expected; stays True for some lost devices."""

    def close(self) -> None:
        """Stop the callbacks and release the device."""


class PortAudio(Protocol):
    """The used part of pyaudio.PyAudio."""

    def get_device_count(self) -> int:
        """Return the number of all devices, including outputs."""

    def get_device_info_by_index(self, device_index: int) -> Mapping[str, object]:
        """Return name, channels and default rate of a device."""

    def get_default_input_device_info(self) -> Mapping[str, object]:
        """Return the default microphone. Raises OSError if there is none."""

    def open(self, rate: int, channels: int, format: int, **options: object) -> Stream:  # noqa: A002 - PyAudio's name for it
        """Open and start a stream. Raises OSError or ValueError."""

    def is_format_supported(self, rate: float, **options: object) -> bool:
        """Return True if a device supports this. Raises ValueError if it does not."""

    def terminate(self) -> None:
        """Release PortAudio."""


def list_devices() -> tuple[InputDevice, ...]:
    """List all microphones, in a child process. Raises SourceError if PyAudio is missing or PortAudio fails."""
    _import_pyaudio()
    try:
        answer = ask_child(timeout_seconds=_PROBE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the sound system did not list its devices within {_PROBE_SECONDS:g} s; restart it") from error
    except subprocess.CalledProcessError as error:
        raise SourceError(
            f"PortAudio fails while it lists the devices ({failure_text(error)}); "
            "check the ALSA configuration, which needs a pcm.default"
        ) from error
    return tuple(InputDevice(**entry) for entry in answer)


def ask_child(*arguments: str, timeout_seconds: float) -> Any:  # noqa: ANN401 - JSON
    """Run the module `probe` in a child process and parse its output. Raises CalledProcessError and TimeoutExpired."""
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", "edge_detector.audio.microphone.probe", *arguments]
    probe = subprocess.run(  # noqa: S603 - a module of this package
        command,
        env=child_environment(os.environ, *SOUND_VARIABLES) | {"PYTHONPATH": path},
        capture_output=True,
        timeout=timeout_seconds,
        check=True,
    )
    # Only the last line: sound libraries may print before it.
    return json.loads(probe.stdout.splitlines()[-1])


def failure_text(error: subprocess.CalledProcessError) -> str:
    """Return the signal or exit code of a child, and the last line of its standard error."""
    ending = signal.Signals(-error.returncode).name if error.returncode < 0 else f"exit code {error.returncode}"
    output: bytes = error.stderr
    return f"{ending}: {output.decode(errors='replace').strip().rpartition(chr(10))[2]}"


def input_devices(portaudio: PortAudio) -> tuple[InputDevice, ...]:
    """List the microphones among all devices, in this process."""
    try:
        default_index = portaudio.get_default_input_device_info()["index"]
    except OSError:
        default_index = None
    found = []
    for index in range(portaudio.get_device_count()):
        info = portaudio.get_device_info_by_index(index)
        name, channels = info["name"], int(cast("int", info["maxInputChannels"]))
        text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
        if channels > 0:
            rate_hz = round(cast("float", info["defaultSampleRate"]))
            found.append(InputDevice(index, text, channels, rate_hz, is_default=index == default_index))
    return tuple(found)


def _import_pyaudio() -> Callable[[], PortAudio]:
    try:
        import pyaudio  # noqa: PLC0415 - an optional dependency, only for microphones
    except ImportError as error:
        raise PyAudioMissingError(
            f"PyAudio, which microphones need, cannot be loaded ({error}); apt-get install portaudio19-dev gcc python3-dev, "
            "then pip install 'edge-detector[mic]'"
        ) from error
    return cast("Callable[[], PortAudio]", pyaudio.PyAudio)


def open_portaudio() -> PortAudio:
    """Create a PortAudio instance, which lists the devices once. Raises SourceError if PyAudio is missing."""
    return _import_pyaudio()()


_STDERR_LOCK = threading.Lock()
_FORWARD_SECONDS = 1.0


@contextmanager
def quiet_sound_libraries() -> Iterator[None]:
    """Filter messages of ALSA, JACK and PortAudio from stderr. The rest passes at once, since an opening may hang."""
    with _STDERR_LOCK:
        saved = os.dup(2)
        reader, writer = os.pipe()
        forwarder = threading.Thread(target=_forward, args=(reader, os.dup(saved)), name="stderr", daemon=True)
        forwarder.start()
        os.dup2(writer, 2)
        os.close(writer)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            # A process started meanwhile may keep the writing end open; forwarding continues until it closes.
            forwarder.join(_FORWARD_SECONDS)


def _forward(source: int, target: int) -> None:
    with open(source, "rb") as lines, open(target, "wb", buffering=0) as stderr:
        for line in lines:
            if line.strip() and not line.startswith(_NOISE):
                stderr.write(line)
