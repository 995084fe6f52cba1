"""`setup`: asks for microphone, broker, page, clips and sounds, tries each, and writes the configuration."""

import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_detector.cli import check_config
from edge_detector.cli.doctor import INSTALLED_CONFIG
from edge_detector.cli.setup.broker import ask_broker
from edge_detector.cli.setup.clips import ask_clips
from edge_detector.cli.setup.document import (
    NEW,
    BrokerAnswers,
    Document,
    kept_password_file,
    microphone_number,
    node_name,
    text_of,
    with_broker,
    with_bundle,
    with_classes,
    with_clips,
    with_device,
    with_home_assistant,
    with_node,
    with_page,
)
from edge_detector.cli.setup.microphone import ask_microphone
from edge_detector.cli.setup.page import PageAnswers, ask_page
from edge_detector.cli.setup.prompts import ask, ask_yes, heading, say
from edge_detector.cli.setup.sounds import ask_bundle, ask_classes
from edge_detector.cli.setup.writing import backup_of, default_path, problem_of, secret_file, write_config, write_secret
from edge_detector.config import Config, load_document, parse_config
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.mqtt.credentials import PASSWORD_CREDENTIAL
from edge_detector.service.factory import load_networks
from edge_detector.web.password import PASSWORD_CREDENTIAL as PAGE_PASSWORD

ORIGIN = "setup"
"""Place of an answer, for errors."""


@dataclass(frozen=True, slots=True)
class Present:
    """What there is before the first question.

    Attributes:
        path: the file to write, unless another one is named.
        document: its content, or what a new configuration begins with.
        config: the same, read.
        is_new: there is no such file.

    """

    path: Path
    document: Document
    config: Config
    is_new: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written after the last question.

    Attributes:
        backup: name that the old file gets, or None where there is none.
        passwords: new ones, by file.

    """

    path: Path
    text: str
    backup: Path | None
    passwords: Mapping[Path, str] = field(repr=False)


def run(given: Path | None, installed: Path = INSTALLED_CONFIG) -> int:
    """Ask, try and write. Raises EdgeDetectorError where it is stopped before the end: nothing is written then."""
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UsageError("setup asks questions and needs a terminal; run it in one, or write the configuration by hand")
    path = default_path(given, installed)
    is_new = not path.exists()
    document = NEW if is_new else load_document(path)
    present = Present(path, document, parse_config(document, ORIGIN if is_new else str(path)), is_new)
    try:
        plan = _dialogue(present, installed)
    except (KeyboardInterrupt, EOFError):
        sys.stdout.write("\n")
        raise EdgeDetectorError("setup was stopped and has written nothing; begin again with edge-detector setup") from None
    if plan is None:
        say(f"{path} has these settings already, and stays as it is.")
        return 0
    for file, password in plan.passwords.items():
        write_secret(file, password)
    write_config(plan.path, plan.text, plan.backup)
    heading("Written")
    check_config.run(plan.path)
    say(_next_step(plan.path, installed))
    return 0


def _dialogue(present: Present, installed: Path) -> Plan | None:
    """Return what is to be written, or None if it is there already."""
    before, origin = present.config, present.config.origin
    networks = load_networks(before.bundle, before)
    say(_greeting(present, installed))
    document = _ask_node(present.document, origin, None if present.is_new else before.node)
    number = microphone_number(document)
    if number is None:
        say(f"{present.path} has no microphone among its sources, and they stay as they are.")
    else:
        document = with_device(document, ask_microphone(before.sources[number], networks))
    broker = ask_broker(document, origin)
    document = with_broker(document, broker, kept_password_file(before.mqtt, broker))
    announced = ask_yes("Announce it to Home Assistant on this broker?", default=before.home_assistant.enabled)
    document = with_home_assistant(document, enabled=announced)
    page = ask_page(before.web, before.web.password_file or secret_file(present.path, PAGE_PASSWORD))
    document = with_clips(document, enabled=ask_clips(before.clips))
    folder, networks = ask_bundle(document, origin, networks)
    document = with_bundle(document, folder)
    document = with_classes(document, ask_classes(networks, parse_config(document, origin)))
    return _ask_place(present, document, broker, page)


def _greeting(present: Present, installed: Path) -> str:
    keys = "Enter takes what stands in brackets; Ctrl-C ends without a change."
    if not present.is_new:
        return f"{present.path} is there, and its values are proposed; what is not asked for stays as it is. {keys}"
    reason = problem_of(installed) if present.path != installed and installed.parent.is_dir() else None
    return f"This makes {present.path}{f', since {reason}' if reason else ''}. {keys}"


def _ask_node(document: Document, origin: str, known: str | None) -> Document:
    heading("This machine")
    while True:
        named = with_node(document, ask("Its name in topics and in Home Assistant", known or node_name(socket.gethostname())))
        try:
            parse_config(named, origin)
        except UsageError as error:
            say(str(error))
        else:
            return named


def _ask_place(present: Present, document: Document, broker: BrokerAnswers, page: PageAnswers) -> Plan | None:
    """Show the configuration, and ask where it is written."""
    heading("Configuration")
    known, known_page = present.config.mqtt, present.config.web
    while True:
        path = Path(ask("Write it to", str(present.path))).expanduser()
        problem = problem_of(path)
        if problem is not None:
            say(problem)
            continue
        passwords = {}
        secret = kept_password_file(known, broker)
        if broker.password is not None:
            secret = known.password_file or secret_file(path, PASSWORD_CREDENTIAL)
            passwords[secret] = broker.password
        page_secret = known_page.password_file
        if page.password is not None:
            page_secret = page_secret or secret_file(path, PAGE_PASSWORD)
            passwords[page_secret] = page.password
        complete = with_page(with_broker(document, broker, secret), page.listen, page_secret)
        same = parse_config(complete, present.config.origin) == present.config
        if same and not passwords and path == present.path and not present.is_new:
            return None
        text = text_of(complete)
        sys.stdout.write(f"\n{text}\n")
        for file in passwords:
            say(f"The password goes into {file}, which its owner alone can read.")
        backup = backup_of(path) if path.exists() else None
        question = f"Write {path}?" if backup is None else f"Replace {path}? The old one, with its comments, stays as {backup}"
        if ask_yes(question, default=True):
            return Plan(path, text, backup, passwords)


def _next_step(path: Path, installed: Path) -> str:
    if path == installed:
        return "Next: sudo systemctl restart edge-detector; then sudo edge-detector doctor"
    return f"Next: edge-detector run --config {shlex.quote(str(path))}"
