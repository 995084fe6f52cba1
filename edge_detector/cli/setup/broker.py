"""The questions about the broker, until it takes the login or the user keeps the settings anyway."""

import os
from collections.abc import Mapping
from pathlib import Path

from edge_detector.cli.doctor.broker import LOGIN_SECONDS, examine_broker
from edge_detector.cli.doctor.finding import Finding
from edge_detector.cli.setup.document import BrokerAnswers, Document, kept_password_file, with_broker
from edge_detector.cli.setup.prompts import ask, ask_hidden, ask_optional, ask_yes, heading, say, show
from edge_detector.config import PLAIN_PORT, TLS_PORT, MqttConfig, parse_config
from edge_detector.errors import UsageError
from edge_detector.mqtt.credentials import PASSWORD_VARIABLE


def ask_broker(document: Document, origin: str) -> BrokerAnswers:
    """Return the answers, tried out."""
    heading("MQTT broker")
    known = parse_config(document, origin).mqtt
    answers = BrokerAnswers(known.host, known.port, known.tls, _text(known.ca_file), known.username)
    while True:
        answers = _ask(answers, known)
        try:
            findings = _tried(document, origin, answers, known)
        except UsageError as error:
            say(str(error))
            continue
        show(findings)
        if all(finding.verdict != "bad" for finding in findings):
            return answers
        if ask_yes("Keep these settings all the same?", default=False):
            return answers


def _ask(last: BrokerAnswers, known: MqttConfig) -> BrokerAnswers:
    host = ask("Name or address", last.host)
    tls = ask_yes("Encrypted (TLS)?", default=last.tls)
    port = _ask_port(last.port if tls == last.tls else TLS_PORT if tls else PLAIN_PORT)
    ca_file = ask_optional("File of its certificate authority, if that is your own", last.ca_file) if tls else None
    username = ask_optional("User name, if it needs a login", last.username)
    password = None if username is None else _ask_password(username, last, known)
    return BrokerAnswers(host, port, tls, _absolute(ca_file), username, password)


def _ask_port(default: int) -> int:
    while True:
        answer = ask("Port", str(default))
        if answer.isdecimal():
            return int(answer)
        say(f"{answer!r} is not a number; the port of most brokers is {PLAIN_PORT}, or {TLS_PORT} with TLS")


def _ask_password(username: str, last: BrokerAnswers, known: MqttConfig) -> str | None:
    """Return a new password, or None to keep the one there is."""
    kept = username == known.username and known.password_file is not None
    repeats = last.password is not None and username == last.username
    enter = ", Enter for the one just given" if repeats else f", Enter for the one in {known.password_file}" if kept else ""
    password = ask_hidden(f"Password, which is not shown{enter}")
    return password or (last.password if repeats else None)


def _tried(document: Document, origin: str, answers: BrokerAnswers, known: MqttConfig) -> list[Finding]:
    """Connect as the service will. Raises UsageError for an answer that cannot stand in a configuration."""
    config = parse_config(with_broker(document, answers, kept_password_file(known, answers)), origin)
    say(f"Connecting to {config.mqtt.host}:{config.mqtt.port}; it takes {LOGIN_SECONDS:g} s at most.")
    findings = examine_broker(config, environment_with(answers.password, os.environ))
    # The node's own service may run, or not yet.
    return [finding for finding in findings if finding.about == "broker"]


def environment_with(password: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a new password, or none for None, takes precedence over systemd's credentials."""
    others = {name: value for name, value in environment.items() if name != "CREDENTIALS_DIRECTORY"}
    return others if password is None else {**others, PASSWORD_VARIABLE: password}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _absolute(path: str | None) -> str | None:
    # The service runs in another folder.
    return None if path is None else str(Path(path).expanduser().absolute())
