"""A real systemd as process 1, in a container over an overlay of this machine's own root; nothing is written to the real root.

Needs root and the Debian package systemd-container. It shares the network with this machine, so a broker on the loopback
interface is reachable from inside. It is up in about 3 s and leaves nothing behind.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.rig import Rig
from tests.support.waiting import wait_until

_BOOT_SECONDS = 60.0
_HALT_SECONDS = 30.0
# Services of this machine that a test has no use for, or that would take its ports.
_MASKED = ("mosquitto.service", "systemd-timesyncd.service", "systemd-resolved.service", "cron.service", "ssh.service")


def missing_for_a_box() -> str | None:
    """What keeps this machine from having a box, in words; None if nothing does."""
    if os.geteuid() != 0:
        return "a systemd box needs root"
    if shutil.which("systemd-nspawn") is None:
        return "a systemd box needs the Debian package systemd-container"
    return None


class SystemdBox(Rig):
    """Starts once.

    Args:
        binds: folders of this machine by the absolute path at which the box sees them.

    Attributes:
        root: the box's root as this machine sees it; files for the box are written below it.

    """

    def __init__(self, binds: dict[Path, str] | None = None) -> None:
        super().__init__("systemd-box", stop_seconds=_HALT_SECONDS)
        self._overlay = self.folder / "overlay"
        self.root = self._overlay / "merged"
        self._binds = binds or {}
        self._mounts: list[Path] = []

    def start(self) -> None:
        """Boot, and wait until systemd says so."""
        self._mount()
        self._boot()

    def _mount(self) -> None:
        self._overlay.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3g", "tmpfs", self._overlay], check=True)
        self._mounts.append(self._overlay)
        upper, work = self._overlay / "upper", self._overlay / "work"
        for folder in (upper, work, self.root):
            folder.mkdir()
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)
        self._mounts.append(self.root)
        (self.root / "etc/machine-id").write_text("")

    def _boot(self) -> None:
        command = [
            *("systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no", "--keep-unit", "--boot"),
            *("--machine=" + self.folder.name.replace("_", "-").lower() + "0", "--console=pipe", "--resolv-conf=copy-host"),
            # Without these, device rules are accepted and silently not applied.
            *("--system-call-filter=bpf", "--capability=CAP_BPF"),
            *(f"--bind={here}:{there}" for here, there in self._binds.items()),
            "systemd.unit=multi-user.target",
            *(f"systemd.mask={unit}" for unit in _MASKED),
        ]
        # The unified cgroup hierarchy, as on a Pi, whatever this machine has.
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        self.launch(command, environment, own_session=True)
        wait_until(self._is_up, "systemd in the box to have booted", deadline_seconds=_BOOT_SECONDS)

    def _is_up(self) -> bool:
        self.check_alive()
        if self._leader() is None:
            return False
        # Degraded is fine: some unit of this machine that has no place in a container.
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}

    def _leader(self) -> int | None:
        """Process 1 of the box, by its number on this machine."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            numbers = children.read_text().split()
        except OSError:
            return None
        # Never our own process 1, in whose namespaces a mistake would be made for real.
        return int(numbers[0]) if numbers and numbers[0] != "1" else None

    def run(self, *command: str, check: bool = True, timeout_seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a command in the box, as its root."""
        leader = self._leader()
        if leader is None:
            message = "the box is not running"
            raise RuntimeError(message)
        clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("_proxy")}
        done = subprocess.run(
            ["nsenter", "--target", str(leader), "--all", *command],
            env=clean | pip,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
        if check and done.returncode:
            message = f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}{done.stderr}"
            raise RuntimeError(message)
        return done

    def shows(self, unit: str, name: str) -> str:
        """One property of a unit, as `systemctl show` has it."""
        return self.run("systemctl", "show", unit, f"--property={name}", "--value").stdout.strip()

    def journal(self, unit: str, *options: str) -> str:
        """What a unit has logged in this boot."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}", *options).stdout

    def stop(self) -> int:
        """Power off, or pull the plug if that takes too long; how systemd-nspawn ended."""
        if self._leader() is not None:
            self.run("systemctl", "poweroff", check=False)
        try:
            return self.process.wait(_HALT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def end(self) -> None:
        """Power off and take the overlay away."""
        super().end()
        while self._mounts:
            subprocess.run(["umount", "--recursive", "--lazy", self._mounts.pop()], check=True)
