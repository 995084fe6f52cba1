"""docs/bundle-format.md has every key of a manifest that the reader accepts, and no other, with its default and range."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_detector.bounded_files import megabytes
from edge_detector.detection.bundle import (
    EMBEDDER,
    FILES,
    MANIFEST,
    MAX_CLASSES,
    MAX_FILE_BYTES,
    MAX_LICENCE_CHARACTERS,
    MAX_OUTPUTS,
    MAX_PCA_BYTES,
    MAX_STATE_NUMBERS,
    MAX_STATES,
    MAX_TAUGHT_BYTES,
    MODEL_CARD,
    PCA,
    SCHEMA_MAJOR,
    SCHEMA_MINOR,
    SEQUENCE,
    SEQUENCE_KINDS,
    TAUGHT,
    load_bundle,
    parse_manifest,
    taught_content,
)
from edge_detector.detection.linear_classifier import FEATURES, LinearClassifier
from edge_detector.detection.tflite import Graph
from edge_detector.errors import BundleError
from edge_detector.params import FRONT_END
from edge_detector.schema import MAX_SLUG_CHARACTERS, MOST_NESTED, MOST_SHOWN_CHARACTERS
from edge_detector.service.factory import DEFAULT_BUNDLE

Table = dict[str, Any]
Row = list[str]

PAGE = (Path(__file__).parents[4] / "docs" / "bundle-format.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FREE = {"training", "evaluation", "parity"}


def rows(title: str) -> list[Row]:
    """The table under a comment of this title."""
    (text,) = re.findall(rf"<!-- {re.escape(title)} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


KEY_TITLES = re.findall(r"<!-- (keys of (.+?)) -->", PAGE)
KEY_ROWS: dict[str, list[Row]] = {name: rows(title) for title, names in KEY_TITLES for name in names.split(", ")}
KEYS = [(name, key, row) for name, table in KEY_ROWS.items() for row in table for key in quoted(row[0])]


def tables(value: object, name: str = "manifest") -> Iterator[tuple[str, Table]]:
    """Every table within a manifest, named as on the page."""
    if isinstance(value, list):
        for item in value:
            yield from tables(item, name)
    if isinstance(value, dict):
        yield name, value
        for key, inner in value.items():
            inner_name = "hop" if name == "classes.rules" else key
            yield from tables(inner, inner_name if name == "manifest" else f"{name}.{inner_name}")


def refusal(manifest: object) -> str:
    """What the reader reports, or nothing if it accepts the manifest."""
    try:
        parse_manifest(json.dumps(manifest).encode(), "manifest")
    except BundleError as error:
        return str(error)
    return ""


def refusals(name: str, change: Callable[[Table], object]) -> list[str]:
    """What the reader reports of the example with one of its tables of this name changed, for each such table."""
    found = []
    for number in range(sum(each == name for each, _ in tables(json.loads(EXAMPLE)))):
        example = json.loads(EXAMPLE)
        change([table for each, table in tables(example) if each == name][number])
        found.append(refusal(example))
    return found


def accepted_keys(name: str) -> set[str]:
    """Keys of a table, as the reader lists them where it refuses an unknown one."""
    (error, *others) = refusals(name, lambda table: table.update({"unknown": 0}))
    if name == "front_end":
        assert "is not what this program computes" in error
        return set(asdict(FRONT_END))
    (listed,) = re.findall(r"unknown key 'unknown'; known here: (.*)", error)
    assert all(other.endswith(listed) for other in others)
    return set(listed.split(", "))


def test_the_example_is_a_manifest_of_the_newest_schema() -> None:
    manifest, checksums = parse_manifest(EXAMPLE.encode(), "example")
    assert [sound.slug for sound in manifest.classes] == ["doorbell", "kettle", "our_washer"]
    assert set(checksums) == {*FILES, TAUGHT}
    assert json.loads(EXAMPLE)["schema"] == f"{SCHEMA_MAJOR}.{SCHEMA_MINOR}"
    assert PAGE.startswith(f"# Bundle format, schema {SCHEMA_MAJOR}.{SCHEMA_MINOR}\n")


def test_the_example_is_a_bundle_once_the_program_of_the_page_has_written_its_digests(tmp_path: Path) -> None:
    numbers, file = np.random.default_rng(0), io.BytesIO()
    np.savez(file, pca_eigen_vectors=numbers.normal(size=(128, 128)).T, pca_means=numbers.normal(size=(128, 1)))
    contents = {EMBEDDER: b"embedder", SEQUENCE: b"sequence", PCA: file.getvalue(), MODEL_CARD: b"# Hall\n"}
    contents[TAUGHT] = taught_content(LinearClassifier(np.ones((1, FEATURES), np.float32), np.zeros(1, np.float32)))
    for name, content in {**contents, MANIFEST: EXAMPLE.encode()}.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match="is not the file its manifest describes"):
        load_bundle(tmp_path)
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, check=True, timeout=60)
    assert load_bundle(tmp_path).manifest.name == "hall"


def test_the_page_has_a_table_of_keys_for_each_table_of_a_manifest() -> None:
    assert set(KEY_ROWS) == {name for name, _ in tables(json.loads(EXAMPLE))} - FREE


@pytest.mark.parametrize("name", KEY_ROWS)
def test_the_page_has_the_keys_that_the_reader_accepts_and_the_example_shows_them(name: str) -> None:
    accepted = accepted_keys(name)
    assert sorted(key for each, key, _ in KEYS if each == name) == sorted(accepted)
    assert {key for each, table in tables(json.loads(EXAMPLE)) for key in table if each == name} == accepted


@pytest.mark.parametrize("name", sorted(FREE))
def test_a_table_for_display_takes_any_key(name: str) -> None:
    assert refusals(name, lambda table: table.update({"anything": {"of": "one's own"}})) == [""]


@pytest.mark.parametrize(("name", "key", "row"), KEYS, ids=[f"{name}.{key}" for name, key, _ in KEYS])
def test_a_key_may_be_left_out_unless_the_page_requires_it(name: str, key: str, row: Row) -> None:
    without = refusals(name, lambda table: table.pop(key, None))
    assert all(without) if row[2].startswith("required") else "" in without


def number(text: str) -> float:
    return float(text) if "." in text else int(text.replace(",", ""))


RANGES = [
    (name, key, number(low), number(high))
    for name, key, row in KEYS
    for low, high in re.findall(r"^([\d.,]+) to ([\d,]+)\b", row[1])
]


@pytest.mark.parametrize(("name", "key", "low", "high"), RANGES, ids=[f"{name}.{key}" for name, key, *_ in RANGES])
def test_a_number_is_accepted_up_to_the_bounds_on_the_page_and_not_beyond(name: str, key: str, low: float, high: float) -> None:
    def errors(value: float) -> list[str]:
        thresholds = {"on": value, "off": value} if key in {"on", "off"} else {}
        return refusals(name, lambda table: table.update({**thresholds, key: value}))

    assert "" in errors(low)
    assert "" in errors(high)
    for beyond in (low * 0.99 if isinstance(low, float) else low - 1, high + 1):
        assert all(
            re.search(r"\bmust (be between|be a whole number between|have a log_offset)", error) for error in errors(beyond)
        )


def test_the_page_has_the_constants_of_the_front_end_and_the_kinds_of_sequence_models() -> None:
    pairs = [pair for row in KEY_ROWS["front_end"] for pair in zip(quoted(row[0]), quoted(row[1]), strict=False)]
    constants = {key: float(value) for key, value in pairs}
    assert {**constants, "log_offset": FRONT_END.log_offset} == asdict(FRONT_END)
    (kinds,) = (row[1] for row in KEY_ROWS["sequence"] if row[0] == "`kind`")
    assert tuple(quoted(kinds)) == SEQUENCE_KINDS


def test_the_page_has_the_files_and_the_limits_of_the_reader() -> None:
    assert {quoted(row[0])[0]: row[2] for row in rows("files")} == {
        name: megabytes(most) for name, most in MAX_FILE_BYTES.items()
    }
    limits = (MAX_CLASSES, MAX_OUTPUTS, MAX_STATES, MAX_STATE_NUMBERS, MOST_NESTED, MAX_PCA_BYTES, MAX_CLASSES, MAX_TAUGHT_BYTES)
    assert [row[1] for row in rows("limits")] == [f"{limit:,}" for limit in limits]
    assert f"of 1 to {MOST_SHOWN_CHARACTERS} characters" in PAGE
    assert f"1 to {MAX_SLUG_CHARACTERS} of" in PAGE
    assert f"line, up to {MAX_LICENCE_CHARACTERS:,} characters" in PAGE


@pytest.mark.parametrize(("file", "signature"), [(EMBEDDER, "embed"), (SEQUENCE, "step")])
def test_the_networks_of_the_default_bundle_have_the_tensors_on_the_page(file: str, signature: str) -> None:
    manifest = load_bundle(DEFAULT_BUNDLE).manifest
    graph = Graph((DEFAULT_BUNDLE / file).read_bytes(), signature)
    documented: dict[str, set[str]] = {"input": set(), "output": set()}
    for way, name, dtype, shape in rows(f"tensors of {file}"):
        for state in manifest.sequence.states if "STATE" in name else manifest.sequence.states[:1]:
            tensor = quoted(name)[0].replace("STATE", state.name)
            sizes = {"R": (-1,), "V": (manifest.named_outputs.of_step,), "…": state.shape}
            expected = tuple(n for size in shape.strip("[]").split(", ") for n in sizes.get(size) or (int(size),))
            graph.require(graph.inputs if way == "input" else graph.outputs, tensor, expected, getattr(np, dtype))
            documented[way].add(tensor)
    assert documented["input"] == set(graph.inputs)
    assert documented["output"] <= set(graph.outputs)
