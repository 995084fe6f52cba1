"""A microphone without hardware that can be unplugged, crashed and frozen.

A private PulseAudio daemon with a null sink, whose monitor is the microphone. PortAudio reaches it through ALSA's pulse
plugin, so everything from the ALSA library upwards is real. Sound is sample-exact and paced in real time; while nobody plays,
the room is digitally silent. Needs the Debian packages pulseaudio, pulseaudio-utils and libasound2-plugins.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from tests.support.rig import Rig
from tests.support.waiting import wait_until

DEVICE_NAME = "fakemic"

_ALSA_CONFIG = """\
pcm_type.pulse {{ lib "{pcm_plugin}" }}
ctl_type.pulse {{ lib "{ctl_plugin}" }}
pcm.{device} {{ type pulse server "unix:{socket}" device "{device}.monitor" }}
pcm.!default {{ type pulse server "unix:{socket}" device "{device}.monitor" }}
ctl.!default {{ type pulse server "unix:{socket}" }}
"""


class FakeMicrophone(Rig):
    """What is to hear it must run with `environment` set. After `freeze`, closing the stream hangs until `thaw`.

    Attributes:
        environment: the variables that make ALSA, and so PortAudio, see this microphone and nothing else.
        rate_hz: rate of the null sink, and of what is played into it.

    """

    def __init__(self, rate_hz: int = 16_000, channels: int = 1) -> None:
        super().__init__("fake-microphone")
        self.rate_hz = rate_hz
        self._channels = channels
        self._socket = self.folder / "native"
        self._players: list[subprocess.Popen[bytes]] = []
        # norewinds: without it the first sound arrives 1.6 s late and PortAudio burns a core until then.
        self._sink = f"sink_name={DEVICE_NAME} rate={rate_hz} channels={channels} format=s16le norewinds=1"
        alsa_config = self.folder / "asound.conf"
        alsa_config.write_text(_alsa_config(self._socket))
        self.environment = {"ALSA_CONFIG_PATH": str(alsa_config), "PULSE_SERVER": f"unix:{self._socket}"}

    def start(self) -> None:
        """Start the daemon, at first or after a crash, and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        runtime = self.folder / "runtime"
        runtime.mkdir(exist_ok=True)
        own = {
            "PULSE_RUNTIME_PATH": str(runtime),
            "PULSE_STATE_PATH": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "HOME": str(self.folder),
            "DBUS_SESSION_BUS_ADDRESS": "",
        }
        inherited = {name: value for name, value in os.environ.items() if name != "PULSE_SERVER"}
        command = [
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            *("--realtime=no", "--high-priority=no", "--log-target=stderr"),
            *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"),
            *("-L", f"module-null-sink {self._sink}"),
        ]
        self.launch(command, inherited | own)
        wait_until(self._answers, "PulseAudio to answer")

    def _answers(self) -> bool:
        self.check_alive()
        return self._socket.exists() and self._pactl("info", check=False).returncode == 0

    def play(self, pcm: bytes, *, latency_milliseconds: int = 20) -> subprocess.Popen[bytes]:
        """Play s16le samples at the sink's rate and channels into the room; returns the player, which ends with the sound.

        A larger latency keeps the sound unbroken on a busy machine.
        """
        command = [
            *("paplay", f"--latency-msec={latency_milliseconds}", "--raw", "--format=s16le"),
            *(f"--rate={self.rate_hz}", f"--channels={self._channels}", "-d", DEVICE_NAME),
        ]
        with tempfile.TemporaryFile() as file, (self.folder / "log").open("ab") as log:
            file.write(pcm)
            file.seek(0)
            player = subprocess.Popen(command, env=os.environ | self.environment, stdin=file, stderr=log)
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
        self.kill()

    def end(self) -> None:
        """End everything that plays, and the daemon."""
        for player in self._players:
            player.kill()
            player.wait()
        self._players.clear()
        super().end()

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
