"""`install-service`: runs the installer of the systemd service, systemd/install.sh, which is also part of the wheel.

The installer builds an environment of its own under /opt. In a repository it builds it from the source. Elsewhere it has this
program packed as a wheel again, so that the service is of the same version and no index needs to have it.
"""

import base64
import csv
import hashlib
import io
import os
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackagePath, distribution
from pathlib import Path
from typing import NoReturn
from zipfile import ZIP_DEFLATED, ZipFile

import edge_detector
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.streams import flush_output

NAME = "edge-detector"
REPOSITORY = Path(edge_detector.__file__).parents[1]
SHARED = ("share", "edge-detector")
"""Where the wheel has unit, example configuration and installer, below the environment's folder."""
MADE_BY_PIP = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


def run(verb: str, *, purge: bool) -> NoReturn:
    """Become the installer. Raises UsageError for wrong options or without root, EdgeDetectorError if it is not here.

    Args:
        verb: install, rollback or uninstall.
        purge: with uninstall, also remove configuration, secrets and state.

    """
    if purge and verb != "uninstall":
        raise UsageError("--purge belongs to --uninstall; give both, or leave it out")
    if os.geteuid() != 0:
        raise UsageError(f"the service can be changed by root alone; run: sudo {' '.join(sys.argv)}")
    installer = find_installer(REPOSITORY)
    flush_output()
    # In place of this process: an uninstallation deletes this program, and a key that interrupts is for the installer.
    os.execve(  # noqa: S606 - a shell script
        "/bin/sh",
        ["sh", str(installer), verb, *(["--purge"] if purge else [])],
        {**os.environ, "PROGRAM_PYTHON": sys.executable},
    )


def find_installer(repository: Path) -> Path:
    """Return the path of install.sh, in the repository or where the wheel has put it. Raises EdgeDetectorError."""
    in_repository = repository / "systemd" / "install.sh"
    if in_repository.is_file():
        return in_repository
    installed = (Path(str(file.locate())) for file in distribution(NAME).files or () if file.name == "install.sh")
    found = next((path for path in installed if path.is_file()), None)
    if found is None:
        raise EdgeDetectorError("the installer is not in this installation; install the wheel, or run make install in a clone")
    return found.resolve()


def pack(folder: Path) -> int:
    """Write this program as a wheel, of the files that pip has listed, and print its path. Raises EdgeDetectorError."""
    program = distribution(NAME)
    stem = f"edge_detector-{program.version}"
    contents = dict(_packed(program, f"{stem}.data/data"))
    if program.read_text("RECORD") is None or "edge_detector/__init__.py" not in contents:
        raise EdgeDetectorError("this installation is a link to a repository; run there: make wheel")
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    wheel = folder / f"{stem}-py3-none-any.whl"
    with ZipFile(wheel, "w", ZIP_DEFLATED) as archive:
        for name, path in contents.items():
            content = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.writerow((name, f"sha256={digest}", len(content)))
            archive.write(path, name)
        rows.writerow((f"{stem}.dist-info/RECORD", "", ""))
        archive.writestr(f"{stem}.dist-info/RECORD", record.getvalue())
    sys.stdout.write(f"{wheel}\n")
    return 0


def _packed(program: Distribution, data: str) -> Iterator[tuple[str, Path]]:
    """Yield each file that came with the wheel: its name there, and its path."""
    for file in program.files or ():
        if "__pycache__" in file.parts or (file.parent.name.endswith(".dist-info") and file.name in MADE_BY_PIP):
            continue
        parts = _below(file)
        if parts == file.parts:
            yield file.as_posix(), Path(str(file.locate()))
        elif parts[: len(SHARED)] == SHARED:  # and not the script, which pip makes anew
            yield "/".join((data, *parts)), Path(str(file.locate()))


def _below(file: PackagePath) -> tuple[str, ...]:
    """Return the parts of a path without the steps up from site-packages to the environment's folder."""
    return tuple(part for part in file.parts if part != "..")
