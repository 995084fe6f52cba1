import os
import sys
from pathlib import Path

import pytest

from edge_detector.cli import install_service
from edge_detector.cli.main import main

ROOT = Path(__file__).parents[4]


class BecameError(Exception):
    """In place of this process, which would be another program then."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What would have been started, by root."""
    commands: list[object] = []

    def become(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        commands.extend((path, arguments, environment["PROGRAM_PYTHON"]))
        raise BecameError

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return commands


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ["install"]),
        (("--rollback",), ["rollback"]),
        (("--uninstall",), ["uninstall"]),
        (("--uninstall", "--purge"), ["uninstall", "--purge"]),
    ],
)
def test_the_repository_s_installer_is_run_in_place_of_the_command(
    options: tuple[str, ...], words: list[str], started: list[object]
) -> None:
    with pytest.raises(BecameError):
        main(["install-service", *options])
    assert started == ["/bin/sh", ["sh", str(ROOT / "systemd" / "install.sh"), *words], sys.executable]


def test_purge_alone_removes_nothing(started: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install-service", "--purge"]) == 2
    assert "--purge belongs to --uninstall" in capsys.readouterr().err
    assert started == []


def test_without_root_the_command_to_run_is_named(
    started: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["/home/pi/v/bin/edge-detector", "install-service", "--rollback"])
    assert main(sys.argv[1:]) == 2
    assert "run: sudo /home/pi/v/bin/edge-detector install-service --rollback" in capsys.readouterr().err
    assert started == []


def test_verbs_exclude_each_other(started: list[object]) -> None:
    with pytest.raises(SystemExit):
        main(["install-service", "--rollback", "--uninstall"])
    assert started == []


def test_the_installer_is_found_in_a_repository_first(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    installer = tmp_path / "systemd" / "install.sh"
    installer.touch()
    assert install_service.find_installer(tmp_path) == installer


def test_what_is_linked_to_a_repository_is_not_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install-service", "--pack", str(tmp_path)]) == 1
    assert "this installation is a link to a repository; run there: make wheel" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
