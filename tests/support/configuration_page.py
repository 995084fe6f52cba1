"""Tables of docs/configuration.md, and the JSON Schema beside it; `python -m tests.support.configuration_page` writes both."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_detector.config_schema import config_schema

DOCS = Path(__file__).parents[2] / "docs"
PAGE, SCHEMA = DOCS / "configuration.md", DOCS / "configuration.schema.json"
_TABLE = re.compile(r"(<!-- keys of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def schema_text() -> str:
    return json.dumps(config_schema(), indent=2) + "\n"


def page_text(page: str) -> str:
    """The page with its tables of keys as the schema has them."""
    tables = {name: "\n".join([*_rows(node), ""]) for name, node in schema_tables()}
    return _TABLE.sub(lambda match: f"{match[1]}{tables[match[2]]}{match[3]}", page)


def table_names(page: str) -> list[str]:
    return [name for _, name, _ in _TABLE.findall(page)]


def schema_tables() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and schema of each table of the configuration, those of a list or by name included."""
    properties: Mapping[str, Mapping[str, Any]] = config_schema()["properties"]  # type: ignore[assignment]
    for name, node in properties.items():
        inner = node.get("items") or node.get("additionalProperties") or node
        yield name, inner if isinstance(inner, dict) else node


def _rows(node: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for key, value in node["properties"].items():
        default = "required" if key in node.get("required", ()) else _default(value.get("default"))
        yield f"| `{key}` | {_allowed(value)} | {default} | {value['description']} |"


def _default(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _allowed(value: Mapping[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in value["enum"])
    if "minimum" in value:
        return f"{value['minimum']:,g} to {value['maximum']:,.0f}" + (", whole" if value["type"] == "integer" else "")
    if value.get("pattern"):
        return "lower-case letters, digits, `_`"
    if "examples" in value:
        return f"text such as `{json.dumps(value['examples'][0])}`"
    return {"string": "text", "boolean": "`true`, `false`", "array": "list of texts"}[value["type"]]


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page_text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
