"""The JSON Schema accepts what the reader of the configuration accepts, key by key."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from edge_detector.config import parse_config
from edge_detector.errors import UsageError
from tests.support.configuration_page import PAGE, SCHEMA, page_text, schema_tables, schema_text, table_names

NEEDS: Mapping[str, Mapping[str, object]] = {
    "source.device_file": {"kind": "url"},
    "mqtt.password_file": {"username": "edge"},
    "mqtt.ca_file": {"tls": True},
    "mqtt.cert_file": {"tls": True},
    "mqtt.key_file": {"tls": True, "cert_file": "client.crt"},
    "web.password_file": {"listen": "127.0.0.1:8080"},
    "web.url": {"listen": "127.0.0.1:8080"},
    "class.label": {"audioset": ["Whistle"]},
    "class.off": {"on": 1.0},
}


def leaves() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, table in schema_tables():
        for key, value in table["properties"].items():
            yield name, key, value


LEAVES = [pytest.param(*leaf, id=f"{leaf[0]}.{leaf[1]}") for leaf in leaves()]


def accepts(table: str, key: str, value: object) -> bool:
    content = {**NEEDS.get(f"{table}.{key}", {}), key: value}
    if table == "source" and key == "kind" and str(value) in {"file", "url"}:
        content["device"] = "https://example.org/a"
    data: Mapping[str, object] = {table: content}
    if table == "source":
        data = {"source": [{"name": "mic", **content}]}
    if table == "class":
        data = {"class": {"kettle": content}}
    try:
        parse_config(data, "test")
    except UsageError as error:
        assert key in str(error)  # noqa: PT017 - any other key would be another test's
        return False
    return True


def allowed(schema: Mapping[str, Any]) -> Iterator[object]:
    yield from schema.get("enum", ())
    yield from (schema[name] for name in ("minimum", "maximum", "default") if name in schema)
    if schema["type"] == "boolean":
        yield from (True, False)
    yield from schema.get("examples", ())
    if schema["type"] == "string" and not {"enum", "examples"} & set(schema):
        yield "a"
        if most := schema.get("maxLength"):
            yield "a" * most
    if schema["type"] == "array":
        yield ["Whistle", "Steam"]


def refused(schema: Mapping[str, Any]) -> Iterator[object]:
    yield from ([[]], {"a": 1})
    if schema["type"] != "string":
        yield "text"
    if schema["type"] != "boolean":
        yield True
    if schema["type"] not in {"number", "integer"}:
        yield 1
    if schema["type"] == "integer":
        yield 1.5
    if "enum" in schema:
        yield 0.5 if schema["type"] == "number" else "none of them"
    if "minimum" in schema:
        yield from (schema["minimum"] - 1, schema["maximum"] + 1)
    if "pattern" in schema:
        yield "Upper case"
    yield from schema.get("not", {}).get("enum", ())
    if schema.get("minLength"):
        yield ""
    if schema["type"] == "array":
        yield from ([], [""], [1])


@pytest.mark.parametrize(("table", "key", "schema"), LEAVES)
def test_the_reader_accepts_what_the_schema_allows(table: str, key: str, schema: dict[str, Any]) -> None:
    values = list(allowed(schema))
    assert values
    assert [value for value in values if not accepts(table, key, value)] == []


@pytest.mark.parametrize(("table", "key", "schema"), LEAVES)
def test_the_reader_refuses_what_the_schema_does_not_allow(table: str, key: str, schema: dict[str, Any]) -> None:
    assert [value for value in refused(schema) if accepts(table, key, value)] == []


def test_the_schema_has_every_key_that_the_reader_knows() -> None:
    for table in ("node", "source", "mqtt", "detection", "class", "outbox", "history", "home_assistant", "web", "bundle"):
        content = {"name": "mic", "no_such_key": 1} if table == "source" else {"no_such_key": 1}
        with pytest.raises(UsageError, match="unknown key 'no_such_key'; known here: ") as caught:
            parse_config(
                {table: [content] if table == "source" else {"kettle": content} if table == "class" else content}, "test"
            )
        known = set(str(caught.value).partition("known here: ")[2].split(", "))
        assert known - {"password"} == {key for name, key, _ in leaves() if name == table}


def test_the_documentation_has_the_keys_and_the_schema_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_text(page)
    assert SCHEMA.read_text(encoding="utf-8") == schema_text()
    assert set(table_names(page)) == {name for name, _, _ in leaves()}
