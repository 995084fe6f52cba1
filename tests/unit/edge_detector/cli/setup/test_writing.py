import os
import stat
from pathlib import Path

import pytest

from edge_detector.cli.setup.writing import HERE, backup_of, default_path, problem_of, secret_file, write_config, write_secret
from edge_detector.errors import EdgeDetectorError
from tests.support.disks import fill, remount, small_disk


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_that_is_named_is_written_then_the_services_then_one_here(tmp_path: Path) -> None:
    assert default_path(Path("mine.toml"), tmp_path / "edge.toml") == Path("mine.toml")
    assert default_path(None, tmp_path / "edge.toml") == tmp_path / "edge.toml"
    assert default_path(None, tmp_path / "not installed" / "edge.toml") == HERE


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "edge.toml") is None
    assert "is a folder; give the name of a file" in str(problem_of(tmp_path))
    assert "is not there; make it" in str(problem_of(tmp_path / "no" / "edge.toml"))
    with small_disk(tmp_path / "disk"):
        remount(tmp_path / "disk", "ro")
        assert "sudo edge-detector setup" in str(problem_of(tmp_path / "disk" / "edge.toml"))


def test_an_old_configuration_is_kept_under_a_name_that_nothing_has(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    for text in ("one", "two", "three"):
        write_config(path, text, backup_of(path) if path.exists() else None)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        "edge.toml": "three",
        "edge.toml.bak": "one",
        "edge.toml.bak-2": "two",
    }


def test_the_service_can_read_a_new_configuration_and_an_old_ones_mode_stays(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    before = os.umask(0o077)
    try:
        write_config(path, "one", None)
        assert mode(path) == 0o644
        path.chmod(0o640)
        write_config(path, "two", None)
        assert mode(path) == 0o640
    finally:
        os.umask(before)


def test_a_link_to_a_configuration_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("one")
    (tmp_path / "edge.toml").symlink_to("real.toml")
    write_config(tmp_path / "edge.toml", "two", None)
    assert (tmp_path / "edge.toml").is_symlink()
    assert (tmp_path / "real.toml").read_text() == "two"


def test_a_password_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "edge.toml", "mqtt-password")
    assert path == tmp_path / "secrets" / "mqtt-password"
    for secret in ("hunter2", "hunter3"):
        write_secret(path, secret)
        assert path.read_text() == f"{secret}\n"
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)
        path.chmod(0o644)


def test_a_full_disk_leaves_the_old_configuration_whole(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        path = tmp_path / "disk" / "edge.toml"
        path.write_text("one")
        fill(path.parent)
        with pytest.raises(EdgeDetectorError, match=r"edge\.toml cannot be written: No space left on device; see whether"):
            write_config(path, "two" * 10_000, None)
        with pytest.raises(EdgeDetectorError, match="the password cannot be written"):
            write_secret(path.parent / "mqtt-password", "hunter2" * 1_000)
        assert {each.name for each in path.parent.iterdir()} == {"edge.toml", "ballast"}
        assert path.read_text() == "one"
