"""Upgrading and removing the service, under a real systemd. `make test-systemd` runs it, as root, after test_box.py."""

import time

from tests.system.systemd.conftest import STATE, UNIT, Machine, report


def test_an_upgrade_keeps_configuration_state_and_the_environment_before(machine: Machine) -> None:
    machine.configure("[class.rain]\nenabled = false\n")
    machine.systemctl("restart")
    config = machine.box.root / "etc/edge-detector/edge.toml"
    before = config.read_text()
    machine.box.run("sh", "-c", f"test -d {STATE} && echo kept > {STATE}/marker")
    old = machine.box.run("readlink", "-f", "/opt/edge-detector/bin/edge-detector").stdout
    began = time.monotonic()
    assert "keeping /etc/edge-detector/edge.toml" in machine.install()
    report("upgrade", time.monotonic() - began)
    assert config.read_text() == before
    assert machine.box.run("cat", f"{STATE}/marker").stdout == "kept\n"
    assert machine.box.run("readlink", "-f", "/opt/edge-detector/bin/edge-detector").stdout != old
    assert len(machine.box.run("ls", "/opt/edge-detector/environments").stdout.split()) == 2
    assert machine.box.run("readlink", "-f", "/opt/edge-detector/bin/edge-detector.previous").stdout == old
    assert machine.shows("ActiveState") == "active"
    assert machine.box.run("edge-detector", "--version").stdout.startswith("edge-detector ")


def test_an_upgrade_that_would_not_start_leaves_the_old_version_running(machine: Machine) -> None:
    machine.configure()
    machine.systemctl("restart")
    pid = machine.shows("MainPID")
    old = machine.box.run("readlink", "-f", "/opt/edge-detector/bin/edge-detector").stdout
    environments = machine.box.run("ls", "/opt/edge-detector/environments").stdout
    machine.configure("[nonsense]\n")
    said = machine.install(check=False)
    assert "nothing was changed" in said
    assert "unknown key 'nonsense'" in said
    assert machine.box.run("readlink", "-f", "/opt/edge-detector/bin/edge-detector").stdout == old
    assert machine.box.run("ls", "/opt/edge-detector/environments").stdout == environments
    assert machine.shows("MainPID") == pid
    machine.configure()


def test_uninstalling_takes_the_program_away_and_leaves_what_is_the_user_s(machine: Machine) -> None:
    machine.install("uninstall")
    for path in ("/opt/edge-detector", "/usr/local/bin/edge-detector", f"/etc/systemd/system/{UNIT}"):
        assert machine.box.run("test", "-e", path, check=False).returncode == 1, path
    for path in ("/etc/edge-detector/edge.toml", STATE):
        machine.box.run("test", "-e", path)
    assert machine.shows("LoadState") == "not-found"
    machine.install("uninstall", "--purge")
    for path in ("/etc/edge-detector", STATE, "/var/lib/edge-detector"):
        assert machine.box.run("test", "-e", path, check=False).returncode == 1, path
