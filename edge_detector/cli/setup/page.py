"""The questions about the page: whether there is one, who reaches it, its password, and its port, which is tried."""

import os
import secrets
import string
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_detector.cli.doctor.page import FIRST_FREE_PORT, examine_page
from edge_detector.cli.setup.broker import environment_with
from edge_detector.cli.setup.prompts import ask, ask_hidden, ask_yes, heading, say, show
from edge_detector.config import MAX_PORT, WebConfig
from edge_detector.web.access import ListenAddress, listen_address
from edge_detector.web.password import MAX_CHARACTERS, MIN_CHARACTERS, PASSWORD_VARIABLE

PORT = 8_080
NOBODY, MACHINE, NETWORK = "none", "machine", "network"
HOSTS = {MACHINE: "127.0.0.1", NETWORK: "0.0.0.0"}  # noqa: S104 - what the user chooses
READABLE = "".join(letter for letter in string.ascii_lowercase + string.digits if letter not in "01ilo")
"""Characters that are not taken for each other."""
GROUPS, GROUP_CHARACTERS = 4, 4
"""Of a password that is made: 79 bits."""


@dataclass(frozen=True, slots=True)
class PageAnswers:
    """How the page is served.

    Attributes:
        listen: address and port, or None for no page.
        password: a new password, or None for the one that the configuration names, if any.

    """

    listen: str | None
    password: str | None = field(default=None, repr=False)


def ask_page(known: WebConfig, password_file: Path) -> PageAnswers:
    """Return the answers, tried out; a new password would go into `password_file`."""
    heading("Page")
    say(
        f"{NOBODY}: no page; {MACHINE}: for a browser on this machine alone, at {HOSTS[MACHINE]}:{PORT}; "
        f"{NETWORK}: for the whole network, with a password, at {HOSTS[NETWORK]}:{PORT}. "
        "Its spectrogram is close to sound: everyone who can open the page can listen in"
    )
    reach, answers = _reach(known), PageAnswers(known.listen)
    while True:
        reach = _ask_reach(reach)
        if reach == NOBODY:
            return PageAnswers(None)
        kept = answers.listen is not None and _reach(WebConfig(answers.listen)) == reach
        address = (listen_address(WebConfig(answers.listen)) if kept else None) or ListenAddress(HOSTS[reach], PORT)
        chosen = _ask_port(address)
        listen = answers.listen if kept and chosen == address else str(chosen)  # "localhost" stays as it was written
        password = _ask_password(known.password_file, answers.password) if reach == NETWORK else None
        answers = PageAnswers(listen, password)
        web = WebConfig(listen, known.password_file if password is None else password_file, known.url)
        environment = environment_with(None, os.environ)
        if password is not None:
            environment[PASSWORD_VARIABLE] = password
        findings = list(examine_page(web, environment))
        show(findings)
        if all(finding.verdict != "bad" for finding in findings) or ask_yes("Keep this page all the same?", default=False):
            return answers


def made_password() -> str:
    """Return a new password that is easy to read and to type."""
    groups = ("".join(secrets.choice(READABLE) for _ in range(GROUP_CHARACTERS)) for _ in range(GROUPS))
    return "-".join(groups)


def _reach(known: WebConfig) -> str:
    return NOBODY if known.listen is None else MACHINE if known.is_loopback else NETWORK


def _ask_reach(default: str) -> str:
    choices = (NOBODY, MACHINE, NETWORK)
    while True:
        answer = ask("A page in the browser? none, machine or network", default).casefold()
        for choice in choices:
            if choice.startswith(answer):
                return choice
        say(f"{answer!r} is none of them; answer {', '.join(choices[:-1])} or {choices[-1]}")


def _ask_port(address: ListenAddress) -> ListenAddress:
    while True:
        answer = ask("Port of the page", str(address.port))
        if answer.isascii() and answer.isdecimal() and 1 <= int(answer) <= MAX_PORT:
            return replace(address, port=int(answer))
        say(f"{answer!r} is not a port; choose a number from {FIRST_FREE_PORT} to {MAX_PORT}, such as {PORT}")


def _ask_password(kept: Path | None, last: str | None) -> str | None:
    """Return a new password, or None to keep the one in the file."""
    enter = "the one just given" if last is not None else "one that is made" if kept is None else f"the one in {kept}"
    while True:
        password = ask_hidden(f"Its password, {MIN_CHARACTERS} characters or more, which is not shown, Enter for {enter}")
        if not password:
            return last or (_made() if kept is None else None)
        if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
            say(f"that has {len(password)} characters; choose {MIN_CHARACTERS} to {MAX_CHARACTERS}")
        elif ask_hidden("Once more") == password:
            return password
        else:
            say("the two are not the same; type it again")


def _made() -> str:
    password = made_password()
    say(f"Its password is {password}")
    return password
