"""What can be known of unit and installer without running them."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[3] / "systemd"
UNIT = SYSTEMD / "edge-detector.service"
MOST_EXPOSURE = 1.6

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def settings() -> dict[str, str]:
    """Every key of the unit with its last value."""
    lines = (line.partition("=") for line in UNIT.read_text().splitlines() if not line.startswith(("#", "[")))
    return {key: value for key, separator, value in lines if separator}


@needs_systemd
def test_systemd_finds_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    # Nothing is installed where the tests run.
    copy.write_text(re.sub(r"(?m)^(Exec\w+)=/opt/\S+", r"\1=/bin/true", UNIT.read_text()))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", copy], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@needs_systemd
def test_the_unit_is_as_closed_as_a_microphone_and_a_broker_allow() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={round(10 * MOST_EXPOSURE)}", str(UNIT)]
    rated = subprocess.run(command, capture_output=True, text=True, check=False)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)
    assert exposure is not None, rated.stdout + rated.stderr
    assert float(exposure[1]) <= MOST_EXPOSURE
    assert rated.returncode == 0


def test_the_networks_keep_their_speed_in_the_sandbox() -> None:
    # Without /proc/cpuinfo TFLite falls back, with one line on stderr, to kernels that were 300 times slower here.
    assert "ProcSubset" not in settings()


def test_no_just_in_time_code_no_new_privileges_and_only_sound_devices() -> None:
    unit = settings()
    assert unit["MemoryDenyWriteExecute"] == unit["NoNewPrivileges"] == unit["DynamicUser"] == "yes"
    assert (unit["DevicePolicy"], unit["DeviceAllow"]) == ("closed", "char-alsa rw")
    assert unit["CapabilityBoundingSet"] == ""


def test_a_wrong_configuration_is_not_tried_again_and_everything_else_is() -> None:
    unit = settings()
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == "2"
    assert "StartLimitIntervalSec=0" in UNIT.read_text()


def test_unit_and_installer_mean_the_same_places() -> None:
    script = (SYSTEMD / "install.sh").read_text()
    home = re.search(r"(?m)^HOME_DIR=(.+)$", script)
    config = re.search(r"(?m)^CONFIG_DIR=(.+)$", script)
    assert home is not None
    assert config is not None
    unit = settings()
    assert unit["ExecStart"] == f"{home[1]}/bin/edge-detector run --config {config[1]}/edge.toml"
    assert unit["LoadCredential"] == f"secrets:{config[1]}/secrets"


def test_the_installer_brings_what_microphone_and_page_need() -> None:
    named = re.search(r"pip install .*\[([\w,]+)\]", (SYSTEMD / "install.sh").read_text())
    assert named is not None
    extras = tomllib.loads((SYSTEMD.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert named[1].split(",") == ["mic", "web"]
    assert set(extras) >= {"mic", "web"}


def test_a_reload_is_refused_where_the_configuration_is() -> None:
    reloads = re.findall(r"(?m)^ExecReload=(.+)$", UNIT.read_text())
    config = settings()["ExecStart"].rpartition(" ")[2]
    assert [line.split()[1:] for line in reloads] == [["check-config", "--quiet", config], ["-HUP", "$MAINPID"]]


def test_memory_that_a_child_asked_for_does_not_stop_the_service() -> None:
    assert settings()["OOMPolicy"] == "continue"


def test_no_secret_is_where_everybody_can_read_it() -> None:
    assert not re.search(r"(?mi)^(Set|Environment).*(password|secret)", UNIT.read_text())


def test_the_installer_is_a_shell_script_that_says_how_it_is_used() -> None:
    assert subprocess.run(["sh", "-n", SYSTEMD / "install.sh"], check=False).returncode == 0
    refused = subprocess.run([SYSTEMD / "install.sh", "nonsense"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert re.search("usage|must be run as root", refused.stderr)
