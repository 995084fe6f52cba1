"""A microphone without hardware that can be unplugged, crashed and frozen.

A private PulseAudio daemon with a null sink, whose monitor is the microphone. PortAudio reaches it through ALSA's pulse
plugin, so everything from the ALSA library upwards is real. Sound is sample-exact and paced in real time; while nobody plays,
the room is digitally silent. Needs the Debian packages pulseaudio, pulseaudio-utils and libasound2-plugins.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rigs.waiting import wait_until

DEVICE_NAME = "fakemic"

_ALSA_CONFIG = """\
pcm_type.pulse {{ lib "{pcm_plugin}" }}
ctl_type.pulse {{ lib "{ctl_plugin}" }}
pcm.{device} {{ type pulse server "unix:{socket}" device "{device}.monitor" }}
pcm.!default {{ type pulse server "unix:{socket}" device "{device}.monitor" }}
ctl.!default {{ type pulse server "unix:{socket}" }}
"""
_STOP_SECONDS = 5.0


class FakeMicrophone:
    """Use it as a context manager; what is to hear it must run with `environment` set.

    Attributes:
        environment: the variables that make ALSA, and so PortAudio, see this microphone and nothing else.
        rate_hz: rate of the null sink, and of what is played into it.

    """

    def __init__(self, rate_hz: int = 16_000, channels: int = 1) -> None:
        self.rate_hz = rate_hz
        self._channels = channels
        self._folder = Path(tempfile.mkdtemp(prefix="fake-microphone-"))
        self._socket = self._folder / "native"
        self._log = self._folder / "log"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []
        # norewinds: without it the first sound arrives 1.6 s late and PortAudio burns a core until then.
        self._sink = f"sink_name={DEVICE_NAME} rate={rate_hz} channels={channels} format=s16le norewinds=1"
        alsa_config = self._folder / "asound.conf"
        alsa_config.write_text(_alsa_config(self._socket))
        self.environment = {"ALSA_CONFIG_PATH": str(alsa_config), "PULSE_SERVER": f"unix:{self._socket}"}

    def __enter__(self) -> Self:
        """Start the daemon and wait until it answers."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End the daemon and everything that plays, and remove the folder."""
        self.close()

    def start(self) -> None:
        """Start the daemon, at first or after a crash."""
        self._socket.unlink(missing_ok=True)
        runtime = self._folder / "runtime"
        runtime.mkdir(exist_ok=True)
        own = {
            "PULSE_RUNTIME_PATH": str(runtime),
            "PULSE_STATE_PATH": str(self._folder / "state"),
            "XDG_CONFIG_HOME": str(self._folder / "config"),
            "HOME": str(self._folder),
            "DBUS_SESSION_BUS_ADDRESS": "",
        }
        inherited = {name: value for name, value in os.environ.items() if name != "PULSE_SERVER"}
        command = [
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            *("--realtime=no", "--high-priority=no", "--log-target=stderr"),
            *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"),
            *("-L", f"module-null-sink {self._sink}"),
        ]
        with self._log.open("ab") as log:
            self._daemon = subprocess.Popen(command, env=inherited | own, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, "PulseAudio to answer")

    def _answers(self) -> bool:
        if self._daemon is None or self._daemon.poll() is not None:
            message = f"PulseAudio ended by itself:\n{self._log.read_text(errors='replace')}"
            raise RuntimeError(message)
        return self._socket.exists() and self._pactl("info", check=False).returncode == 0

    def play(self, pcm: bytes, *, latency_milliseconds: int = 20) -> subprocess.Popen[bytes]:
        """Play s16le samples at the sink's rate and channels into the room; returns the player, which ends with the sound.

        A larger latency keeps the sound unbroken on a busy machine.
        """
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(pcm)
        command = [
            *("paplay", f"--latency-msec={latency_milliseconds}", "--raw", "--format=s16le"),
            *(f"--rate={self.rate_hz}", f"--channels={self._channels}", "-d", DEVICE_NAME, file.name),
        ]
        player = subprocess.Popen(command, env=os.environ | self.environment)
        self._players.append(player)
        return player

    def unplug(self) -> None:
        """Make the source vanish: callbacks stop without error, PortAudio's stream may stay "active"."""
        self._pactl("unload-module", "module-null-sink")

    def plug(self) -> None:
        """Bring the source back after `unplug`."""
        self._pactl("load-module", "module-null-sink", *self._sink.split())

    def crash(self) -> None:
        """Kill the daemon: a hard error for whoever listens. `start` brings it back."""
        daemon = self._running_daemon()
        daemon.kill()
        daemon.wait(_STOP_SECONDS)

    def freeze(self) -> None:
        """Stop the daemon's process: callbacks cease, and closing the stream hangs until `thaw`."""
        self._running_daemon().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen daemon go on."""
        self._running_daemon().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End everything; may be called again."""
        for player in self._players:
            if player.poll() is None:
                player.kill()
            player.wait(_STOP_SECONDS)
        self._players.clear()
        if self._daemon is not None and self._daemon.poll() is None:
            self.thaw()
            self._daemon.terminate()
            self._daemon.wait(_STOP_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _running_daemon(self) -> subprocess.Popen[bytes]:
        if self._daemon is None:
            message = "the fake microphone has not been started"
            raise RuntimeError(message)
        return self._daemon

    def _pactl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["pactl", *arguments], env=os.environ | self.environment, check=check, capture_output=True, timeout=20.0
        )


def _alsa_config(socket: Path) -> str:
    plugins = sorted(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    if not plugins:
        message = "ALSA's pulse plugin is missing: apt-get install libasound2-plugins"
        raise RuntimeError(message)
    pcm_plugin = plugins[0]
    ctl_plugin = pcm_plugin.with_name("libasound_module_ctl_pulse.so")
    return _ALSA_CONFIG.format(pcm_plugin=pcm_plugin, ctl_plugin=ctl_plugin, device=DEVICE_NAME, socket=socket)
