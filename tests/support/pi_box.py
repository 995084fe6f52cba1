"""A folder with a Raspberry Pi's Python in it, the detector's libraries for its processor, and what counts instructions.

Nothing is installed on this machine and nothing here needs root: qemu-user runs the Pi's programs one by one, and finds in the
folder what they look for under /lib, /usr, /proc and /sys. Debian's packages and PyPI's wheels are the ones a Pi downloads.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PYPROJECT = PROJECT / "pyproject.toml"
EMULATOR = "qemu-aarch64"
DEBIAN = ("python3", "libstdc++6")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
CORES = 4
OLDEST_WITH_NEW_PLUGINS = 9
"""This qemu refuses plugins of the interface's first version (QEMU_PLUGIN_MIN_VERSION), those before it of the second."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A Raspberry Pi's processor.

    Attributes:
        board: whose it is.
        name: as qemu calls it.
        part: its number in /proc/cpuinfo, by which TFLite chooses its kernels (Arm's "Main ID Register").
        features: what Linux says of it there.

    """

    board: str
    name: str
    part: str
    features: str


PROCESSORS = (
    Processor("Pi 3, Zero 2 W", "cortex-a53", "0xd03", "fp asimd evtstrm crc32 cpuid"),
    Processor("Pi 4", "cortex-a72", "0xd08", "fp asimd evtstrm crc32 cpuid"),
    Processor(
        "Pi 5",
        "cortex-a76",
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
)


@dataclass(frozen=True, slots=True)
class Box:
    """The folder, made by `make_box`."""

    folder: Path

    @property
    def root(self) -> Path:
        """Where the Pi's files are."""
        return self.folder / "root"

    @property
    def libraries(self) -> Path:
        """The detector's libraries."""
        return self.folder / "libraries"

    @property
    def plugin(self) -> Path:
        """What counts."""
        return self.folder / "count.so"

    @property
    def python(self) -> Path:
        """The Pi's Python, of the version that Debian has."""
        return next(path for path in (self.root / "usr" / "bin").glob("python3.*") if re.fullmatch(r"python3\.\d+", path.name))

    def run(self, processor: Processor, *arguments: object) -> tuple[int, str]:
        """Run a Python module in the box; instructions that it took, and what it wrote."""
        with tempfile.NamedTemporaryFile("r", encoding="ascii") as count:
            command = [EMULATOR, "-L", self._root_of(processor), "-cpu", processor.name, "-plugin", self.plugin, self.python]
            environment = {
                "PATH": os.environ["PATH"],
                "COUNT": count.name,
                "PYTHONPATH": f"{PROJECT}:{self.libraries}",
                "PYTHONPYCACHEPREFIX": str(self.folder / "compiled"),
                # Sets and dictionaries in the same order each time, or no count is the same twice.
                "PYTHONHASHSEED": "0",
                "OPENBLAS_NUM_THREADS": "1",
            }
            words = [str(each) for each in (*command, "-m", *arguments)]
            done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{arguments[0]} failed on an emulated {processor.name}: {done.stderr.strip()[-2_000:]}")
            return int(count.read()), done.stdout

    def _root_of(self, processor: Processor) -> Path:
        """The root with this processor's /proc and /sys: a folder of links, so that two processors can run at once."""
        folder = self.folder / processor.name
        folder.mkdir(exist_ok=True)
        for path in self.root.iterdir():
            if not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
        core = (
            f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {processor.part}\nCPU revision\t: 3\n"
        )
        cores = [f"processor\t: {number}\nFeatures\t: {processor.features}\n{core}\n" for number in range(CORES)]
        facts = {"proc/cpuinfo": "".join(cores)}
        facts |= {f"sys/devices/system/cpu/{name}": f"0-{CORES - 1}\n" for name in ("possible", "present")}
        for name, text in facts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii")
        return folder


def why_not() -> str:
    """What is missing to make a box here, or nothing."""
    if shutil.which(EMULATOR) is None:
        return f"{EMULATOR} is missing; apt-get install qemu-user"
    # Ubuntu keeps arm64 in another archive than amd64, so that apt does not find it.
    return "" if platform.freedesktop_os_release()["ID"] == "debian" else "this is not Debian, whose arm64 packages are needed"


def make_box(folder: Path) -> Box:
    """Download and unpack what is not there yet: a minute and 250 MB on a Debian machine of any kind."""
    box = Box(folder.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    unpacked, installed = folder / "unpacked", folder / "installed"
    if not unpacked.exists():
        _say("unpacking a Pi's Python")
        _unpack_debian(box)
        unpacked.touch()
    if not installed.exists() or installed.stat().st_mtime < PYPROJECT.stat().st_mtime:
        _say("downloading the detector's libraries for it")
        _install_libraries(box)
        installed.touch()
    _compile_plugin(box)
    return box


def _unpack_debian(box: Box) -> None:
    state = box.folder / "apt"
    for name in ("lists", "cache/archives"):
        (state / name / "partial").mkdir(parents=True, exist_ok=True)
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": state,
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    _call([*apt, "update"])
    _call([*apt, "install", "--yes", "--download-only", "--no-install-recommends", *DEBIAN])
    for package in sorted((state / "cache" / "archives").glob("*.deb")):
        _call(["dpkg-deb", "-x", package, box.root])


def _install_libraries(box: Box) -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    platforms = [word for tag in PLATFORMS for word in ("--platform", tag)]
    version = box.python.name.removeprefix("python")
    options = ["--target", box.libraries, "--only-binary", ":all:", "--python-version", version, *platforms]
    _call([sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", *options, *project["dependencies"]])


def _compile_plugin(box: Box) -> None:
    said = subprocess.run([EMULATOR, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)", said)
    interface = f"-DPLUGIN_VERSION={2 if found and int(found[1]) >= OLDEST_WITH_NEW_PLUGINS else 1}"
    _call(["gcc", "-O2", "-shared", "-fPIC", interface, "-o", box.plugin, Path(__file__).with_name("count_instructions.c")])


def _call(command: Sequence[object]) -> None:
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()[-2_000:]}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text} …\n")
