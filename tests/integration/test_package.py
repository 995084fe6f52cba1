"""What is built of the repository: a source distribution with all of it, and a wheel with what runs."""

import os
import re
import subprocess
import sys
import tarfile
import venv
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zipfile import ZipFile

import pytest

import edge_detector

ROOT = Path(__file__).parents[2]
STEM = f"edge_detector-{edge_detector.__version__}"
OLDEST_SETUPTOOLS = 77
# Of no use without git.
ONLY_IN_GIT = {".gitignore", ".ci/run"}
SERVICE = {f"systemd/{name}" for name in ("edge-detector.service", "edge.toml", "install.sh")}


def tracked() -> set[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("compares with what git tracks, and this is no clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def build(kind: str, source: Path, output: Path) -> Path:
    """Build without network, as `pip wheel` and `python -m build` do."""
    code = f"from setuptools import build_meta; import sys; print(build_meta.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(output)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output / done.stdout.splitlines()[-1]


def install(wheel: Path, folder: Path) -> Path:
    """A virtual environment with the wheel alone; its dependencies are those of the tests' environment."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, env=clean())
    site = next(folder.glob("lib/python3*/site-packages"))
    # Behind its own packages; the links of editable installations there are not followed.
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return folder / "bin"


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(*command: str | Path, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=where, env=clean(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a clone's files, in which nothing of older builds lies about."""
    try:
        too_old = int(version("setuptools").partition(".")[0]) < OLDEST_SETUPTOOLS
    except PackageNotFoundError:
        too_old = True
    if too_old:
        pytest.skip(f"needs setuptools {OLDEST_SETUPTOOLS}, of the extra dev")
    folder = tmp_path_factory.mktemp("sdist")
    for name in tracked():
        copy = folder / "clone" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
        copy.chmod((ROOT / name).stat().st_mode)
    return build("sdist", folder / "clone", folder)


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of the source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return build("wheel", folder / STEM, folder)


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("installed"))


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_source_distribution_has_every_file_that_git_tracks_as_it_is(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = {each.name.removeprefix(f"{STEM}/"): each for each in archive if each.isfile()}
        for name in tracked() - ONLY_IN_GIT:
            opened = archive.extractfile(members[name])
            assert opened is not None
            assert opened.read() == (ROOT / name).read_bytes(), name
    made = {name for name in members if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    assert set(members) - made == tracked() - ONLY_IN_GIT


def test_the_wheel_has_the_packages_and_what_they_read(wheel: Path) -> None:
    ours = {name for name in tracked() if name.startswith(("edge_detector/", "convert/"))}
    sources = "".join((ROOT / name).read_text() for name in ours if name.endswith(".py"))
    recipes = {name for name in ours if name.startswith("convert/recipes/")}
    read = {
        name
        for name in recipes
        if name.endswith(".toml") or (name.endswith((".json", ".csv")) and f'"{Path(name).name}"' in sources)
    }
    assert read > {name for name in recipes if name.endswith(".toml")}, "some are tables"
    beside = {f"{STEM}.data/data/share/edge-detector/{name}" for name in {"README.md", *SERVICE}}
    packed = {name for name in contents(wheel) if not name.startswith(f"{STEM}.dist-info/")}
    assert packed == (ours - recipes) | read | beside


def test_installer_and_container_copy_all_that_the_wheel_is_made_of(wheel: Path, tmp_path: Path) -> None:
    listed = re.search(r"for part in (.+?); do", (ROOT / "systemd" / "install.sh").read_text())
    assert listed is not None
    parts = set(listed[1].split())
    copied = re.findall(r"(?m)^COPY (?!--)(.+) \S+$", (ROOT / "container" / "Containerfile").read_text())
    assert {part for line in copied for part in line.split()} == parts
    for name in tracked():
        if Path(name).parts[0] in parts:
            copy = tmp_path / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    (tmp_path / "built").mkdir()
    assert set(contents(build("wheel", tmp_path / "source", tmp_path / "built"))) == set(contents(wheel))


def test_the_metadata_are_complete(wheel: Path) -> None:
    packed = contents(wheel)
    metadata = packed[f"{STEM}.dist-info/METADATA"].decode()
    for line in ("Name: edge-detector", f"Version: {edge_detector.__version__}", "Author: edge-detector developers"):
        assert f"\n{line}\n" in metadata
    for line in ("License-Expression: Apache-2.0", "License-File: LICENSE", "License-File: NOTICE", "Requires-Python: >=3.11"):
        assert f"\n{line}\n" in metadata
    assert (ROOT / "README.md").read_text().splitlines()[0] in metadata
    assert packed[f"{STEM}.dist-info/licenses/NOTICE"] == (ROOT / "NOTICE").read_bytes()


def test_the_wheel_in_an_empty_environment_has_the_command_and_the_default_bundle(programs: Path, tmp_path: Path) -> None:
    said = run(programs / "edge-detector", "--version", where=tmp_path)
    assert said.stdout == f"edge-detector {edge_detector.__version__}\n", said.stderr
    code = "import edge_detector; print(edge_detector.__file__)"
    assert run(programs / "python", "-c", code, where=tmp_path).stdout.startswith(str(programs.parent))
    classes = run(programs / "edge-detector", "classes", where=tmp_path)
    assert "Baby crying" in classes.stdout, classes.stderr


def test_convert_from_the_wheel_reads_its_recipes_and_says_what_it_has_not(programs: Path, tmp_path: Path) -> None:
    code = (
        "from convert.recipe import load_recipe, shipped\n"
        "from convert.evaluation.may_hold import MAY_HOLD, read_may_hold\n"
        "from convert.embedder.yamnet_labels import AUDIOSET_LABELS\n"
        "print(*[load_recipe(name).path.stem for name in shipped()], len(read_may_hold(MAY_HOLD, ['rain']).rows) > 0)\n"
        "print(AUDIOSET_LABELS.is_file())"
    )
    done = run(programs / "python", "-c", code, where=tmp_path)
    assert done.stdout == "audioset default esc10 youtube8m True\nTrue\n", done.stderr
    left_out = "convert/recipes/default_background.json"
    asked = run(programs / "python", "-m", "convert", "background", "--plan", left_out, "-o", "cut", ".", where=tmp_path)
    assert asked.returncode == 2
    assert asked.stderr.endswith(
        f"{left_out} does not exist; give its path in a clone of the repository: the wheel has not all files of the recipes\n"
    )
    assert asked.stderr.count("\n") == 1


def test_an_installed_program_packs_itself_as_the_wheel_that_it_came_from(wheel: Path, programs: Path, tmp_path: Path) -> None:
    packed = run(programs / "edge-detector", "install-service", "--pack", tmp_path, where=tmp_path)
    assert packed.returncode == 0, packed.stderr
    again = Path(packed.stdout.strip())
    assert again.name == wheel.name
    record = f"{STEM}.dist-info/RECORD"
    before, after = contents(wheel), contents(again)
    assert sorted(before.pop(record).decode().splitlines()) == sorted(after.pop(record).decode().splitlines())
    assert after == before
    with ZipFile(again) as archive:
        mode = archive.getinfo(f"{STEM}.data/data/share/edge-detector/systemd/install.sh").external_attr >> 16
    assert mode & 0o100
    second = install(again, tmp_path / "again")
    said = run(second / "edge-detector", "--version", where=tmp_path)
    assert said.stdout == f"edge-detector {edge_detector.__version__}\n", said.stderr


def test_the_wheel_has_the_installer_of_the_service(programs: Path, tmp_path: Path) -> None:
    code = "from edge_detector.cli.install_service import find_installer, REPOSITORY; print(find_installer(REPOSITORY))"
    found = Path(run(programs / "python", "-c", code, where=tmp_path).stdout.strip())
    assert found == programs.parent / "share/edge-detector/systemd/install.sh"
    for name in SERVICE:
        assert (found.parent / Path(name).name).read_bytes() == (ROOT / name).read_bytes()
    assert (found.parents[1] / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
