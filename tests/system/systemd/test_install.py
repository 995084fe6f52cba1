"""Upgrading and removing the service, under a real systemd. `make test-systemd` runs it, as root, after test_box.py."""

import time
from pathlib import Path

from tests.support.inbox import subscriber
from tests.system.systemd.conftest import BASE, STATE, UNIT, Machine, report
from tests.system.systemd.test_box import is_healthy

RUNNING = ("readlink", "-f", "/opt/edge-detector/bin/edge-detector")
# What somebody has who was given the wheel alone, in a folder of their own.
_FROM_WHEEL = """\
set -eu
mkdir /srv/source /srv/person
cd /srv/project
cp -R pyproject.toml README.md LICENSE NOTICE systemd edge_detector convert /srv/source/
/usr/bin/python3 -m venv /srv/person/venv
/srv/person/venv/bin/pip wheel --quiet --no-deps --wheel-dir /srv/person /srv/source
rm -r /srv/source
/srv/person/venv/bin/pip install --quiet /srv/person/*.whl
rm /srv/person/*.whl
"""


def test_an_upgrade_keeps_configuration_state_and_the_environment_before(machine: Machine) -> None:
    machine.configure("[class.rain]\nenabled = false\n")
    machine.systemctl("restart")
    config = machine.box.root / "etc/edge-detector/edge.toml"
    before = config.read_text()
    machine.box.run("sh", "-c", f"test -d {STATE} && echo kept > {STATE}/marker")
    old = machine.box.run(*RUNNING).stdout
    began = time.monotonic()
    assert "keeping /etc/edge-detector/edge.toml" in machine.install()
    report("upgrade", time.monotonic() - began)
    assert config.read_text() == before
    assert machine.box.run("cat", f"{STATE}/marker").stdout == "kept\n"
    assert machine.box.run(*RUNNING).stdout != old
    assert len(machine.box.run("ls", "/opt/edge-detector/environments").stdout.split()) == 2
    assert machine.box.run("readlink", "-f", "/opt/edge-detector/bin/edge-detector.previous").stdout == old
    assert machine.shows("ActiveState") == "active"
    assert machine.box.run("edge-detector", "--version").stdout.startswith("edge-detector ")


def test_an_upgrade_that_would_not_start_leaves_the_old_version_running(machine: Machine) -> None:
    machine.configure()
    machine.systemctl("restart")
    pid = machine.shows("MainPID")
    old = machine.box.run(*RUNNING).stdout
    environments = machine.box.run("ls", "/opt/edge-detector/environments").stdout
    machine.configure("[nonsense]\n")
    said = machine.install(check=False)
    assert "nothing was changed" in said
    assert "unknown key 'nonsense'" in said
    assert machine.box.run(*RUNNING).stdout == old
    assert machine.box.run("ls", "/opt/edge-detector/environments").stdout == environments
    assert machine.shows("MainPID") == pid
    machine.configure()


def test_somebody_with_the_wheel_alone_upgrades_and_goes_back(machine: Machine) -> None:
    machine.configure()
    machine.box.run("sh", "-c", _FROM_WHEEL)
    old = machine.box.run(*RUNNING).stdout
    began = time.monotonic()
    said = machine.box.run("/srv/person/venv/bin/edge-detector", "install-service").stdout
    report("upgrade from a wheel", time.monotonic() - began)
    assert "keeping /etc/edge-detector/edge.toml" in said
    new = machine.box.run(*RUNNING).stdout
    assert new != old
    assert new.startswith("/opt/edge-detector/environments/")
    python = str(Path(new.strip()).with_name("python"))
    machine.box.run(python, "-c", "import pyaudio, starlette, uvicorn, prometheus_client")
    assert machine.shows("ActiveState") == "active"
    with subscriber(machine.broker.host, machine.broker.port) as inbox:
        inbox.wait_for(is_healthy, "healthy source")
    machine.box.run("cmp", "/opt/edge-detector/README.md", "/srv/project/README.md")
    machine.box.run("cmp", f"/etc/systemd/system/{UNIT}", f"/srv/project/systemd/{UNIT}")
    # The installed program has the installer too, and needs the person's folder no more.
    machine.box.run("rm", "-r", "/srv/person")
    machine.box.run("edge-detector", "install-service", "--rollback")
    assert machine.box.run(*RUNNING).stdout == old
    assert machine.shows("ActiveState") == "active"
    machine.box.run("edge-detector", "install-service")
    assert machine.box.run("readlink", "-f", "/opt/edge-detector/bin/edge-detector.previous").stdout == old
    assert machine.shows("ActiveState") == "active"


def test_uninstalling_takes_the_program_away_and_leaves_what_is_the_user_s(machine: Machine) -> None:
    machine.box.run("edge-detector", "install-service", "--uninstall")
    for path in ("/opt/edge-detector", "/usr/local/bin/edge-detector", f"/etc/systemd/system/{UNIT}"):
        assert machine.box.run("test", "-e", path, check=False).returncode == 1, path
    for path in ("/etc/edge-detector/edge.toml", STATE):
        machine.box.run("test", "-e", path)
    assert machine.shows("LoadState") == "not-found"
    machine.install("uninstall", "--purge")
    for path in ("/etc/edge-detector", STATE, "/var/lib/edge-detector"):
        assert machine.box.run("test", "-e", path, check=False).returncode == 1, path


def test_the_wheel_alone_makes_a_running_service_where_nothing_was_before(machine: Machine) -> None:
    machine.box.run("sh", "-c", _FROM_WHEEL)
    said = machine.box.run("/srv/person/venv/bin/edge-detector", "install-service").stdout
    assert "wrote /etc/edge-detector/edge.toml" in said
    machine.box.run("cmp", "/etc/edge-detector/edge.toml", "/srv/project/systemd/edge.toml")
    assert (machine.shows("ActiveState"), machine.shows("UnitFileState")) == ("active", "enabled")
    machine.configure()
    machine.systemctl("restart")
    with subscriber(machine.broker.host, machine.broker.port) as inbox:
        inbox.wait_for_payload(f"{BASE}/status", b"online")
    machine.box.run("edge-detector", "install-service", "--uninstall", "--purge")
    for path in ("/opt/edge-detector", "/etc/edge-detector", "/var/lib/edge-detector"):
        assert machine.box.run("test", "-e", path, check=False).returncode == 1, path
