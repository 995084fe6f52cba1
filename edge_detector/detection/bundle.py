"""A bundle: both networks, their PCA, their classes and thresholds, in one folder whose every byte is checked on loading."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edge_detector.bounded_files import arrays_of, megabytes, parse_json, read_regular
from edge_detector.detection.embedding import Pca
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import BundleError
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.plain_text import is_plain
from edge_detector.schema import MAX_SLUG_CHARACTERS, MOST_SHOWN_CHARACTERS, StrictTable

SCHEMA_MAJOR, SCHEMA_MINOR = 1, 1
"""1.1 adds the log-mel offset, the embedder's identity, AudioSet's labels among the outputs, and what a class is made of."""

MANIFEST = "manifest.json"
EMBEDDER, SEQUENCE, PCA, MODEL_CARD = "embedder.tflite", "sequence.tflite", "pca.npz", "MODEL_CARD.md"
FILES = (EMBEDDER, SEQUENCE, PCA, MODEL_CARD)
MAX_FILE_BYTES: Mapping[str, int] = MappingProxyType(
    {MANIFEST: 4_000_000, EMBEDDER: 300_000_000, SEQUENCE: 300_000_000, PCA: 200_000, MODEL_CARD: 1_000_000}
)
"""Full-size VGGish in float32, the largest network there is an export for, has 289 MB."""
MAX_PCA_BYTES = 300_000
"""Of the numbers: two matrices in double precision would be more."""
MAX_CLASSES = 2_000
MAX_OUTPUTS = 2 * MAX_CLASSES
MAX_STATES = 64
MAX_STATE_NUMBERS = 1 << 24
"""Of all states and rows of a bank, 64 MB. Each source has up to four banks."""
LEAST_LOG_OFFSET = 1e-6
"""Less is none beside the rounding of float32, and the logarithm of silence would be minus infinity."""
SEQUENCE_KINDS = ("lstm", "dbof", "frame-logistic", "moe", "logistic", "readout")
FIRST_CLASS_LIST = 1
"""Class list of every class in a bundle that does not number them."""

MAX_CLASS_LIST = 1_000
MAX_LICENCE_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class EmbedderId:
    """Which embedder made some codes: codes of different embedders are of different spaces.

    Attributes:
        name: for people, such as yamnet-body.
        digest: sha256 over the .tflite file and the numbers of its PCA, in hexadecimal.

    """

    name: str
    digest: str

    def __str__(self) -> str:
        """Name and the beginning of the digest."""
        return f"{self.name} ({self.digest[:8]})"


@dataclass(frozen=True, slots=True)
class AudioSetLabel:
    """One of AudioSet's classes: its display name, and its identifier where that is known."""

    name: str
    mid: str | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the sequence step's probabilities are: AudioSet's labels first, then the outputs of the sequence model, by name."""

    audioset: tuple[AudioSetLabel, ...] = ()
    sequence: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many probabilities there are."""
        return len(self.audioset) + len(self.sequence)


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well a class was detected in recordings that nothing was fitted to.

    Attributes:
        originals: independent original recordings; several clips may be cut from one.
        clips: recordings of the class.
        found: those of them that gave an event of the class.
        others: recordings of other sounds.
        false: those of them that gave an event of the class all the same.

    """

    originals: int
    clips: int
    found: int
    others: int
    false: int


@dataclass(frozen=True, slots=True)
class StateTensor:
    """One recurrent state of the sequence step: float32 (rows, *shape), input `name`, output `next_<name>`."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """The sequence model: R frames of context, and the age below which its state is too young to decide.

    `embedder` is the one whose codes it was trained on; None where the bundle does not say.
    """

    kind: str
    context_frames: int
    minimum_age_frames: int
    states: tuple[StateTensor, ...]
    embedder: EmbedderId | None = None


@dataclass(frozen=True, slots=True)
class SoundClass:
    """One class: a name, and the outputs of the sequence step that its probability is the highest of.

    Attributes:
        slug: for topics.
        label: for people.
        mid: AudioSet's identifier of it, or None.
        rules: by hops per patch.
        audioset: names of the AudioSet labels it is made of.
        output: name of the sequence model's output for it, which takes precedence over the labels: where there are both, the
            labels' scores are fused into that output. None for a class made of labels alone.
        class_list: the first list of classes that it is in. A configuration keeps to the list it was written for.
        evidence: how well it was detected; None where that was not measured.

    """

    slug: str
    label: str
    mid: str | None
    rules: Mapping[int, Rule]
    audioset: tuple[str, ...] = ()
    output: str | None = None
    class_list: int = FIRST_CLASS_LIST
    evidence: Evidence | None = None

    @property
    def enabled(self) -> bool:
        """Whether it is decided at all."""
        return any(rule.enabled for rule in self.rules.values())

    @property
    def sequence_output(self) -> str | None:
        """The sequence model's output that it is, its own name where the bundle does not name outputs; None for labels alone."""
        return self.output or (None if self.audioset else self.slug)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json says. `training`, `evaluation` and `parity` are shown to people, never acted on.

    `outputs` is None in bundles before schema 1.1, where the outputs are the classes in their order.
    """

    name: str
    version: str
    created: str
    licence: str
    sequence: SequenceSpec
    classes: tuple[SoundClass, ...]
    training: Mapping[str, object]
    evaluation: Mapping[str, object]
    parity: Mapping[str, object]
    log_offset: float = FRONT_END.log_offset
    embedder: EmbedderId | None = None
    outputs: Outputs | None = None

    @property
    def named_outputs(self) -> Outputs:
        """The outputs, also of a bundle that does not name them."""
        return self.outputs or Outputs(sequence=tuple(sound.slug for sound in self.classes))


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
    pca = _load_pca(contents[PCA], folder / PCA)
    _require_one_embedder(manifest, embedder_digest(contents[EMBEDDER], pca), folder)
    return Bundle(manifest, contents[EMBEDDER], contents[SEQUENCE], pca)


def embedder_digest(content: bytes, pca: Pca) -> str:
    """The digest of an embedder: its .tflite file and the numbers of its PCA."""
    return joined_digest(hashlib.sha256(content).hexdigest(), pca_digest(pca))


def pca_digest(pca: Pca) -> str:
    """Sha256 of the PCA's numbers, in hexadecimal."""
    return hashlib.sha256(pca.matrix.tobytes() + pca.means.tobytes()).hexdigest()


def joined_digest(embedder: str, pca: str) -> str:
    """The digest of an embedder from the sha256 of its file and that of its PCA's numbers."""
    return hashlib.sha256(f"{embedder} {pca}".encode()).hexdigest()


def _require_one_embedder(manifest: Manifest, digest: str, folder: Path) -> None:
    if manifest.embedder is not None and manifest.embedder.digest != digest:
        found = EmbedderId(EMBEDDER, digest)
        raise BundleError(f"{folder} names the embedder {manifest.embedder} and holds {found}; make the bundle again")
    learnt = manifest.sequence.embedder
    if learnt is not None and learnt.digest != digest:
        holds = manifest.embedder or EmbedderId(EMBEDDER, digest)
        raise BundleError(
            f"the sequence model of {folder} was trained on codes of the embedder {learnt}, and the bundle holds {holds}; "
            "make the bundle again with the embedder that the sequence model was trained on"
        )


def parse_manifest(content: bytes, where: str) -> tuple[Manifest, dict[str, str]]:
    """The manifest and the sha256 of each file. Raises BundleError naming the key that is wrong."""
    try:
        data = parse_json(content)
    except ValueError as error:
        raise BundleError(f"{where} is not JSON: {error}") from error
    table = StrictTable(data, where, BundleError)
    major, minor = _schema(table)
    if major != SCHEMA_MAJOR or minor > SCHEMA_MINOR:
        raise BundleError(
            f"{where} has schema {major}.{minor}, this program reads up to {SCHEMA_MAJOR}.{SCHEMA_MINOR}; "
            "install a newer edge-detector or make the bundle again"
        )
    log_offset = _log_offset(table)
    outputs = _outputs(table.table("outputs")) if table.has("outputs") else None
    classes = _classes(table)
    _require_outputs(table, classes, outputs)
    manifest = Manifest(
        name=table.line("name"),
        version=table.line("version"),
        created=table.line("created"),
        licence=table.line("licence", most=MAX_LICENCE_CHARACTERS),
        sequence=_sequence(table.table("sequence")),
        classes=classes,
        training=table.free("training"),
        evaluation=table.free("evaluation"),
        parity=table.free("parity"),
        log_offset=log_offset,
        embedder=_embedder(table, "embedder"),
        outputs=outputs,
    )
    files = table.table("files")
    checksums = {name: files.text(name) for name in FILES}
    files.done()
    table.done()
    return manifest, checksums


def render_manifest(manifest: Manifest, contents: Mapping[str, bytes]) -> bytes:
    """manifest.json for these file contents; `parse_manifest` reads back the same."""
    sequence = asdict(manifest.sequence)
    outputs = manifest.outputs
    data: dict[str, object] = {
        "schema": f"{SCHEMA_MAJOR}.{SCHEMA_MINOR}",
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "licence": manifest.licence,
        "front_end": {**asdict(FRONT_END), "log_offset": manifest.log_offset},
        **({"embedder": asdict(manifest.embedder)} if manifest.embedder else {}),
        "sequence": {key: value for key, value in sequence.items() if value is not None},
        **({"outputs": _outputs_values(outputs)} if outputs else {}),
        "classes": [_class_values(sound) for sound in manifest.classes],
        "training": manifest.training,
        "evaluation": manifest.evaluation,
        "parity": manifest.parity,
        "files": {name: hashlib.sha256(contents[name]).hexdigest() for name in FILES},
    }
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def _outputs_values(outputs: Outputs) -> dict[str, object]:
    return {"audioset": [[label.name, label.mid] for label in outputs.audioset], "sequence": list(outputs.sequence)}


def _class_values(sound: SoundClass) -> dict[str, object]:
    made_of = {"audioset": list(sound.audioset)} if sound.audioset else {}
    return {
        "slug": sound.slug,
        "label": sound.label,
        "mid": sound.mid,
        **made_of,
        **({"output": sound.output} if sound.output is not None else {}),
        **({"class_list": sound.class_list} if sound.class_list != FIRST_CLASS_LIST else {}),
        **({} if sound.enabled else {"enabled": False}),
        **({"evidence": asdict(sound.evidence)} if sound.evidence is not None else {}),
        "rules": {hop_key(hops): _rule_values(rule) for hops, rule in sound.rules.items()},
    }


def _rule_values(rule: Rule) -> dict[str, float]:
    return {key: value for key, value in asdict(rule).items() if key != "enabled"}


def read_rule(table: StrictTable, default: Rule) -> Rule:
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
        remedy = "" if table.has("on") else "; give on as well"
        raise table.fail("off", f"must not be above on = {rule.on:g}{remedy}")
    table.done()
    return rule


def _schema(table: StrictTable) -> tuple[int, int]:
    parts = table.text("schema").split(".")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004 - major.minor
        raise table.fail("schema", "must be written major.minor")
    return int(parts[0][:9]), int(parts[1][:9])


def _sequence(table: StrictTable) -> SequenceSpec:
    context = table.integer("context_frames", low=1, high=300)
    states = []
    for state in table.tables("states"):
        states.append(StateTensor(state.slug("name", most=MAX_SLUG_CHARACTERS), state.integers("shape")))
        state.done()
    if not 1 <= len(states) <= MAX_STATES or len({state.name for state in states}) < len(states):
        raise table.fail("states", f"must name 1 to {MAX_STATES} state tensors, each once")
    if context * sum(math.prod(state.shape) for state in states) > MAX_STATE_NUMBERS:
        raise table.fail("states", f"must have {MAX_STATE_NUMBERS} numbers at most in {context} rows")
    spec = SequenceSpec(
        kind=table.text("kind", choices=SEQUENCE_KINDS),
        context_frames=context,
        minimum_age_frames=table.integer("minimum_age_frames", low=1, high=context),
        states=tuple(states),
        embedder=_embedder(table, "embedder"),
    )
    table.done()
    return spec


def _log_offset(table: StrictTable) -> float:
    """What is added before the logarithm: VGGish's 0.01 where the manifest does not say. The rest of the front end is fixed."""
    given = dict(table.free("front_end"))
    offset = given.pop("log_offset", FRONT_END.log_offset)
    wanted = {key: value for key, value in asdict(FRONT_END).items() if key != "log_offset"}
    if given != wanted:
        raise table.fail("front_end", f"is not what this program computes: {wanted}")
    if isinstance(offset, bool) or not isinstance(offset, int | float) or not LEAST_LOG_OFFSET <= offset <= 1.0:
        raise table.fail("front_end", f"must have a log_offset above 0, {LEAST_LOG_OFFSET:g} at least, and of 1 at most")
    return float(offset)


def _embedder(table: StrictTable, key: str) -> EmbedderId | None:
    if not table.has(key):
        return None
    embedder = table.table(key)
    found = EmbedderId(embedder.line("name"), embedder.line("digest"))
    embedder.done()
    return found


def _outputs(table: StrictTable) -> Outputs:
    labels = table.pairs("audioset")
    outputs = Outputs(
        audioset=tuple(AudioSetLabel(name, mid) for name, mid in labels),
        sequence=table.slugs("sequence"),
    )
    table.done()
    names = [label.name for label in outputs.audioset]
    if not 1 <= outputs.count <= MAX_OUTPUTS or len(set(names)) != len(names):
        raise table.refuse(f"must name 1 to {MAX_OUTPUTS} outputs, each AudioSet label once")
    for text in (*names, *(label.mid or "" for label in outputs.audioset), *outputs.sequence):
        _require_short(table, text)
    if len(set(outputs.sequence)) != len(outputs.sequence):
        raise table.fail("sequence", "must name each output once")
    return outputs


def _classes(table: StrictTable) -> tuple[SoundClass, ...]:
    classes = []
    items = table.tables("classes")
    if not 1 <= len(items) <= MAX_CLASSES:
        raise table.refuse(f"classes must be 1 to {MAX_CLASSES} classes, each slug once, not {len(items)}")
    for item in items:
        rules = item.table("rules")
        hops = {hops: rules.table(hop_key(hops)) for hops in HOPS_PER_PATCH}
        rules.done()
        enabled = item.flag("enabled", default=True)
        sound = SoundClass(
            slug=item.slug("slug", most=MAX_SLUG_CHARACTERS),
            label=item.line("label"),
            mid=item.optional_line("mid"),
            rules={
                key: read_rule(rule, Rule(on=rule.number("on"), off=rule.number("off"), enabled=enabled))
                for key, rule in hops.items()
            },
            audioset=item.texts("audioset"),
            output=item.slug("output", most=MAX_SLUG_CHARACTERS) if item.has("output") else None,
            class_list=item.integer("class_list", FIRST_CLASS_LIST, low=FIRST_CLASS_LIST, high=MAX_CLASS_LIST),
            evidence=_evidence(item.table("evidence")) if item.has("evidence") else None,
        )
        item.done()
        classes.append(sound)
    slugs = [sound.slug for sound in classes]
    if len(set(slugs)) != len(slugs):
        raise table.fail("classes", f"must be 1 to {MAX_CLASSES} classes, each slug once")
    return tuple(classes)


def _evidence(table: StrictTable) -> Evidence:
    most = 1 << 31
    keys = ("originals", "clips", "found", "others", "false")
    evidence = Evidence(**{key: table.integer(key, low=0, high=most) for key in keys})
    table.done()
    return evidence


def _require_outputs(table: StrictTable, classes: tuple[SoundClass, ...], outputs: Outputs | None) -> None:
    """Refuse a class that is made of something the sequence step does not give."""
    names = {label.name for label in outputs.audioset} if outputs else set()
    of_the_model = set(outputs.sequence) if outputs else set()
    for sound in classes:
        if unknown := sorted(set(sound.audioset) - names):
            raise table.refuse(
                f"the class {sound.slug} is made of {unknown[0][:MAX_SLUG_CHARACTERS]!r}, which is none of the outputs"
            )
        if outputs and not sound.audioset and sound.sequence_output not in of_the_model:
            raise table.refuse(f"the class {sound.slug} has neither an output of the sequence model nor AudioSet labels")
        if sound.output is not None and sound.output not in of_the_model:
            raise table.refuse(f"the class {sound.slug} names the output {sound.output}, which the sequence model does not have")


def _require_short(table: StrictTable, text: str) -> None:
    if not is_plain(text) or len(text) > MOST_SHOWN_CHARACTERS:
        allowed = f"one line of at most {MOST_SHOWN_CHARACTERS} characters, without control characters"
        raise table.refuse(f"{text[:MAX_SLUG_CHARACTERS]!r} must be {allowed}")


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_regular(folder / name, MAX_FILE_BYTES[name], follow_links=False)
    except OSError as error:
        raise BundleError(
            f"the bundle's file {folder / name} cannot be read ({error.strerror}); copy the bundle again"
        ) from error


def require_sizes(contents: Mapping[str, bytes], where: str) -> None:
    """Refuse contents that `load_bundle` would find too large. Raises BundleError."""
    for name, most in MAX_FILE_BYTES.items():
        if len(contents[name]) > most:
            raise BundleError(
                f"{name} of {where} would have {len(contents[name])} bytes; a bundle may have {megabytes(most)} there"
            )


def pca_of(content: bytes) -> Pca:
    """PCA parameters from the bytes of an npz file, of any float type, the means as row or column. Raises ValueError."""
    arrays = arrays_of(content, MAX_PCA_BYTES)
    if missing := {"pca_eigen_vectors", "pca_means"} - set(arrays):
        message = f"it has no array {min(missing)}"
        raise ValueError(message)
    matrix, means = arrays["pca_eigen_vectors"], arrays["pca_means"]
    if not {matrix.dtype.kind, means.dtype.kind} <= set("fiu"):
        message = "its arrays are no real numbers"
        raise ValueError(message)
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused
        return Pca(matrix.astype(np.float32), means.astype(np.float32).reshape(-1))


def _load_pca(content: bytes, path: Path) -> Pca:
    try:
        return pca_of(content)
    except ValueError as error:
        raise BundleError(f"{path} does not hold PCA parameters: {error}") from error
