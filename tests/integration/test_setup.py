"""`setup` on a terminal, with a real microphone path and a real broker: every question answered as a person does."""

import os
import re
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edge_detector.config import load_config
from tests.support.broker import HOST, Broker, free_port
from tests.support.fake_microphone import FakeMicrophone
from tests.support.terminal import END_OF_INPUT, INTERRUPT, Dialogue

NAME = "in Home Assistant ["
MICROPHONE = "to look again ["
ADDRESS, TLS, PORT, USER, PASSWORD = "Name or address [", "Encrypted (TLS)?", "Port [", "needs a login", "Password, which"
KEEP, ANNOUNCE, BUNDLE, SOUNDS = "Keep these settings", "Announce it", "if you have one", "Enter to go on: "
PAGE, PAGE_PORT, PAGE_PASSWORD, AGAIN = "none, machine or network [", "Port of the page [", "Its password", "Once more: "
CLIPS = "Store the sound of each event"
PLACE, WRITE, REPLACE = "Write it to [", "Write ", "Replace "
PAGE_SECRET = "correct hörse"  # noqa: S105 - of the test's page
SECRET = "hunter2 ä"  # noqa: S105 - of the test's broker


@contextmanager
def setup(folder: Path, microphone: FakeMicrophone, columns: int = 200) -> Iterator[Dialogue]:
    """The program in a folder, with `edge.toml` there as its file; sentences are not wrapped at this width."""
    command = (sys.executable, "-m", "edge_detector", "setup", "--config", "edge.toml")
    with Dialogue(command, folder=folder, environment=microphone.environment, columns=columns) as terminal:
        yield terminal


@pytest.fixture
def noisy(microphone: FakeMicrophone) -> FakeMicrophone:
    noise = np.random.default_rng(0).standard_normal(120 * 16_000) * 600.0
    microphone.play(noise.astype("<i2").tobytes(), latency_milliseconds=500)
    return microphone


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that wants a login."""
    passwords = tmp_path_factory.mktemp("broker") / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "ear", SECRET], check=True)
    with Broker(f"password_file {passwords}", anonymous=False) as broker:
        yield broker


def answer_broker(terminal: Dialogue, port: int, *, user: str = "") -> None:
    terminal.answer(ADDRESS, HOST)
    terminal.answer(TLS)
    terminal.answer(PORT, str(port))
    terminal.answer(USER, user)


def answer_rest(terminal: Dialogue, *, sounds: str = "") -> None:
    terminal.answer(ANNOUNCE)
    terminal.answer(PAGE)
    terminal.answer(CLIPS)
    terminal.answer(BUNDLE)
    if sounds:
        terminal.answer(SOUNDS, sounds)
    terminal.answer(SOUNDS)
    terminal.answer(PLACE)


def content(folder: Path) -> Mapping[str, object]:
    return tomllib.loads((folder / "edge.toml").read_text())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_newcomer_gets_a_configuration_that_was_tried(noisy: FakeMicrophone, guarded: Broker, tmp_path: Path) -> None:
    with setup(tmp_path, noisy) as terminal:
        terminal.answer(NAME, "Nursery Pi")
        assert "may only have lower-case letters, digits and underscores" in terminal.answer(NAME, "nursery").replace(
            "\n    ", " "
        )
        shown = terminal.answer(MICROPHONE, "fake")
        assert "fakemic  -3" in shown, "with its level"
        terminal.expect("Listening to fakemic for 3 s; make a sound.")
        assert "at 16000 Hz, level -3" in terminal.expect(ADDRESS)
        terminal.type(f"{HOST}\n")
        terminal.answer(TLS)
        terminal.answer(PORT, "many")
        assert "'many' is not a number" in terminal.answer(PORT, str(guarded.port))
        terminal.answer(USER, "ear")
        terminal.answer(PASSWORD, "wrong")
        assert "refused the connection" in terminal.answer(KEEP)
        for question in (ADDRESS, TLS, PORT, USER):
            terminal.answer(question)
        terminal.answer(PASSWORD, SECRET)
        assert "accepts the login" in terminal.expect(ANNOUNCE)
        terminal.type("n\n")
        terminal.answer(PAGE)
        assert "for 30 days, and all of them have 500 MB at most" in terminal.expect(CLIPS)
        terminal.type("y\n")
        terminal.answer(BUNDLE, "nowhere")
        assert "nowhere" in terminal.answer(BUNDLE)
        terminal.answer(SOUNDS, "kat, cat, Smoke alarm, -rain")
        shown = terminal.answer(SOUNDS)
        assert "there is no class 'kat'; did you mean 'cat'?" in shown
        assert "On (20)" in shown
        terminal.answer(PLACE)
        assert SECRET not in terminal.expect(WRITE)
        terminal.type("\n")
        code, shown = terminal.finish()
    assert code == 0, shown
    assert "edge.toml is valid: node nursery" in shown
    assert "Next: edge-detector run --config edge.toml" in shown
    assert SECRET not in terminal.output, "typed blindly"
    password_file = tmp_path / "secrets" / "mqtt-password"
    assert content(tmp_path) == {
        "node": {"name": "nursery"},
        "source": [{"name": "mic", "device": "fakemic"}],
        "detection": {"class_list": 2},
        "mqtt": {"host": HOST, "port": guarded.port, "username": "ear", "password_file": str(password_file)},
        "home_assistant": {"enabled": False},
        "clips": {"enabled": True},
        "class": {"cat": {"enabled": True}, "smoke_alarm": {"enabled": True}, "rain": {"enabled": False}},
    }
    assert (mode(tmp_path / "edge.toml"), mode(password_file), mode(password_file.parent)) == (0o644, 0o600, 0o700)
    command = (sys.executable, "-m", "edge_detector", "doctor", "--config", "edge.toml", "--seconds", "1")
    doctor = subprocess.run(command, cwd=tmp_path, env=os.environ | noisy.environment, capture_output=True, check=False)
    assert doctor.returncode == 0, doctor.stdout.decode()


OLD = """\
# mine
[node]
name = "nursery"
[[source]]
name = "cot"
device = "fakemic"   # under the bed
hop = 0.48
[mqtt]
host = "127.0.0.1"
port = {port}
commands = true
[class.rain]
on = 0.8
"""


def test_an_existing_file_gives_the_proposals_and_keeps_what_is_not_asked(
    noisy: FakeMicrophone, broker: Broker, tmp_path: Path
) -> None:
    old = OLD.format(port=broker.port)
    (tmp_path / "edge.toml").write_text(old)
    with setup(tmp_path, noisy) as terminal:
        for question in (NAME, MICROPHONE, ADDRESS, TLS, PORT, USER):
            terminal.answer(question)
        answer_rest(terminal, sounds="-speech")
        terminal.answer(REPLACE)
        code, shown = terminal.finish()
    assert code == 0, shown
    assert content(tmp_path) == {**tomllib.loads(old), "class": {"rain": {"on": 0.8}, "speech": {"enabled": False}}}
    assert (tmp_path / "edge.toml.bak").read_text() == old


def test_a_file_whose_values_are_all_kept_stays_with_its_comments(noisy: FakeMicrophone, broker: Broker, tmp_path: Path) -> None:
    old = OLD.format(port=broker.port)
    (tmp_path / "edge.toml").write_text(old)
    with setup(tmp_path, noisy) as terminal:
        for question in (NAME, MICROPHONE, ADDRESS, TLS, PORT, USER):
            terminal.answer(question)
        answer_rest(terminal)
        code, shown = terminal.finish()
    assert code == 0
    assert "has these settings already" in shown
    assert (tmp_path / "edge.toml").read_text() == old
    assert [path.name for path in tmp_path.iterdir()] == ["edge.toml"]


def test_no_answer_overwrites_a_file_without_being_asked_for(noisy: FakeMicrophone, broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("# mine\n")
    with setup(tmp_path, noisy) as terminal:
        terminal.answer(NAME)
        terminal.answer(MICROPHONE)
        answer_broker(terminal, broker.port)
        terminal.answer(ANNOUNCE)
        terminal.answer(PAGE)
        terminal.answer(CLIPS)
        terminal.answer(BUNDLE)
        terminal.answer(SOUNDS)
        terminal.answer(PLACE, "no/such/folder/edge.toml")
        assert "is not there; make it" in terminal.answer(PLACE, "other.toml")
        terminal.answer("other.toml.bak", "n")
        terminal.answer(PLACE)
        terminal.answer(WRITE)
        assert terminal.finish()[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"edge.toml", "other.toml"}
    assert (tmp_path / "other.toml").read_text() == "# mine\n"


def until_the_page(terminal: Dialogue, port: int) -> None:
    terminal.answer(NAME, "nursery")
    terminal.answer(MICROPHONE)
    answer_broker(terminal, port)
    terminal.answer(ANNOUNCE)


def after_the_page(terminal: Dialogue) -> str:
    terminal.answer(CLIPS)
    terminal.answer(BUNDLE)
    terminal.answer(SOUNDS)
    terminal.answer(PLACE)
    terminal.answer(WRITE)
    code, shown = terminal.finish()
    assert code == 0, shown
    return shown


def test_a_page_for_the_network_gets_a_password_of_its_own_and_a_port_that_is_free(
    noisy: FakeMicrophone, broker: Broker, tmp_path: Path
) -> None:
    port = free_port()
    with socket.create_server((HOST, 0)) as taken, setup(tmp_path, noisy) as terminal:
        until_the_page(terminal, broker.port)
        assert "'everybody' is none of them" in (terminal.answer(PAGE, "everybody") + terminal.answer(PAGE, "network"))
        assert "'99999' is not a port" in (
            terminal.answer(PAGE_PORT, "99999") + terminal.answer(PAGE_PORT, str(taken.getsockname()[1]))
        )
        terminal.answer(PAGE_PASSWORD, "short")
        assert "that has 5 characters; choose 8 to 256" in terminal.answer(PAGE_PASSWORD, PAGE_SECRET)
        terminal.answer(AGAIN, "something else")
        assert "the two are not the same" in terminal.answer(PAGE_PASSWORD, PAGE_SECRET)
        terminal.answer(AGAIN, PAGE_SECRET)
        shown = terminal.answer("Keep this page all the same?")
        assert "(Address already in use)" in shown
        terminal.answer(PAGE)
        terminal.answer(PAGE_PORT, str(port))
        assert "Enter for the one just given" in terminal.answer(f"{PAGE_PASSWORD}, 8 characters or more, which is not shown") + (
            terminal.expect("is free for it; while the service runs, it is at http://")
        )
        shown = after_the_page(terminal)
        assert PAGE_SECRET not in terminal.output, "typed blindly"
    file = tmp_path / "secrets" / "web-password"
    assert content(tmp_path)["web"] == {"listen": f"0.0.0.0:{port}", "password_file": str(file)}
    assert (file.read_text(), mode(file), mode(file.parent)) == (f"{PAGE_SECRET}\n", 0o600, 0o700)
    assert f"page: on 0.0.0.0:{port}, password in {file}" in shown


def test_a_password_that_is_made_for_the_page_is_shown_once_and_can_be_typed(
    noisy: FakeMicrophone, broker: Broker, tmp_path: Path
) -> None:
    with setup(tmp_path, noisy) as terminal:
        until_the_page(terminal, broker.port)
        terminal.answer(PAGE, "network")
        terminal.answer(PAGE_PORT, str(free_port()))
        terminal.answer(PAGE_PASSWORD)
        terminal.expect("Its password is ")
        after_the_page(terminal)
        made = (tmp_path / "secrets" / "web-password").read_text().rstrip("\n")
        assert re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){3}[a-hjkmnp-z2-9]{4}", made)
        assert terminal.output.count(made) == 1


def test_a_page_for_this_machine_has_no_password_and_is_proposed_the_next_time(
    noisy: FakeMicrophone, broker: Broker, tmp_path: Path
) -> None:
    port = free_port()
    with setup(tmp_path, noisy) as terminal:
        until_the_page(terminal, broker.port)
        terminal.answer(PAGE, "machine")
        assert "[8080]" in terminal.answer(PAGE_PORT, str(port)) + terminal.output
        after_the_page(terminal)
    assert content(tmp_path)["web"] == {"listen": f"127.0.0.1:{port}"}
    with setup(tmp_path, noisy) as terminal:
        for question in (NAME, MICROPHONE, ADDRESS, TLS, PORT, USER, ANNOUNCE, PAGE, PAGE_PORT, CLIPS, BUNDLE, SOUNDS, PLACE):
            terminal.answer(question)
        code, shown = terminal.finish()
    assert code == 0
    assert "has these settings already" in shown


WITH_PAGE = (
    OLD
    + """\
[web]
listen = "0.0.0.0:{page}"
password_file = "{folder}/mine"
url = "https://sounds.example.org"
"""
)


def test_a_page_that_is_there_keeps_its_password_and_its_url_or_goes_with_all_its_keys(
    noisy: FakeMicrophone, broker: Broker, tmp_path: Path
) -> None:
    old = WITH_PAGE.format(port=broker.port, page=free_port(), folder=tmp_path)
    (tmp_path / "edge.toml").write_text(old)
    (tmp_path / "mine").write_text(f"{PAGE_SECRET}\n")
    (tmp_path / "mine").chmod(0o600)
    before = (NAME, MICROPHONE, ADDRESS, TLS, PORT, USER, ANNOUNCE)
    with setup(tmp_path, noisy) as terminal:
        for question in (*before, PAGE, PAGE_PORT, PAGE_PASSWORD):
            terminal.answer(question)
        terminal.expect("it is at https://sounds.example.org/")
        for question in (CLIPS, BUNDLE, SOUNDS, PLACE):
            terminal.answer(question)
        assert "has these settings already" in terminal.finish()[1]
    with setup(tmp_path, noisy) as terminal:
        for question in before:
            terminal.answer(question)
        terminal.answer(PAGE, "none")
        terminal.answer(CLIPS)
        terminal.answer(BUNDLE)
        terminal.answer(SOUNDS)
        terminal.answer(PLACE)
        terminal.answer(REPLACE)
        assert terminal.finish()[0] == 0
    assert content(tmp_path) == {key: table for key, table in tomllib.loads(old).items() if key != "web"}
    assert (tmp_path / "mine").read_text() == f"{PAGE_SECRET}\n"


def test_a_broker_that_is_away_may_be_kept_all_the_same(noisy: FakeMicrophone, tmp_path: Path) -> None:
    port = free_port()
    with setup(tmp_path, noisy) as terminal:
        terminal.answer(NAME, "nursery")
        terminal.answer(MICROPHONE)
        answer_broker(terminal, port)
        assert "cannot be reached: nothing listens on that port" in terminal.answer(KEEP, "y")
        answer_rest(terminal)
        terminal.answer(WRITE)
        assert terminal.finish()[0] == 0
    assert load_config(tmp_path / "edge.toml").mqtt.port == port


def test_a_muted_microphone_is_said_and_asked_about_again(microphone: FakeMicrophone, tmp_path: Path) -> None:
    with setup(tmp_path, microphone) as terminal:
        terminal.answer(NAME)
        assert "digital silence" in terminal.answer(MICROPHONE, "nobody")
        assert "'nobody' is not one of them" in terminal.answer(MICROPHONE, "r")
        terminal.answer(MICROPHONE, "1")
        assert "digital silence: every sample is 0" in terminal.answer("Use it all the same?")
        terminal.answer(MICROPHONE, "1")
        terminal.answer("Use it all the same?", "y")
        terminal.expect(ADDRESS)


def test_without_pyaudio_a_card_or_the_default_is_tried_by_arecord(noisy: FakeMicrophone, tmp_path: Path) -> None:
    (tmp_path / "pyaudio.py").write_text("raise ImportError('no PyAudio here')\n")
    environment = noisy.environment | {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    command = (sys.executable, "-m", "edge_detector", "setup", "--config", "edge.toml")
    with Dialogue(command, folder=tmp_path, environment=environment, columns=200) as terminal:
        terminal.answer(NAME)
        terminal.answer(MICROPHONE, "default")
        assert "at 16000 Hz, level -3" in terminal.expect(ADDRESS)


QUESTIONS = (NAME, MICROPHONE, ADDRESS, TLS, PORT, USER, PASSWORD, ANNOUNCE, PAGE, CLIPS, BUNDLE, SOUNDS, PLACE, WRITE)


@pytest.mark.parametrize(
    ("last", "key"),
    [(NAME, INTERRUPT), (NAME, END_OF_INPUT), (PASSWORD, INTERRUPT), (PASSWORD, END_OF_INPUT), (WRITE, INTERRUPT)],
    ids=["first, Ctrl-C", "first, end of input", "hidden, Ctrl-C", "hidden, end of input", "last, Ctrl-C"],
)
def test_a_break_at_a_question_writes_nothing_and_says_so(
    noisy: FakeMicrophone, guarded: Broker, tmp_path: Path, last: str, key: str
) -> None:
    answers = {ADDRESS: HOST, PORT: str(guarded.port), USER: "ear", PASSWORD: SECRET}
    with setup(tmp_path, noisy) as terminal:
        for question in QUESTIONS[: QUESTIONS.index(last)]:
            terminal.answer(question, answers.get(question, ""))
        terminal.expect(last)
        terminal.expect(": ")
        terminal.type(key)
        code, shown = terminal.finish()
    assert code == 1
    assert (
        shown.removeprefix("^C").strip()
        == "edge-detector: setup was stopped and has written nothing; begin again with edge-detector setup"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_break_while_it_listens_writes_nothing_and_says_so(noisy: FakeMicrophone, tmp_path: Path) -> None:
    with setup(tmp_path, noisy) as terminal:
        terminal.answer(NAME)
        terminal.answer(MICROPHONE)
        terminal.expect("make a sound.")
        terminal.type(INTERRUPT)
        code, shown = terminal.finish()
    assert code == 1
    assert "setup was stopped and has written nothing" in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_it_is_one_sentence(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "edge_detector", "setup")
    result = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert result.returncode == 2
    assert result.stderr.decode().startswith("edge-detector: setup asks questions and needs a terminal; ")
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("text", ['[mqtt]\nhosst = "a"\n', "no TOML"])
def test_a_file_with_a_mistake_is_refused_with_its_sentence(microphone: FakeMicrophone, tmp_path: Path, text: str) -> None:
    (tmp_path / "edge.toml").write_text(text)
    with setup(tmp_path, microphone) as terminal:
        code, shown = terminal.finish()
    assert code == 2
    assert "edge.toml" in shown
    assert (tmp_path / "edge.toml").read_text() == text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_nothing_it_says_is_wider_than_the_terminal(microphone: FakeMicrophone, tmp_path: Path, columns: int) -> None:
    with setup(tmp_path, microphone, columns=columns) as terminal:
        terminal.answer(NAME)
        terminal.answer(MICROPHONE)
        terminal.answer("Use it all the same?", "y")
        terminal.answer(ADDRESS)
        terminal.answer(TLS)
        terminal.answer(PORT, str(free_port()))
        terminal.answer(USER)
        terminal.answer(KEEP, "y")
        terminal.answer(ANNOUNCE)
        terminal.answer(PAGE, "machine")
        terminal.answer(PAGE_PORT, str(free_port()))
        terminal.answer(CLIPS)
        terminal.answer(BUNDLE)
        terminal.expect(SOUNDS)
    questions = (
        NAME,
        MICROPHONE,
        "Use it",
        ADDRESS,
        TLS,
        PORT,
        USER,
        KEEP,
        ANNOUNCE,
        PAGE,
        PAGE_PORT,
        CLIPS,
        BUNDLE,
        "Switch on",
    )
    said = [line for line in terminal.output.splitlines() if not any(question in line for question in questions)]
    assert max(map(len, said)) < columns
