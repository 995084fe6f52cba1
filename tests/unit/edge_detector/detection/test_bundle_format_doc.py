"""docs/bundle-format.md has the keys that the reader of a manifest accepts."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge_detector.detection.bundle import FILES, MANIFEST, MAX_FILE_BYTES, SEQUENCE_KINDS, parse_manifest
from edge_detector.errors import BundleError

PAGE = (Path(__file__).parents[4] / "docs" / "bundle-format.md").read_text(encoding="utf-8")
(EXAMPLE,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


def keys_of(section: str) -> set[str]:
    text = re.split(rf"^#+ {re.escape(section)}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]
    first_cells = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return {key for cell in first_cells for key in re.findall(r"`(\w+)`", cell)}


def known_keys(path: list[Any]) -> set[str]:
    """Keys that the reader knows in one table, from its error for an unknown one."""
    data = copy.deepcopy(EXAMPLE)
    table = data
    for step in path:
        table = table[step]
    table["no_such_key"] = 1
    with pytest.raises(BundleError, match="unknown key 'no_such_key'; known here: ") as caught:
        parse_manifest(json.dumps(data).encode(), "test")
    return set(str(caught.value).partition("known here: ")[2].split(", "))


def test_the_example_is_a_valid_manifest() -> None:
    manifest, checksums = parse_manifest(json.dumps(EXAMPLE).encode(), "test")
    assert manifest.name == "oven"
    assert set(checksums) == set(FILES)


@pytest.mark.parametrize(("section", "path"), [("manifest.json", []), ("sequence", ["sequence"]), ("classes", ["classes", 0])])
def test_the_page_has_every_key_of_the_table(section: str, path: list[Any]) -> None:
    assert keys_of(section) == known_keys(path)


@pytest.mark.parametrize("path", [["classes", 0, "evidence"], ["classes", 0, "rules", "0.96"], ["sequence", "states", 0]])
def test_the_page_names_every_key_of_a_smaller_table(path: list[Any]) -> None:
    assert known_keys(path) <= set(re.findall(r"`(\w+)`", PAGE))


def test_the_page_has_every_file_with_its_limit_and_every_kind_of_model() -> None:
    for name, most in MAX_FILE_BYTES.items():
        amount, unit = (most // 1_000_000, "MB") if most >= 1_000_000 else (most // 1_000, "kB")
        assert f"| `{name}` | {amount} {unit} |" in PAGE
    assert set(MAX_FILE_BYTES) == {MANIFEST, *FILES}
    assert all(f"`{kind}`" in PAGE for kind in SEQUENCE_KINDS)
