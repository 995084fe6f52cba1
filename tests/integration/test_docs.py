"""Every command, link and configuration in the README and in docs works as it stands there."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from convert.__main__ import parser as convert_parser
from convert.embedder.runtime import DEFAULT_BUNDLE
from convert.recipe import load_recipe
from edge_detector import __version__
from edge_detector.cli.main import main, parser
from edge_detector.clips.store import FOLDER_NAME, ClipStore
from edge_detector.config import load_config
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.history.store import FILE_NAME
from tests.support.broker import Broker
from tests.support.clips import noise, write
from tests.support.fake_microphone import FakeMicrophone
from tests.support.history import open_store, recorded
from tests.support.inbox import subscriber
from tests.support.soundscape_file import write_soundscape
from tests.unit.convert.bundling.test_own_bundle import STEPS

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
BLOCKS = [block for text in TEXTS.values() for block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
COMMANDS = list(
    dict.fromkeys(
        line.removeprefix("$ ")
        for kind, text in BLOCKS
        if kind == "console"
        for line in text.splitlines()
        if line.startswith("$ ")
    )
)
CONVERT = ".venv/bin/python -m convert "
EDGE_DETECTOR = ".venv/bin/edge-detector "


def matching(pattern: str) -> list[str]:
    return [command for command in COMMANDS if re.fullmatch(pattern, command)]


INSTALLS = matching(r"sudo apt install .*|\.venv/bin/pip install .*")
SERVICE = matching(r"sudo make .*|sudo systemctl .*|journalctl .*")
INSTALL_SERVICE = matching(r"sudo (edge-detector/bin/)?edge-detector install-service.*")
# test_package.py installs the wheel, the box of tests/system/systemd its service.
FROM_WHEEL = matching(r"python3 -m venv edge-detector|edge-detector/bin/pip install .*")
MAKE = [command for command in matching("make .*") if command != "make demo"]
OWN_STEPS = [command for command in COMMANDS if command.removeprefix(CONVERT) in STEPS]
# These need TensorFlow for minutes, a person who answers or makes a sound, or files of gigabytes; tests of their own run them in
# short.
LONG = matching(
    rf"{CONVERT}((score|teach|fetch|export-embedder|infer) .*|embed .*--runner.*)|{EDGE_DETECTOR}(record|setup|teach).*|"
    r"sudo edge-detector setup"
)
# test_spark.py starts both on the loopback address.
CLUSTER = matching(r"PYSPARK_PYTHON=\.venv/bin/python \.venv/bin/spark-class .*")
NOT_RUN = {*CLUSTER, *INSTALLS, *SERVICE, *INSTALL_SERVICE, *FROM_WHEEL, *MAKE, *OWN_STEPS, *LONG, "git pull"}
RUNNABLE = [command for command in COMMANDS if command not in NOT_RUN]


@pytest.fixture
def folder(tmp_path: Path, broker: Broker, microphone: FakeMicrophone) -> Path:
    """The folder of somebody who follows the pages: a recording, a configuration, a corpus, bundles."""
    soundscape = make_soundscape()
    (tmp_path / "corpus").mkdir()
    for path in ("recording.wav", "corpus/one.wav", "corpus/two.wav"):
        write_soundscape(tmp_path / path)
    settings = next(text for kind, text in BLOCKS if kind == "toml")
    (tmp_path / "edge.toml").write_text(f"{settings}port = {broker.port}\n".replace('"USB"', '"fakemic"'))
    for name in ("my-bundle", "my-sounds"):
        (tmp_path / name).symlink_to(DEFAULT_BUNDLE)
    microphone.play(soundscape.samples.astype("<i2").tobytes(), latency_milliseconds=200)
    return tmp_path


def words_of(command: str, broker: Broker) -> list[str]:
    """The command as it runs here: this environment's programs, the test's broker, no root."""
    programs = Path(sys.executable).parent
    command = re.sub(r"^sudo edge-detector ", EDGE_DETECTOR, command).replace("/etc/edge-detector/", "")
    command = command.replace(".venv/bin/", f"{programs}/").replace("mosquitto_sub ", f"mosquitto_sub -p {broker.port} ")
    return shlex.split(command)


@pytest.mark.parametrize("command", RUNNABLE)
def test_the_command_works(command: str, folder: Path, broker: Broker, microphone: FakeMicrophone) -> None:
    words = words_of(command, broker)
    where = ROOT if words[0] == "make" else folder
    environment = {**os.environ, **microphone.environment}
    if " events" in command:
        environment["STATE_DIRECTORY"] = str(folder)
        with closing(open_store(folder / FILE_NAME)) as store:
            store.apply([recorded(1, start_ms=round(1e3 * time.time()))])
    if " clips" in command:
        environment["STATE_DIRECTORY"] = str(folder)
        write(ClipStore(folder / FOLDER_NAME), 1, noise(1.0))
    if "--web" in words:
        words += ["--web-port", "0"]
    with subprocess.Popen(
        words, cwd=where, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        if words[0] == "mosquitto_sub":
            with subscriber(broker.host, broker.port) as inbox:
                service = [sys.executable, "-m", "edge_detector", "run", "--config", str(one_file(folder))]
                subprocess.run(service, check=True, capture_output=True)
                inbox.wait_for(lambda item: item.topic.endswith("/status"), "status")
            assert process.stdout is not None
            assert "edge_detector/nursery/mic/" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            return
        if "--web" in words:
            assert process.stdout is not None
            served = next(line for line in process.stdout if "the page is served" in line)
            address = urlsplit(served.split()[-1])
            connection = HTTPConnection(address.netloc, timeout=20)
            connection.request("GET", "/")
            assert connection.getresponse().status == HTTPStatus.OK
            connection.close()
            process.send_signal(signal.SIGINT)
        if " run " in command:
            with subscriber(broker.host, broker.port) as inbox:
                inbox.wait_for(lambda item: item.topic.endswith("/probabilities"), "probabilities")
                process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def one_file(folder: Path) -> Path:
    """The configuration with the recording in place of the microphone, so that the service ends by itself."""
    config = folder / "file.toml"
    text = (folder / "edge.toml").read_text()
    config.write_text(re.sub(r"device = .*", f'kind = "file"\ndevice = "{folder}/recording.wav"', text))
    return config


@pytest.mark.parametrize("command", INSTALLS)
def test_what_the_pages_install_is_what_the_project_needs(command: str) -> None:
    words = [word for word in shlex.split(command.replace("sudo ", ""))[2:] if word != "-e"]
    makefile, project = (ROOT / "Makefile").read_text(), (ROOT / "pyproject.toml").read_text()
    for word in words:
        if extras := re.fullmatch(r"\.\[([\w,]+)\]", word):
            assert all(f"\n{extra} = [" in project for extra in extras[1].split(",")), word
        else:
            assert re.search(rf"APT_TEST :=.*\b{word}\b", makefile), word


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_the_target(command: str) -> None:
    dry = subprocess.run(
        shlex.split(command.replace("make ", "make -n ", 1)), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert dry.returncode == 0, dry.stderr


@pytest.mark.parametrize("command", SERVICE)
def test_the_service_is_controlled_as_in_its_tests(command: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    words = shlex.split(command)
    if words[:2] == ["sudo", "make"]:
        assert f"\n{words[2]}:\n\t$(SUDO) systemd/install.sh {words[2]}\n" in makefile
    else:
        unit = words[words.index("-u") + 1] if "-u" in words else words[-1]
        assert (ROOT / "systemd" / f"{unit}.service").exists()
        assert words[0] == "journalctl" or words[2] in {"restart", "reload"}


@pytest.mark.parametrize("command", INSTALL_SERVICE)
def test_the_options_of_the_installer_exist(command: str) -> None:
    options = parser().parse_args(command.partition("edge-detector ")[2].split())
    assert f"{options.verb}{' --purge' if options.purge else ''}" in {"install", "uninstall --purge"}


def test_the_wheel_of_the_pages_is_of_this_version() -> None:
    names = {word for command in FROM_WHEEL for word in command.split() if word.endswith(".whl")}
    assert names == {f"edge_detector-{__version__}-py3-none-any.whl"}


@pytest.mark.parametrize("command", CLUSTER)
def test_a_cluster_is_started_as_in_its_tests(command: str) -> None:
    source = (ROOT / "tests" / "support" / "spark.py").read_text()
    _, _, program, *options = shlex.split(command)
    role = program.rpartition(".")[2]
    assert program == f"org.apache.spark.deploy.{role.lower()}.{role}"
    assert f'"{role}", ' in source
    assert all(f'"{option}"' in source for option in options if option.startswith("--"))


@pytest.mark.parametrize("command", LONG)
def test_the_options_of_a_long_command_exist(command: str) -> None:
    words = shlex.split(command.removeprefix("sudo "))
    if words[0].endswith("edge-detector"):
        parser().parse_args(words[1:])
        return
    arguments = convert_parser(words[3:]).parse_args(words[3:])
    if hasattr(arguments, "recipe"):
        load_recipe(arguments.recipe, arguments.replaced)


def test_the_steps_to_a_bundle_of_ones_own_are_the_ones_that_are_tested() -> None:
    assert [command.removeprefix(CONVERT) for command in OWN_STEPS] == list(STEPS)


@pytest.mark.parametrize("number", [number for number, (kind, _) in enumerate(BLOCKS) if kind == "toml"])
def test_the_configuration_is_valid(number: int, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(BLOCKS[number][1])
    loaded = load_config(config)
    if loaded.bundle is None:
        assert main(["check-config", str(config)]) == 0


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((?:docs/)?([\w-]+\.md)", TEXTS[ROOT / "README.md"]))
    assert {page.name for page in PAGES} - {"README.md"} <= linked


def test_the_readme_is_short() -> None:
    text = TEXTS[ROOT / "README.md"]
    assert len(text.split()) <= 1_200
    assert len(text.splitlines()) <= 145
    assert max(len(line) for line in text.splitlines()) <= 130
