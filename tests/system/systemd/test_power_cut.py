"""The installer on an ext4 of its own whose image is copied at some moment: what a power cut then would have left.

The environments are made by a stand-in for Python, in a second instead of minutes: what counts is what install.sh does with them.
`make test-systemd` runs it, as root.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SECONDS = tuple(map(float, os.environ.get("EDGE_DETECTOR_CUT_SECONDS", "0 1 2").split()))
FILES = 300
_PYTHON = f"""\
#!/bin/sh
case "$*" in
    "-m venv "*)
        mkdir -p "$3/bin" "$3/lib"
        cp "$0" "$3/bin/python"
        for number in $(seq {FILES}); do echo "$VERSION $number" > "$3/lib/$number.py"; done
        cat > "$3/bin/edge-detector" << 'PROGRAM'
#!/bin/sh
lib=$(dirname "$(dirname "$(readlink -f "$0")")")/lib
[ "$(cat "$lib"/*.py | wc -l)" = {FILES} ] && cut -d ' ' -f 1 "$lib/1.py"
PROGRAM
        chmod +x "$3/bin/edge-detector" ;;
esac
exit 0
"""
_SCRIPT = r"""
set -eu
mount --make-rprivate /
device=$(losetup --find --show "$WORK/opt.img")
trap 'cd /; umount /opt 2> /dev/null || true; losetup -d "$device"' EXIT
mkdir -p /opt
mount "$device" /opt
for folder in /etc/edge-detector /etc/systemd/system /usr/local/bin; do mkdir -p "$folder"; mount -t tmpfs tmpfs "$folder"; done
install() { "$PROJECT/systemd/install.sh" "$@" > "$WORK/said" 2>&1 || { cat "$WORK/said"; exit 1; }; }
VERSION=first install install
sync
VERSION=second install install
since=0
for at in $MOMENTS; do
    sleep "$(awk "BEGIN {print $at - $since}")"
    since=$at
    cp --sparse=always "$WORK/opt.img" "$WORK/cut-$at.img"
done
echo "now $(edge-detector)"
install rollback
echo "back $(edge-detector)"
install rollback
echo "again $(edge-detector)"
VERSION=third install install
echo "kept $(ls /opt/edge-detector/environments | wc -l) $(edge-detector) $(/opt/edge-detector/bin/edge-detector.previous)"
umount /opt
losetup -d "$device"
for at in $MOMENTS; do
    device=$(losetup --find --show "$WORK/cut-$at.img")
    mount "$device" /opt
    echo "cut $at $(edge-detector || echo nothing)"
    umount /opt
    losetup -d "$device"
done
trap - EXIT
"""


def missing() -> str | None:
    if os.geteuid():
        return "mounts a file system, as root"
    tools = [tool for tool in ("unshare", "losetup", "mkfs.ext4", "systemctl") if shutil.which(tool) is None]
    if tools:
        return f"needs {' and '.join(tools)}"
    return (
        None if subprocess.run(["losetup", "--find"], capture_output=True, check=False).returncode == 0 else "needs a loop device"
    )


def test_a_power_cut_after_an_upgrade_leaves_a_version_that_runs_and_a_rollback_the_one_before(tmp_path: Path) -> None:
    reason = missing() or (None if os.environ.get("EDGE_DETECTOR_BOX") else "installs a service; run: make test-systemd")
    if reason is not None:
        pytest.skip(reason)
    python = tmp_path / "python"
    python.write_text(_PYTHON)
    python.chmod(0o755)
    with (tmp_path / "opt.img").open("wb") as image:
        image.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(tmp_path / "opt.img")], check=True)
    environment = {
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "WORK": str(tmp_path),
        "PROJECT": str(ROOT),
        "PYTHON": str(python),
        "MOMENTS": " ".join(map(str, SECONDS)),
    }
    command = ["unshare", "-m", "sh", "-c", _SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert said[:4] == ["now second", "back first", "again second", "kept 2 third second"]
    assert said[4:] == [f"cut {at} second" for at in SECONDS]
