"""docs/troubleshooting.md and the code have the same sentences: neither has one that the other lacks."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from edge_detector.audio.signal_quality import HOLD_SECONDS
from edge_detector.mqtt.home_assistant import STATES
from edge_detector.mqtt.troubles import Troubles

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "edge_detector"
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
TABLE = re.compile(r"^\| sentence \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
GAP = "…"
FORMATTED = re.compile(r"%(?:\.\d)?[dgrs]|\{\w*\}")
"""A variable part in a format of the log, or of `str.format`."""
WORD = re.compile(r"\b[a-z]{2,}\b")
"""Lower-case, so that names of errors and of SQLite's settings do not count."""

Bindings: TypeAlias = Mapping[str, Sequence[ast.expr]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where sentences are made: argument `index` of calls of `name`, a value assigned to it, or what it raises or returns."""

    modules: str
    kind: Literal["argument", "assigned", "raised", "returned"]
    name: str
    index: int = 0


TROUBLES: Mapping[str, Sequence[Place]] = {
    "outbox": (
        Place("mqtt/outbox.py", "assigned", "trouble"),
        Place("mqtt/outbox.py", "argument", "_fail"),
        Place("mqtt/sqlite_store.py", "raised", "StoreError"),
    ),
    "damage": (Place("mqtt/sqlite_store.py", "argument", "_report_damage", 1),),
    "settings": (
        Place("service/settings_file.py", "assigned", "damage"),
        Place("service/settings_file.py", "argument", "_report_trouble"),
        Place("service/settings_file.py", "assigned", "trouble"),
        Place("service/settings_file.py", "raised", "EdgeDetectorError"),
    ),
    "refused_topics": (
        Place("mqtt/troubles.py", "returned", "_refusals"),
        Place("mqtt/troubles.py", "returned", "cure"),
        Place("mqtt/publisher.py", "returned", "_problem"),
        Place("mqtt/publisher.py", "argument", "_refuse", 1),
        Place("mqtt/client.py", "argument", "SubscriptionRefused", 1),
    ),
    "service": (
        Place("service/state.py", "returned", "persistence_trouble"),
        Place("service/service.py", "assigned", "refused_configuration"),
        Place("service/chosen_bundle.py", "assigned", "trouble"),
        Place("service/chosen_bundle.py", "assigned", "reason"),
        Place("teaching/taught_bundles.py", "raised", "EdgeDetectorError"),
    ),
    "broker": (
        Place("mqtt/publisher.py", "argument", "append"),
        Place("mqtt/refusals.py", "returned", "lost"),
        Place("mqtt/refusals.py", "returned", "taken_over"),
        Place("mqtt/name_conflict.py", "returned", "trouble"),
    ),
    "history": (
        Place("history/recorder.py", "returned", "troubles"),
        Place("history/recorder.py", "assigned", "trouble"),
        Place("history/store.py", "raised", "HistoryError"),
        Place("history/probability_writer.py", "assigned", "trouble"),
        Place("history/probability_files.py", "raised", "HistoryError"),
        Place("history/store.py", "returned", "_set_aside"),
    ),
    "clips": (
        Place("clips/writer.py", "returned", "troubles"),
        Place("clips/writer.py", "assigned", "trouble"),
        Place("clips/*.py", "raised", "ClipError"),
    ),
}
"""By the attribute of `Troubles` that has the sentence."""
OTHERS: Mapping[str, Sequence[Place]] = {
    "doctor": (Place("cli/doctor/*.py", "argument", "Finding", 2),),
    "an unreachable broker": (
        Place("mqtt/tls.py", "returned", "describe_connect_error"),
        Place("mqtt/tls.py", "returned", "_verification"),
        Place("mqtt/tls.py", "returned", "_tls_reason"),
        Place("mqtt/tls.py", "returned", "_network_reason"),
        Place("mqtt/refusals.py", "returned", "refused"),
        Place("mqtt/refusals.py", "returned", "no_answer"),
    ),
    "a lost source": (
        Place("service/supervisor.py", "argument", "_lose", 1),
        Place("service/supervisor.py", "argument", "_enter", 1),
        Place("service/supervisor.py", "argument", "_is_done", 2),
        Place("service/stream.py", "raised", "SourceError"),
    ),
    "a microphone": (
        Place("audio/microphone/*.py", "raised", "SourceError"),
        Place("audio/microphone/*.py", "raised", "UnknownDeviceError"),
        Place("audio/microphone/devices.py", "argument", "__init__"),
    ),
    "a history that cannot be shown": (
        Place("history/queries.py", "raised", "EdgeDetectorError"),
        Place("cli/events.py", "raised", "EdgeDetectorError"),
        Place("cli/events.py", "returned", "_nothing"),
        Place("cli/events.py", "assigned", "sentence"),
    ),
    "clips that cannot be shown": (Place("cli/clips.py", "raised", "EdgeDetectorError"),),
    "reviews": (
        Place("class_names.py", "returned", "label_problem"),
        Place("review/sounds.py", "returned", "trouble"),
        Place("review/sounds.py", "raised", "UsageError"),
        Place("web/reviews_api.py", "argument", "ClipRefusal", 1),
    ),
    "the page": (
        Place("web/server.py", "raised", "EdgeDetectorError"),
        Place("web/server.py", "assigned", "sentence"),
        Place("web/password.py", "raised", "UsageError"),
        Place("web/request.py", "argument", "HttpError", 1),
        Place("web/request.py", "assigned", "named"),
        Place("web/request.py", "assigned", "sentence"),
        Place("web/guard.py", "argument", "HttpError", 1),
        Place("web/guard.py", "argument", "too_many"),
    ),
    "teaching on the page": (
        Place("teaching/job.py", "returned", "_reason"),
        Place("teaching/job.py", "assigned", "result"),
        Place("teaching/child.py", "argument", "_failed"),
        Place("web/teaching_api.py", "argument", "TeachingRefusal", 1),
        Place("web/teaching_api.py", "assigned", "sentence"),
        Place("web/teaching_api.py", "assigned", "notice"),
    ),
    "a program that records": (Place("audio/programs/*.py", "raised", "SourceError"),),
}


def documented() -> list[str]:
    """The sentences in the first columns of the page's tables."""
    rows = [row for table in TABLE.findall(PAGE) for row in table.splitlines()]
    return [sentence for row in rows for sentence in QUOTED.findall(row.split("|")[1])]


def constants(tree: ast.AST) -> Iterator[str]:
    """Strings and constant parts of f-strings, without docstrings; Python itself joins what stands side by side."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def source_text() -> str:
    """What the programs can print, one constant or one line of a script after another."""
    python = [text for path in sorted(PACKAGE.rglob("*.py")) for text in constants(tree(path))]
    scripts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "systemd").iterdir())]
    return "\0".join([*python, *(line for script in scripts for line in script.splitlines() if not line.startswith("#"))])


def called(node: ast.expr) -> str:
    """The last name of what is called: `_fail` for `self._fail`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def bindings(scope: ast.AST) -> Bindings:
    """All values that names get by assignments in a function, or in a module as a whole."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope) if not isinstance(scope, ast.Module) else scope.body:
        match node:
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
    return found


def expressions(place: Place, function: ast.FunctionDef) -> Iterator[ast.expr]:
    """The expressions in a function that give the sentences of a place."""
    for node in ast.walk(function):
        match place.kind, node:
            case "argument", ast.Call() if called(node.func) == place.name:
                yield from node.args[place.index : place.index + 1]
            case "raised", ast.Raise(exc=ast.Call() as error) if called(error.func) == place.name:
                yield from error.args[:1]
            case "assigned", ast.Assign(targets=[target]) if called(target) == place.name:
                yield node.value
            case "returned", ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value):
                if function.name == place.name:
                    yield value


def strings(expression: ast.expr, names: Bindings, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """The constant parts of an expression, and of the values of the names in it."""
    yield from constants(expression)
    for node in ast.walk(expression):
        if isinstance(node, ast.Name) and node.id not in seen:
            for value in names.get(node.id, ()):
                yield from strings(value, names, seen | {node.id})


def facts(place: Place) -> set[str]:
    """The constant parts of a place's sentences up to their semicolon, after which stands the remedy; two words at least."""
    found: set[str] = set()
    for path in sorted(PACKAGE.glob(place.modules)):
        module = tree(path)
        functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            names = {**bindings(module), **bindings(function)}
            for expression in expressions(place, function):
                parts = (part for text in strings(expression, names) for part in re.split(FORMATTED, text))
                found |= {fact for part in parts if len(WORD.findall(fact := part.partition(";")[0].strip())) > 1}
    return found


def missing(places: Sequence[Place]) -> set[str]:
    text = PAGE.replace("`", "").casefold()
    return {fact for place in places for fact in facts(place) if fact.casefold() not in text}


def test_the_page_has_sentences() -> None:
    assert len(documented()) > 80


@pytest.mark.parametrize("sentence", documented())
def test_each_part_of_a_documented_sentence_stands_in_the_source(sentence: str) -> None:
    assert WORD.search(sentence)
    assert [part for part in sentence.split(GAP) if part not in source_text()] == []


def test_every_kind_of_trouble_is_looked_for() -> None:
    assert set(TROUBLES) == {field.name for field in fields(Troubles)}


@pytest.mark.parametrize("place", [place for places in (*TROUBLES.values(), *OTHERS.values()) for place in places], ids=str)
def test_each_place_where_sentences_are_made_still_exists(place: Place) -> None:
    functions = [
        node for path in PACKAGE.glob(place.modules) for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)
    ]
    assert any(True for function in functions for _ in expressions(place, function))


@pytest.mark.parametrize("kind", TROUBLES)
def test_every_trouble_is_on_the_page(kind: str) -> None:
    assert any(facts(place) for place in TROUBLES[kind]), "sentences are found"
    assert missing(TROUBLES[kind]) == set()


@pytest.mark.parametrize("kind", OTHERS)
def test_every_sentence_of_doctor_and_every_reason_of_a_lost_source_or_broker_is_on_the_page(kind: str) -> None:
    assert any(facts(place) for place in OTHERS[kind]), "sentences are found"
    assert missing(OTHERS[kind]) == set()


@pytest.mark.parametrize("state", [*STATES, *HOLD_SECONDS])
def test_every_state_of_a_source_and_of_its_signal_is_on_the_page(state: str) -> None:
    assert f"`{state}`" in PAGE
