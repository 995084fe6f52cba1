"""A bundle: a folder with both networks, PCA, classes and thresholds, all verified on loading."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edge_detector.bounded_files import arrays_of, megabytes, npz_bytes, parse_json, read_regular
from edge_detector.detection.embedding import Pca
from edge_detector.detection.hysteresis import Rule, read_rule
from edge_detector.detection.linear_classifier import LinearClassifier
from edge_detector.errors import BundleError
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.plain_text import is_plain
from edge_detector.schema import MAX_SLUG_CHARACTERS, MOST_SHOWN_CHARACTERS, StrictTable

SCHEMA_MAJOR, SCHEMA_MINOR = 1, 2
"""1.1 adds the log-mel offset, the embedder's identity, AudioSet's labels as outputs, and the outputs of each class; 1.2 adds
taught classes. A manifest names the lowest version that has all of it."""
MINOR_WITHOUT_TAUGHT = 1

MANIFEST = "manifest.json"
EMBEDDER, SEQUENCE, PCA, MODEL_CARD = "embedder.tflite", "sequence.tflite", "pca.npz", "MODEL_CARD.md"
TAUGHT = "taught.npz"
FILES = (EMBEDDER, SEQUENCE, PCA, MODEL_CARD)
"""Files of every bundle; one with taught classes has TAUGHT too."""
MAX_FILE_BYTES: Mapping[str, int] = MappingProxyType(
    {MANIFEST: 4_000_000, EMBEDDER: 300_000_000, SEQUENCE: 300_000_000, PCA: 200_000, TAUGHT: 4_200_000, MODEL_CARD: 1_000_000}
)
"""The largest exported network, full-size VGGish in float32, has 289 MB."""
MAX_PCA_BYTES = 300_000
"""Of the unpacked numbers; two matrices in double precision would exceed it."""
MAX_CLASSES = 2_000
MAX_OUTPUTS = 2 * MAX_CLASSES
MAX_TAUGHT_BYTES = 4_200_000
"""Of the unpacked numbers: 2,000 classes in double precision."""
MAX_STATES = 64
MAX_STATE_NUMBERS = 1 << 24
"""Numbers of all states and rows of a bank, 64 MB. Each source has up to four banks."""
LEAST_LOG_OFFSET = 1e-6
"""A smaller offset vanishes in float32 rounding, and the logarithm of silence becomes minus infinity."""
SEQUENCE_KINDS = ("lstm", "dbof", "frame-logistic", "moe", "logistic", "readout")
FIRST_CLASS_LIST = 1
"""Class list of classes without a list number."""

MAX_CLASS_LIST = 1_000
MAX_LICENCE_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class EmbedderId:
    """Identity of an embedder; codes of different embedders are not comparable.

    Attributes:
        name: display name, such as yamnet-body.
        digest: sha256 over the .tflite file and the numbers of its PCA, in hexadecimal.

    """

    name: str
    digest: str

    def __str__(self) -> str:
        """Return the name and the first 8 characters of the digest."""
        return f"{self.name} ({self.digest[:8]})"


@dataclass(frozen=True, slots=True)
class AudioSetLabel:
    """An AudioSet class: display name, and identifier if known."""

    name: str
    mid: str | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """Names of all outputs: AudioSet's labels, the outputs of the sequence model, then those of the taught classes.

    The sequence step computes the labels and the outputs of the sequence model, a linear classifier the taught classes.
    """

    audioset: tuple[AudioSetLabel, ...] = ()
    sequence: tuple[str, ...] = ()
    taught: tuple[str, ...] = ()

    @property
    def of_step(self) -> int:
        """Number of outputs of the sequence step."""
        return len(self.audioset) + len(self.sequence)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Detection results of a class on recordings not used for training or calibration.

    Attributes:
        originals: independent original recordings; several clips may come from one.
        clips: recordings of the class.
        found: of these, those with an event of the class.
        others: recordings of other sounds.
        false: of these, those with an event of the class.

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
    """The sequence model: R frames of context, and the least age of a state for decisions, in frames.

    `embedder` is the one whose codes it was trained on; None if the bundle does not name it.
    """

    kind: str
    context_frames: int
    minimum_age_frames: int
    states: tuple[StateTensor, ...]
    embedder: EmbedderId | None = None


@dataclass(frozen=True, slots=True)
class SoundClass:
    """One class; its probability is the maximum over its outputs of the sequence step.

    Attributes:
        slug: name in topics.
        label: display name.
        mid: AudioSet's identifier, or None.
        rules: rules by hops per patch.
        audioset: names of its AudioSet labels.
        output: name of the sequence model's output, which takes precedence over the labels: the labels' scores are fused into
            it already. None for a class of labels alone, or a taught one.
        taught: name of the taught output, which takes precedence over everything else; None for any other class.
        class_list: first class list that contains it. A configuration uses the list it was written for.
        evidence: detection results; None if not measured.

    """

    slug: str
    label: str
    mid: str | None
    rules: Mapping[int, Rule]
    audioset: tuple[str, ...] = ()
    output: str | None = None
    taught: str | None = None
    class_list: int = FIRST_CLASS_LIST
    evidence: Evidence | None = None

    @property
    def enabled(self) -> bool:
        """True if any of its rules is enabled."""
        return any(rule.enabled for rule in self.rules.values())

    @property
    def sequence_output(self) -> str | None:
        """Name of the sequence model's output: `output`, by default the slug; None for labels alone or a taught class."""
        return None if self.taught else self.output or (None if self.audioset else self.slug)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of manifest.json. `training`, `evaluation` and `parity` are for display only.

    `outputs` is None before schema 1.1, where the outputs are the classes in order.
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
        """The outputs, or the classes' slugs if the bundle does not name outputs."""
        return self.outputs or Outputs(sequence=tuple(sound.slug for sound in self.classes))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle in memory; `embedder` and `sequence` are the bytes whose checksums were compared.

    `manifest_sha256` names the whole content, since the manifest holds the checksums of the other files.
    `taught` computes the taught outputs, in the manifest's order; None without any.
    """

    manifest: Manifest
    manifest_sha256: str
    embedder: bytes
    sequence: bytes
    pca: Pca
    taught: LinearClassifier | None = None


def hop_key(hops_per_patch: int) -> str:
    """Return the manifest's key of a hop, its seconds: "0.96", "0.48" or "0.24"."""
    return f"{FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz / hops_per_patch:.2f}"


def load_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle folder. Raises BundleError before any network runs."""
    if not folder.is_dir():
        raise BundleError(f"there is no bundle folder {folder}; give the path of a folder with a {MANIFEST}")
    content_of_manifest = _read(folder, MANIFEST)
    manifest, checksums = parse_manifest(content_of_manifest, f"{folder / MANIFEST}")
    contents = {name: _read(folder, name) for name in checksums}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != checksums[name]:
            raise BundleError(f"{folder / name} is not the file its manifest describes; copy the bundle again")
    pca = _load_pca(contents[PCA], folder / PCA)
    _require_one_embedder(manifest, embedder_digest(contents[EMBEDDER], pca), folder)
    taught = None
    if TAUGHT in contents:
        taught = _load_taught(contents[TAUGHT], folder / TAUGHT, len(manifest.named_outputs.taught))
    digest = hashlib.sha256(content_of_manifest).hexdigest()
    return Bundle(manifest, digest, contents[EMBEDDER], contents[SEQUENCE], pca, taught)


def embedder_digest(content: bytes, pca: Pca) -> str:
    """Compute the digest of an embedder from its .tflite file and its PCA's numbers."""
    return joined_digest(hashlib.sha256(content).hexdigest(), pca_digest(pca))


def pca_digest(pca: Pca) -> str:
    """Compute the sha256 of the PCA's numbers, in hexadecimal."""
    return hashlib.sha256(pca.matrix.tobytes() + pca.means.tobytes()).hexdigest()


def joined_digest(embedder: str, pca: str) -> str:
    """Compute the digest of an embedder from the sha256 of its file and of its PCA's numbers."""
    return hashlib.sha256(f"{embedder} {pca}".encode()).hexdigest()


def _require_one_embedder(manifest: Manifest, digest: str, folder: Path) -> None:
    if manifest.embedder is not None and manifest.embedder.digest != digest:
        found = EmbedderId(EMBEDDER, digest)
        raise BundleError(f"{folder} names the embedder {manifest.embedder} and holds {found}; make the bundle again")
    expected = manifest.sequence.embedder
    if expected is not None and expected.digest != digest:
        holds = manifest.embedder or EmbedderId(EMBEDDER, digest)
        raise BundleError(
            f"the sequence model of {folder} was trained on codes of the embedder {expected}, and the bundle holds {holds}; "
            "make the bundle again with the embedder that the sequence model was trained on"
        )


def parse_manifest(content: bytes, where: str) -> tuple[Manifest, dict[str, str]]:
    """Return the manifest and the sha256 of each file. Raises BundleError that names the wrong key."""
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
    checksums = {name: files.text(name) for name in (*FILES, *((TAUGHT,) if manifest.named_outputs.taught else ()))}
    files.reject_unknown()
    table.reject_unknown()
    return manifest, checksums


def render_manifest(manifest: Manifest, contents: Mapping[str, bytes]) -> bytes:
    """Render manifest.json for these file contents; the inverse of `parse_manifest`."""
    sequence = asdict(manifest.sequence)
    outputs = manifest.outputs
    minor = SCHEMA_MINOR if outputs and outputs.taught else MINOR_WITHOUT_TAUGHT
    data: dict[str, object] = {
        "schema": f"{SCHEMA_MAJOR}.{minor}",
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
        "files": {name: hashlib.sha256(contents[name]).hexdigest() for name in (*FILES, TAUGHT) if name in contents},
    }
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def _outputs_values(outputs: Outputs) -> dict[str, object]:
    labels = [[label.name, label.mid] for label in outputs.audioset]
    taught = {"taught": list(outputs.taught)} if outputs.taught else {}
    return {"audioset": labels, "sequence": list(outputs.sequence), **taught}


def _class_values(sound: SoundClass) -> dict[str, object]:
    labels = {"audioset": list(sound.audioset)} if sound.audioset else {}
    return {
        "slug": sound.slug,
        "label": sound.label,
        "mid": sound.mid,
        **labels,
        **({"output": sound.output} if sound.output is not None else {}),
        **({"taught": sound.taught} if sound.taught is not None else {}),
        **({"class_list": sound.class_list} if sound.class_list != FIRST_CLASS_LIST else {}),
        **({} if sound.enabled else {"enabled": False}),
        **({"evidence": asdict(sound.evidence)} if sound.evidence is not None else {}),
        "rules": {hop_key(hops): _rule_values(rule) for hops, rule in sound.rules.items()},
    }


def _rule_values(rule: Rule) -> dict[str, float]:
    return {key: value for key, value in asdict(rule).items() if key != "enabled"}


def _schema(table: StrictTable) -> tuple[int, int]:
    parts = table.text("schema").split(".")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004 - major.minor
        raise table.key_error("schema", "must be written major.minor")
    return int(parts[0][:9]), int(parts[1][:9])


def _sequence(table: StrictTable) -> SequenceSpec:
    context = table.integer("context_frames", low=1, high=300)
    states = []
    for state in table.tables("states"):
        states.append(StateTensor(state.slug("name", most=MAX_SLUG_CHARACTERS), state.integers("shape")))
        state.reject_unknown()
    if not 1 <= len(states) <= MAX_STATES or len({state.name for state in states}) < len(states):
        raise table.key_error("states", f"must name 1 to {MAX_STATES} state tensors, each once")
    if context * sum(math.prod(state.shape) for state in states) > MAX_STATE_NUMBERS:
        raise table.key_error("states", f"must have {MAX_STATE_NUMBERS} numbers at most in {context} rows")
    spec = SequenceSpec(
        kind=table.text("kind", choices=SEQUENCE_KINDS),
        context_frames=context,
        minimum_age_frames=table.integer("minimum_age_frames", low=1, high=context),
        states=tuple(states),
        embedder=_embedder(table, "embedder"),
    )
    table.reject_unknown()
    return spec


def _log_offset(table: StrictTable) -> float:
    """Read the log-mel offset, 0.01 (VGGish) by default. Raises the error if the rest of the front end differs."""
    given = dict(table.free("front_end"))
    offset = given.pop("log_offset", FRONT_END.log_offset)
    wanted = {key: value for key, value in asdict(FRONT_END).items() if key != "log_offset"}
    if given != wanted:
        raise table.key_error("front_end", f"is not what this program computes: {wanted}")
    if isinstance(offset, bool) or not isinstance(offset, int | float) or not LEAST_LOG_OFFSET <= offset <= 1.0:
        raise table.key_error("front_end", f"must have a log_offset above 0, {LEAST_LOG_OFFSET:g} at least, and of 1 at most")
    return float(offset)


def _embedder(table: StrictTable, key: str) -> EmbedderId | None:
    if not table.has(key):
        return None
    embedder = table.table(key)
    found = EmbedderId(embedder.line("name"), embedder.line("digest"))
    embedder.reject_unknown()
    return found


def _outputs(table: StrictTable) -> Outputs:
    labels = table.pairs("audioset")
    outputs = Outputs(
        audioset=tuple(AudioSetLabel(name, mid) for name, mid in labels),
        sequence=table.slugs("sequence"),
        taught=table.slugs("taught") if table.has("taught") else (),
    )
    table.reject_unknown()
    names = [label.name for label in outputs.audioset]
    if not 1 <= outputs.of_step <= MAX_OUTPUTS or len(set(names)) != len(names):
        raise table.table_error(f"must name 1 to {MAX_OUTPUTS} outputs, each AudioSet label once")
    for text in (*names, *(label.mid or "" for label in outputs.audioset), *outputs.sequence, *outputs.taught):
        _require_short(table, text)
    if len(set(outputs.sequence)) != len(outputs.sequence):
        raise table.key_error("sequence", "must name each output once")
    if len(set(outputs.taught)) != len(outputs.taught) or len(outputs.taught) > MAX_CLASSES:
        raise table.key_error("taught", f"must name up to {MAX_CLASSES} outputs, each once")
    return outputs


def _classes(table: StrictTable) -> tuple[SoundClass, ...]:
    classes = []
    items = table.tables("classes")
    if not 1 <= len(items) <= MAX_CLASSES:
        raise table.table_error(f"classes must be 1 to {MAX_CLASSES} classes, each slug once, not {len(items)}")
    for item in items:
        rules = item.table("rules")
        hops = {hops: rules.table(hop_key(hops)) for hops in HOPS_PER_PATCH}
        rules.reject_unknown()
        enabled = item.flag("enabled", default=True)
        sound = SoundClass(
            slug=item.slug("slug", most=MAX_SLUG_CHARACTERS),
            label=item.line("label"),
            mid=item.optional_line("mid"),
            rules={
                key: read_rule(rule).apply(Rule(on=rule.number("on"), off=rule.number("off"), enabled=enabled))
                for key, rule in hops.items()
            },
            audioset=item.texts("audioset"),
            output=item.slug("output", most=MAX_SLUG_CHARACTERS) if item.has("output") else None,
            taught=item.slug("taught", most=MAX_SLUG_CHARACTERS) if item.has("taught") else None,
            class_list=item.integer("class_list", FIRST_CLASS_LIST, low=FIRST_CLASS_LIST, high=MAX_CLASS_LIST),
            evidence=_evidence(item.table("evidence")) if item.has("evidence") else None,
        )
        item.reject_unknown()
        classes.append(sound)
    slugs = [sound.slug for sound in classes]
    if len(set(slugs)) != len(slugs):
        raise table.key_error("classes", f"must be 1 to {MAX_CLASSES} classes, each slug once")
    return tuple(classes)


def _evidence(table: StrictTable) -> Evidence:
    most = 1 << 31
    keys = ("originals", "clips", "found", "others", "false")
    evidence = Evidence(**{key: table.integer(key, low=0, high=most) for key in keys})
    table.reject_unknown()
    return evidence


def _require_outputs(table: StrictTable, classes: tuple[SoundClass, ...], outputs: Outputs | None) -> None:
    """Reject a class whose outputs the bundle does not have."""
    taught = set(outputs.taught) if outputs else set()
    names = {label.name for label in outputs.audioset} if outputs else set()
    model_outputs = set(outputs.sequence) if outputs else set()
    for sound in classes:
        if unknown := sorted(set(sound.audioset) - names):
            raise table.table_error(
                f"the class {sound.slug} is made of {unknown[0][:MAX_SLUG_CHARACTERS]!r}, which is not one of the outputs"
            )
        if sound.taught is not None:
            if sound.taught not in taught:
                raise table.table_error(f"the class {sound.slug} names the taught output {sound.taught}, which the bundle lacks")
            continue
        if outputs and not sound.audioset and sound.sequence_output not in model_outputs:
            raise table.table_error(f"the class {sound.slug} has neither an output of the sequence model nor AudioSet labels")
        if sound.output is not None and sound.output not in model_outputs:
            raise table.table_error(
                f"the class {sound.slug} names the output {sound.output}, which the sequence model does not have"
            )


def _require_short(table: StrictTable, text: str) -> None:
    if not is_plain(text) or len(text) > MOST_SHOWN_CHARACTERS:
        allowed = f"one line of at most {MOST_SHOWN_CHARACTERS} characters, without control characters"
        raise table.table_error(f"{text[:MAX_SLUG_CHARACTERS]!r} must be {allowed}")


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_regular(folder / name, MAX_FILE_BYTES[name], follow_links=False)
    except OSError as error:
        raise BundleError(
            f"the bundle's file {folder / name} cannot be read ({error.strerror}); copy the bundle again"
        ) from error


def require_sizes(contents: Mapping[str, bytes], where: str) -> None:
    """Raise BundleError for contents that are too large for `load_bundle`."""
    for name, most in MAX_FILE_BYTES.items():
        if len(contents.get(name, b"")) > most:
            raise BundleError(
                f"{name} of {where} would have {len(contents[name])} bytes; a bundle may have {megabytes(most)} there"
            )


def pca_of(content: bytes) -> Pca:
    """Read PCA parameters from an npz file's bytes; any float type, means as row or column. Raises ValueError."""
    arrays = arrays_of(content, MAX_PCA_BYTES)
    if missing := {"pca_eigen_vectors", "pca_means"} - set(arrays):
        message = f"it has no array {min(missing)}"
        raise ValueError(message)
    matrix, means = arrays["pca_eigen_vectors"], arrays["pca_means"]
    if not {matrix.dtype.kind, means.dtype.kind} <= set("fiu"):
        message = "its arrays are not real numbers"
        raise ValueError(message)
    with np.errstate(over="ignore"):  # overflow gives infinity, which Pca rejects
        return Pca(matrix.astype(np.float32), means.astype(np.float32).reshape(-1))


def _load_pca(content: bytes, path: Path) -> Pca:
    try:
        return pca_of(content)
    except ValueError as error:
        raise BundleError(f"{path} does not hold PCA parameters: {error}") from error


def taught_content(classifier: LinearClassifier) -> bytes:
    """Return the bytes of TAUGHT; the same classifier gives the same bytes."""
    return npz_bytes({"weights": classifier.weights, "biases": classifier.biases})


def classifier_of(content: bytes) -> LinearClassifier:
    """Read the classifier of taught classes from an npz file's bytes, of any float type. Raises ValueError."""
    arrays = arrays_of(content, MAX_TAUGHT_BYTES)
    if missing := {"weights", "biases"} - set(arrays):
        message = f"it has no array {min(missing)}"
        raise ValueError(message)
    if any(array.dtype.kind != "f" for array in arrays.values()):
        message = "its arrays are not real numbers"
        raise ValueError(message)
    with np.errstate(over="ignore"):  # overflow gives infinity, which LinearClassifier rejects
        return LinearClassifier(arrays["weights"].astype(np.float32), arrays["biases"].astype(np.float32))


def _load_taught(content: bytes, path: Path, expected: int) -> LinearClassifier:
    try:
        classifier = classifier_of(content)
    except ValueError as error:
        raise BundleError(f"{path} does not hold taught classes: {error}; make the bundle again") from error
    if len(classifier.biases) != expected:
        raise BundleError(f"{path} has {len(classifier.biases)} taught classes, its manifest {expected}; make the bundle again")
    return classifier
