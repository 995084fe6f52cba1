"""Small file systems that fill up, are read-only or fail. They need root; a test that cannot have one is skipped."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

SMALL_DISK_BYTES = 512 * 1024
CARD_BYTES = 4 * 1024 * 1024
LONGEST_FREEZE_SECONDS = 150.0
_SECTOR_BYTES = 512


def _mount(*arguments: str | Path) -> bool:
    return not os.geteuid() and not subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Little memory, mounted at `folder`."""
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", folder):
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Leave no room at all; the file that takes it."""
    # Not the machine's own disk, where a person or another test has taken the small one away.
    assert folder.is_mount()
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return ballast
    raise AssertionError


def remount(folder: Path, mode: str) -> None:
    """Make it "ro" or "rw"."""
    subprocess.run(["mount", "-o", f"remount,{mode}", folder], check=True)


class Card:
    """A flash card with ext4, at `folder`, that becomes read-only at its first error, as on a Pi."""

    def __init__(self, folder: Path, device: Path) -> None:
        self._folder = folder
        self._device = device

    def mount(self) -> bool:
        return _mount("-o", "errors=remount-ro", self._device, self._folder)

    def freeze(self) -> None:
        """From now on whoever writes waits; not for ever, for not even SIGKILL ends a process that does."""
        subprocess.run(["fsfreeze", "--freeze", self._folder], check=True)
        self._thawing = threading.Timer(LONGEST_FREEZE_SECONDS, self.thaw)
        self._thawing.daemon = True
        self._thawing.start()

    def thaw(self) -> None:
        """What has waited is written."""
        self._thawing.cancel()
        subprocess.run(["fsfreeze", "--unfreeze", self._folder], check=True)

    def fail(self) -> None:
        """The kernel finds an error, and lets nobody write any more."""
        Path(f"/sys/fs/ext4/{self._device.name}/trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """Taken out, looked after, put in again; as soon as nobody holds a file on it."""
        umount = ["umount", str(self._folder)]
        wait_until(lambda: not subprocess.run(umount, capture_output=True, check=False).returncode, "nobody to use the card")
        assert self.mount()


@contextmanager
def card(folder: Path) -> Iterator[Card]:
    folder.mkdir()
    image = folder.with_name(f"{folder.name}.img")
    image.touch()
    os.truncate(image, CARD_BYTES)
    attach = ["losetup", "--find", "--show", str(image)]
    device = "" if os.geteuid() else subprocess.run(attach, capture_output=True, text=True, check=False).stdout.strip()
    if not device:
        pytest.skip("only root may mount a card, and only where there are loop devices")
    found = Card(folder, Path(device))
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
        if not found.mount():
            pytest.skip("this kernel has no ext4")
        yield found
    finally:
        subprocess.run(["umount", "--lazy", folder], capture_output=True, check=False)
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def measured_disk(image: Path, size_bytes: int) -> Iterator[tuple[Path, Callable[[], int]]]:
    """A disk with ext4 of its own: its folder, and what gives the bytes written to it so far, ext4's journal included."""
    folder = image.with_suffix(".mounted")
    folder.mkdir()
    image.touch()
    os.truncate(image, size_bytes)
    device = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", device], check=True)
        subprocess.run(["mount", device, folder], check=True)
        statistics_file = Path("/sys/block") / Path(device).name / "stat"
        yield folder, lambda: _SECTOR_BYTES * int(statistics_file.read_text().split()[6])
    finally:
        subprocess.run(["umount", folder], check=False)
        subprocess.run(["losetup", "--detach", device], check=True)


def sync(folder: Path) -> None:
    """Write back what the kernel holds of this disk, as it does within half a minute."""
    subprocess.run(["sync", "--file-system", folder], check=True)
