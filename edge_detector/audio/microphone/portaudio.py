"""PortAudio as far as it is used, and the only import of PyAudio."""

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

from edge_detector.audio.microphone.devices import InputDevice
from edge_detector.audio.programs.environment import SOUND_VARIABLES, child_environment
from edge_detector.errors import SourceError

# PortAudio's own numbers, written here so that microphones can be imported, and tested, without it.
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
    """What is used of pyaudio.PyAudio.Stream."""

    def is_active(self) -> bool:
        """Whether callbacks are expected; stays True for some vanished devices."""

    def close(self) -> None:
        """Stop the callbacks and let go of the device."""


class PortAudio(Protocol):
    """What is used of pyaudio.PyAudio."""

    def get_device_count(self) -> int:
        """All devices, outputs among them."""

    def get_device_info_by_index(self, device_index: int) -> Mapping[str, object]:
        """Name, channels and default rate."""

    def get_default_input_device_info(self) -> Mapping[str, object]:
        """The default microphone. Raises OSError where there is none."""

    def open(self, rate: int, channels: int, format: int, **options: object) -> Stream:  # noqa: A002 - PyAudio's name for it
        """Open and start a stream. Raises OSError or ValueError."""

    def is_format_supported(self, rate: float, **options: object) -> bool:
        """Whether a device can do this. Raises ValueError where it cannot."""

    def terminate(self) -> None:
        """Forget all devices."""


def list_devices() -> tuple[InputDevice, ...]:
    """All microphones, asked for in a child process. Raises SourceError if PyAudio is missing or PortAudio fails."""
    _import_pyaudio()
    try:
        answer = ask_child(timeout_seconds=_PROBE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the sound system did not list its devices within {_PROBE_SECONDS:g} s; restart it") from error
    except subprocess.CalledProcessError as error:
        raise SourceError(
            f"PortAudio fails while it lists the devices ({last_words(error)}); "
            "check the ALSA configuration, which needs a pcm.default"
        ) from error
    return tuple(InputDevice(**entry) for entry in answer)


def ask_child(*arguments: str, timeout_seconds: float) -> Any:  # noqa: ANN401 - JSON
    """What the module `probe` prints, run in a process of its own. Raises CalledProcessError and TimeoutExpired."""
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
    # The last line: sound libraries are not above printing before it.
    return json.loads(probe.stdout.splitlines()[-1])


def last_words(error: subprocess.CalledProcessError) -> str:
    """How a child ended, and the last line of what it said."""
    how = signal.Signals(-error.returncode).name if error.returncode < 0 else f"exit code {error.returncode}"
    said: bytes = error.stderr
    return f"{how}: {said.decode(errors='replace').strip().rpartition(chr(10))[2]}"


def input_devices(portaudio: PortAudio) -> tuple[InputDevice, ...]:
    """The microphones among all devices, in this process."""
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
        import pyaudio  # noqa: PLC0415 - whoever has no microphone needs no PyAudio
    except ImportError as error:
        raise SourceError(
            f"PyAudio, which microphones need, cannot be loaded ({error}); apt-get install portaudio19-dev gcc python3-dev, "
            "then pip install 'edge-detector[mic]'"
        ) from error
    return cast("Callable[[], PortAudio]", pyaudio.PyAudio)


def open_portaudio() -> PortAudio:
    """A new PortAudio, which looks for devices now. Raises SourceError if PyAudio is missing."""
    return _import_pyaudio()()


_STDERR_LOCK = threading.Lock()
_PASS_ON_SECONDS = 1.0


@contextmanager
def quiet_sound_libraries() -> Iterator[None]:
    """Take out of stderr what ALSA, JACK and PortAudio write, and pass on the rest at once: an opening may hang for ever."""
    with _STDERR_LOCK:
        saved = os.dup(2)
        reader, writer = os.pipe()
        passing = threading.Thread(target=_pass_on, args=(reader, os.dup(saved)), name="stderr", daemon=True)
        passing.start()
        os.dup2(writer, 2)
        os.close(writer)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            # A process started meanwhile may hold the other end for longer; its words are passed on as long as it does.
            passing.join(_PASS_ON_SECONDS)


def _pass_on(source: int, target: int) -> None:
    with open(source, "rb") as lines, open(target, "wb", buffering=0) as stderr:
        for line in lines:
            if line.strip() and not line.startswith(_NOISE):
                stderr.write(line)
