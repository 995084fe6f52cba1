"""A bundle: both networks, their PCA, their classes and thresholds, in one folder whose every byte is checked on loading."""

import hashlib
import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edge_detector.core.decision import Rule
from edge_detector.core.embedding import Pca
from edge_detector.core.strict import Table
from edge_detector.errors import BundleError
from edge_detector.params import FRONT_END, HOPS_PER_PATCH

SCHEMA_MAJOR, SCHEMA_MINOR = 1, 0
MANIFEST = "manifest.json"
EMBEDDER, SEQUENCE, PCA, MODEL_CARD = "embedder.tflite", "sequence.tflite", "pca.npz", "MODEL_CARD.md"
FILES = (EMBEDDER, SEQUENCE, PCA, MODEL_CARD)
MAX_FILE_BYTES = 1 << 30
MAX_CLASSES = 10_000
_NO_PCA = (
    *(ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, SyntaxError, tokenize.TokenError),
)
"""What NumPy and zipfile raise for a file that was tampered with: each was seen, under fuzzing."""
SEQUENCE_KINDS = ("lstm", "dbof", "frame-logistic", "moe", "logistic")


@dataclass(frozen=True, slots=True)
class StateTensor:
    """One recurrent state of the sequence step: float32 (rows, *shape), input `name`, output `next_<name>`."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """The sequence model: R frames of context, and the age below which its state is too young to decide."""

    kind: str
    context_frames: int
    minimum_age_frames: int
    states: tuple[StateTensor, ...]


@dataclass(frozen=True, slots=True)
class SoundClass:
    """One class: `slug` for topics, `label` for people, `mid` AudioSet's identifier or None, rules by hops per patch."""

    slug: str
    label: str
    mid: str | None
    rules: Mapping[int, Rule]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json says. `training`, `evaluation` and `parity` are shown to people, never acted on."""

    name: str
    version: str
    created: str
    licence: str
    sequence: SequenceSpec
    classes: tuple[SoundClass, ...]
    training: Mapping[str, object]
    evaluation: Mapping[str, object]
    parity: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle in memory; `embedder` and `sequence` are the very bytes whose checksums were compared."""

    manifest: Manifest
    embedder: bytes
    sequence: bytes
    pca: Pca


def hop_key(hops_per_patch: int) -> str:
    """How a hop is written in the manifest: its seconds, "0.96", "0.48" or "0.24"."""
    return f"{FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz / hops_per_patch:.2f}"


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle folder. Raises BundleError, one sentence, before anything is run."""
    if not folder.is_dir():
        raise BundleError(f"there is no bundle folder {folder}; give the path of a folder with a {MANIFEST}")
    manifest, checksums = parse_manifest(_read(folder, MANIFEST), f"{folder / MANIFEST}")
    contents = {name: _read(folder, name) for name in FILES}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != checksums[name]:
            raise BundleError(f"{folder / name} is not the file its manifest describes; copy the bundle again")
    return Bundle(manifest, contents[EMBEDDER], contents[SEQUENCE], _load_pca(contents[PCA], folder / PCA))


def parse_manifest(content: bytes, where: str) -> tuple[Manifest, dict[str, str]]:
    """The manifest and the sha256 of each file. Raises BundleError naming the key that is wrong."""
    try:
        data = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is not JSON: {error}") from error
    table = Table(data, where, BundleError)
    major, minor = _schema(table)
    if major != SCHEMA_MAJOR or minor > SCHEMA_MINOR:
        raise BundleError(
            f"{where} has schema {major}.{minor}, this program reads up to {SCHEMA_MAJOR}.{SCHEMA_MINOR}; "
            "install a newer edge-detector or make the bundle again"
        )
    front_end = table.free("front_end")
    if front_end != asdict(FRONT_END):
        raise table.fail("front_end", f"is not what this program computes: {asdict(FRONT_END)}")
    manifest = Manifest(
        name=table.text("name"),
        version=table.text("version"),
        created=table.text("created"),
        licence=table.text("licence"),
        sequence=_sequence(table.table("sequence")),
        classes=_classes(table),
        training=table.free("training"),
        evaluation=table.free("evaluation"),
        parity=table.free("parity"),
    )
    files = table.table("files")
    checksums = {name: files.text(name) for name in FILES}
    files.done()
    table.done()
    return manifest, checksums


def render_manifest(manifest: Manifest, contents: Mapping[str, bytes]) -> bytes:
    """manifest.json for these file contents; `parse_manifest` reads back the same."""
    data = {
        "schema": f"{SCHEMA_MAJOR}.{SCHEMA_MINOR}",
        **asdict(manifest),
        "front_end": asdict(FRONT_END),
        "classes": [
            {
                "slug": sound.slug,
                "label": sound.label,
                "mid": sound.mid,
                "rules": {hop_key(hops): _rule_values(rule) for hops, rule in sound.rules.items()},
            }
            for sound in manifest.classes
        ],
        "files": {name: hashlib.sha256(contents[name]).hexdigest() for name in FILES},
    }
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def _rule_values(rule: Rule) -> dict[str, float]:
    return {key: value for key, value in asdict(rule).items() if key != "enabled"}


def read_rule(table: Table, default: Rule) -> Rule:
    """A rule from a manifest or a configuration, absent keys taken from `default`."""
    on = table.number("on", default.on, low=0.0, high=1.0)
    rule = Rule(
        on=on,
        off=table.number("off", min(default.off, on), low=0.0, high=1.0),
        min_seconds=table.number("min_seconds", default.min_seconds, low=0.0, high=3_600.0),
        hold_seconds=table.number("hold_seconds", default.hold_seconds, low=0.0, high=3_600.0),
        max_seconds=table.number("max_seconds", default.max_seconds, low=1.0, high=86_400.0),
        refractory_seconds=table.number("refractory_seconds", default.refractory_seconds, low=0.0, high=86_400.0),
        enabled=table.flag("enabled", default.enabled),
    )
    if rule.off > rule.on:
        raise table.fail("off", f"must not be above on = {rule.on:g}")
    table.done()
    return rule


def _schema(table: Table) -> tuple[int, int]:
    parts = table.text("schema").split(".")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004 - major.minor
        raise table.fail("schema", "must be written major.minor")
    return int(parts[0][:9]), int(parts[1][:9])


def _sequence(table: Table) -> SequenceSpec:
    context = table.integer("context_frames", low=1, high=300)
    states = []
    for state in table.tables("states"):
        states.append(StateTensor(state.slug("name"), state.integers("shape")))
        state.done()
    if not states:
        raise table.fail("states", "must name at least one state tensor")
    spec = SequenceSpec(
        kind=table.text("kind", choices=SEQUENCE_KINDS),
        context_frames=context,
        minimum_age_frames=table.integer("minimum_age_frames", low=1, high=context),
        states=tuple(states),
    )
    table.done()
    return spec


def _classes(table: Table) -> tuple[SoundClass, ...]:
    classes = []
    for item in table.tables("classes"):
        rules = item.table("rules")
        hops = {hops: rules.table(hop_key(hops)) for hops in HOPS_PER_PATCH}
        rules.done()
        sound = SoundClass(
            slug=item.slug("slug"),
            label=item.text("label"),
            mid=item.optional_text("mid"),
            rules={key: read_rule(rule, Rule(on=rule.number("on"), off=rule.number("off"))) for key, rule in hops.items()},
        )
        item.done()
        classes.append(sound)
    slugs = [sound.slug for sound in classes]
    if not 1 <= len(slugs) <= MAX_CLASSES or len(set(slugs)) != len(slugs):
        raise table.fail("classes", f"must be 1 to {MAX_CLASSES} classes, each slug once")
    return tuple(classes)


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BundleError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; this is no bundle")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"the bundle's file {path} cannot be read ({error.strerror}); copy the bundle again") from error


def _load_pca(content: bytes, path: Path) -> Pca:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Pca(arrays["pca_eigen_vectors"].astype(np.float32), arrays["pca_means"].astype(np.float32).reshape(-1))
    except _NO_PCA as error:
        reason = " ".join(str(error).split())[:200]  # NumPy's may have several lines, or quote the whole file
        raise BundleError(f"{path} does not hold PCA parameters: {reason}") from error
