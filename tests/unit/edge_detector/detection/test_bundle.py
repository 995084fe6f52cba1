import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_detector.bounded_files import npz_bytes
from edge_detector.detection.bundle import (
    EMBEDDER,
    FILES,
    MANIFEST,
    MODEL_CARD,
    PCA,
    SEQUENCE,
    TAUGHT,
    AudioSetLabel,
    EmbedderId,
    Evidence,
    Manifest,
    Outputs,
    SequenceSpec,
    SoundClass,
    StateTensor,
    embedder_digest,
    load_bundle,
    parse_manifest,
    render_manifest,
    taught_content,
)
from edge_detector.detection.embedding import Pca
from edge_detector.detection.hysteresis import Rule
from edge_detector.detection.linear_classifier import FEATURES, LinearClassifier
from edge_detector.errors import BundleError

RULES = {1: Rule(0.6, 0.3), 2: Rule(0.7, 0.3), 4: Rule(0.8, 0.3, min_seconds=0.5)}


def manifest() -> Manifest:
    return Manifest(
        name="test",
        version="1",
        created="2026-01-01",
        licence="CC0",
        sequence=SequenceSpec("lstm", 10, 1, (StateTensor("h0", (4,)), StateTensor("c0", (4,)))),
        classes=(SoundClass("dog_bark", "Dog bark", "/m/05tny_", RULES), SoundClass("rain", "Rain", None, RULES)),
        training={"data": "none"},
        evaluation={"accuracy": 0.5},
        parity={},
    )


def contents() -> dict[str, bytes]:
    file = io.BytesIO()
    np.savez(file, pca_eigen_vectors=np.eye(128), pca_means=np.zeros((128, 1)))
    return {EMBEDDER: b"embedder", SEQUENCE: b"sequence", PCA: file.getvalue(), MODEL_CARD: b"# Card\n"}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in {**files, MANIFEST: render_manifest(manifest(), files)}.items():
        (folder / name).write_bytes(content)
    return folder


def edited(**changes: object) -> bytes:
    return json.dumps({**json.loads(render_manifest(manifest(), contents())), **changes}).encode()


def test_a_manifest_reads_back_as_it_was_written() -> None:
    read, checksums = parse_manifest(render_manifest(manifest(), contents()), "manifest")
    assert read == manifest()
    assert set(checksums) == set(FILES)


def test_a_bundle_loads_with_the_bytes_that_were_checked(tmp_path: Path) -> None:
    bundle = load_bundle(write(tmp_path, contents()))
    assert (bundle.embedder, bundle.sequence) == (b"embedder", b"sequence")
    assert np.array_equal(bundle.pca.matrix, np.eye(128, dtype=np.float32))


def test_the_digest_of_the_manifest_names_the_content_of_every_file(tmp_path: Path) -> None:
    digest = load_bundle(write(tmp_path, contents())).manifest_sha256
    assert digest == hashlib.sha256((tmp_path / MANIFEST).read_bytes()).hexdigest()
    for name in FILES:
        changed = {**contents(), name: contents()[name] + b" "}
        assert hashlib.sha256(render_manifest(manifest(), changed)).hexdigest() != digest


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_in_any_file_is_noticed(tmp_path: Path, name: str) -> None:
    write(tmp_path, contents())
    damaged = bytearray((tmp_path / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(BundleError, match=rf"{name} is not the file its manifest describes"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, contents())
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(tmp_path)


def test_pickled_pca_parameters_are_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.savez(file, pca_eigen_vectors=np.array([{}], dtype=object), pca_means=np.zeros(128))
    with pytest.raises(BundleError, match="PCA"):
        load_bundle(write(tmp_path, {**contents(), PCA: file.getvalue()}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "must be a table"),
        (edited(surprise=1), "unknown key 'surprise'"),
        (edited(schema="2.0"), "install a newer"),
        (edited(schema="1.3"), "install a newer"),
        (edited(schema="one"), "major.minor"),
        (edited(name=""), "non-empty"),
        (edited(front_end={"sample_rate_hz": 8000}), "front_end"),
        (edited(classes=[]), "1 to"),
        (edited(classes=[{"slug": "Dog Bark"}]), "lower-case"),
        (edited(files={"../../etc/passwd": "0"}), "missing"),
        (edited(sequence={"kind": "lstm", "context_frames": 0}), "between 1 and 300"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(content: bytes, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence) as caught:
        parse_manifest(content, "manifest.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "most"), [(MANIFEST, 4_000_000), (PCA, 200_000), (MODEL_CARD, 1_000_000), (EMBEDDER, 300_000_000)]
)
def test_a_file_larger_than_its_kind_may_be_is_refused_by_its_size(tmp_path: Path, name: str, most: int) -> None:
    with (write(tmp_path, contents()) / name).open("r+b") as file:
        file.truncate(most + 1)
    with pytest.raises(BundleError, match=rf"{name} cannot be read \(it is larger than \d+ [kM]B\)"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_file_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, contents())
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=rf"{name} cannot be read \(it is a symbolic link\)"):
        load_bundle(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BundleError, match=rf"{name} cannot be read \(it is not a regular file\)"):
        load_bundle(folder)


def test_parameters_that_would_unpack_into_gigabytes_are_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, pca_eigen_vectors=np.zeros((5_000, 5_000), np.float32), pca_means=np.zeros(128))
    with pytest.raises(BundleError, match="its arrays have more than 300 kB"):
        load_bundle(write(tmp_path, {**contents(), PCA: file.getvalue()}))


def one_class(**values: object) -> bytes:
    (sound, *_) = json.loads(render_manifest(manifest(), contents()))["classes"]
    return edited(classes=[{**sound, **values}])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (one_class(label="x\x1b[2J"), "without control characters"),
        (one_class(label="two\nlines"), "without control characters"),
        (one_class(label="half \ud800"), "without control characters"),
        (one_class(label="turned \u202e round"), "without control characters"),
        (one_class(label="y" * 201), "at most 200 characters"),
        (one_class(mid="\x9b2J"), "without control characters"),
        (one_class(slug="x" * 65), "64 characters at most"),
        (edited(name="\x1b]0;owned\x07"), "without control characters"),
        (edited(version="1\r2"), "without control characters"),
        (edited(**{"\x1b[2J": 1}), r"unknown key '\\x1b\[2J'"),
        (edited(evaluation={"accuracy": float("nan")}), "is not JSON"),
        (edited(evaluation={"accuracy": 10**400}).replace(b"0" * 400, b"e400"), "is not JSON"),
        (edited(training=json.loads("[" * 0 + '{"a":' * 40 + "1" + "}" * 40)), "nested more than 32 deep"),
        (edited(classes=[{"slug": f"c{number}"} for number in range(2_001)]), "1 to 2000 classes"),
        (
            edited(sequence={"kind": "lstm", "context_frames": 10, "states": [{"name": "h", "shape": [1 << 40]}]}),
            "16777216 numbers",
        ),
    ],
)
def test_no_name_moves_a_cursor_and_nothing_grows_without_a_limit(content: bytes, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence) as caught:
        parse_manifest(content, "manifest.json")
    assert str(caught.value).isprintable()


def test_labels_of_any_script_are_taken() -> None:
    for label in ("Bébé qui pleure\u00a0!", "赤ちゃんの泣き声", "گریهٔ نوزاد می\u200cشنوم", "👩\u200d🍳"):
        assert parse_manifest(one_class(label=label), "manifest.json")[0].classes[0].label == label


def test_a_rule_whose_off_is_above_its_on_is_refused() -> None:
    data = json.loads(render_manifest(manifest(), contents()))
    data["classes"][0]["rules"]["0.96"] |= {"on": 0.2, "off": 0.4}
    with pytest.raises(BundleError, match=r"off = 0.4 must not be above on = 0.2"):
        parse_manifest(json.dumps(data).encode(), "manifest.json")


def test_no_folder_is_one_sentence() -> None:
    with pytest.raises(BundleError, match="there is no bundle folder"):
        load_bundle(Path("/no/such/folder"))


def whole_bundle() -> tuple[Manifest, dict[str, bytes]]:
    """A manifest with everything that 1.1 knows, and files that it is true of."""
    files = contents()
    embedder = EmbedderId(
        "yamnet-body", embedder_digest(files[EMBEDDER], Pca(np.eye(128, dtype=np.float32), np.zeros(128, np.float32)))
    )
    plain = manifest()
    dog, rain = plain.classes
    engine = SoundClass(
        "engine",
        "Engine",
        None,
        {hops: replace(rule, enabled=False) for hops, rule in RULES.items()},
        audioset=("Engine", "Idling"),
        class_list=2,
        evidence=Evidence(originals=8, clips=32, found=30, others=1_150, false=12),
    )
    made = replace(
        plain,
        sequence=replace(plain.sequence, embedder=embedder),
        classes=(replace(dog, output="dog_bark", audioset=("Bark",)), replace(rain, output="rain_"), engine),
        log_offset=0.001,
        embedder=embedder,
        outputs=Outputs(
            (AudioSetLabel("Bark", "/m/05tny_"), AudioSetLabel("Engine"), AudioSetLabel("Idling")), ("dog_bark", "rain_")
        ),
    )
    return made, files


def write_whole(folder: Path, whole: Manifest, files: Mapping[str, bytes]) -> Path:
    for name, content in {**files, MANIFEST: render_manifest(whole, files)}.items():
        (folder / name).write_bytes(content)
    return folder


def whole_edited(change: Callable[[dict[str, Any]], None]) -> bytes:
    data = json.loads(render_manifest(*whole_bundle()))
    change(data)
    return json.dumps(data).encode()


def test_outputs_evidence_class_lists_and_embedders_read_back_as_they_were_written(tmp_path: Path) -> None:
    whole, files = whole_bundle()
    assert load_bundle(write_whole(tmp_path, whole, files)).manifest == whole


def test_a_bundle_whose_embedder_is_another_than_it_says_is_refused(tmp_path: Path) -> None:
    whole, files = whole_bundle()
    other = EmbedderId("vggish", "0" * 64)
    with pytest.raises(BundleError, match=r"names the embedder vggish \(00000000\) and holds embedder\.tflite \([0-9a-f]{8}\)"):
        load_bundle(write_whole(tmp_path, replace(whole, embedder=other), files))


def test_a_sequence_model_of_another_embedder_s_codes_is_refused_with_both_names(tmp_path: Path) -> None:
    whole, files = whole_bundle()
    other = EmbedderId("vggish", "0" * 64)
    mixed = replace(whole, sequence=replace(whole.sequence, embedder=other))
    both = r"trained on codes of the embedder vggish \(00000000\), and the bundle holds yamnet-body \([0-9a-f]{8}\)"
    with pytest.raises(BundleError, match=both):
        load_bundle(write_whole(tmp_path, mixed, files))


def test_a_log_offset_that_is_not_given_is_vggish_s() -> None:
    def change(data: dict[str, Any]) -> None:
        del data["front_end"]["log_offset"]

    assert parse_manifest(whole_edited(change), "manifest")[0].log_offset == 0.01


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda data: data["classes"][2].update(audioset=["Motor"]),
            "the class engine is made of 'Motor', which is not one of the outputs",
        ),
        (
            lambda data: data["classes"][0].update(output="cat"),
            "the class dog_bark names the output cat, which the sequence model",
        ),
        (
            lambda data: data["classes"][1].pop("output"),
            "the class rain has neither an output of the sequence model nor AudioSet",
        ),
        (lambda data: data.pop("outputs"), "is made of 'Bark', which is not one of the outputs"),
        (lambda data: data["outputs"].update(audioset=[["Bark", None], ["Bark", "/m/0"]]), "each AudioSet label once"),
        (lambda data: data["outputs"].update(audioset=["Bark"]), "must be a list of pairs of texts"),
        (lambda data: data["outputs"].update(sequence=["dog_bark", "dog_bark"]), "must name each output once"),
        (lambda data: data["outputs"].update(sequence=["Dog bark"]), "must be a list of names"),
        (lambda data: data["classes"][2].update(class_list=0), "class_list = 0 must be a whole number between 1 and"),
        (lambda data: data["classes"][2]["evidence"].update(found=-1), "found = -1"),
        (lambda data: data["classes"][2]["evidence"].pop("false"), "false"),
        (lambda data: data["front_end"].update(log_offset=0), "log_offset above 0"),
        (lambda data: data["front_end"].update(log_offset="0.01"), "log_offset above 0"),
        (lambda data: data["front_end"].update(mel_bands=128), "is not what this program computes"),
        (lambda data: data["embedder"].pop("digest"), "digest"),
        (lambda data: data["sequence"]["embedder"].update(name=""), "name"),
    ],
)
def test_what_1_1_adds_is_read_as_strictly(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence) as caught:
        parse_manifest(whole_edited(change), "manifest.json")
    assert "\n" not in str(caught.value)


OLD_RULE = {"on": 0.6, "off": 0.3, "min_seconds": 0.9, "hold_seconds": 1.0, "max_seconds": 600.0, "refractory_seconds": 0.0}
OLD_MANIFEST = {
    "schema": "1.0",
    "name": "my-sounds",
    "version": "1.2.0",
    "created": "2026-03-01T12:00:00Z",
    "licence": "Apache-2.0",
    "sequence": {
        "kind": "lstm",
        "context_frames": 10,
        "minimum_age_frames": 1,
        "states": [{"name": "h0", "shape": [128]}, {"name": "c0", "shape": [128]}],
    },
    "classes": [
        {"slug": slug, "label": label, "mid": None, "rules": {"0.96": OLD_RULE, "0.48": OLD_RULE, "0.24": OLD_RULE}}
        for slug, label in (("beep", "Beep"), ("doorbell", "Doorbell"))
    ],
    "training": {"data": "clips"},
    "evaluation": {},
    "parity": {},
    "front_end": {
        "sample_rate_hz": 16000,
        "frame_seconds": 0.025,
        "frame_hop_seconds": 0.01,
        "mel_bands": 64,
        "mel_min_hz": 125.0,
        "mel_max_hz": 7500.0,
        "log_offset": 0.01,
        "patch_frames": 96,
    },
}
"""As programs up to schema 1.0 wrote it."""


def test_a_bundle_of_schema_1_0_loads_as_it_was_meant(tmp_path: Path) -> None:
    files = contents()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    (tmp_path / MANIFEST).write_text(json.dumps({**OLD_MANIFEST, "files": digests}))
    old = load_bundle(tmp_path).manifest
    assert old.named_outputs == Outputs(sequence=("beep", "doorbell"))
    assert (old.outputs, old.embedder, old.sequence.embedder, old.log_offset) == (None, None, None, 0.01)
    assert [(sound.class_list, sound.enabled, sound.audioset, sound.output) for sound in old.classes] == 2 * [(1, True, (), None)]
    assert old.classes[0].rules[2] == Rule(0.6, 0.3, min_seconds=0.9)


TAUGHT_CLASS = SoundClass("washer", "Washer", None, RULES, taught="washer")


def taught_manifest() -> Manifest:
    outputs = Outputs(sequence=("dog_bark", "rain"), taught=("washer",))
    return replace(manifest(), classes=(*manifest().classes, TAUGHT_CLASS), outputs=outputs)


def taught_folder(folder: Path, classifier: bytes) -> Path:
    files = {**contents(), TAUGHT: classifier}
    folder.mkdir()
    for name, content in {**files, MANIFEST: render_manifest(taught_manifest(), files)}.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_bundle_with_taught_classes_reads_back_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classifier = LinearClassifier(rng.standard_normal((1, FEATURES)).astype(np.float32), np.ones(1, np.float32))
    bundle = load_bundle(taught_folder(tmp_path / "bundle", taught_content(classifier)))
    assert bundle.manifest == taught_manifest()
    assert bundle.taught is not None
    assert np.array_equal(bundle.taught.weights, classifier.weights)
    assert np.array_equal(bundle.taught.biases, classifier.biases)


def test_only_a_bundle_with_taught_classes_needs_the_newest_schema() -> None:
    assert json.loads(render_manifest(manifest(), contents()))["schema"] == "1.1"
    assert json.loads(render_manifest(taught_manifest(), {**contents(), TAUGHT: b""}))["schema"] == "1.2"


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"weights": np.zeros((1, FEATURES))}, "it has no array biases"),
        ({"weights": np.zeros((1, 3)), "biases": np.zeros(1)}, "weights and biases must be"),
        ({"weights": np.full((1, FEATURES), np.nan), "biases": np.zeros(1)}, "not all finite"),
        ({"weights": np.full((1, FEATURES), 1e300), "biases": np.zeros(1)}, "not all finite"),
        ({"weights": np.zeros((1, FEATURES), np.int64), "biases": np.zeros(1)}, "not real numbers"),
        ({"weights": np.zeros((2, FEATURES)), "biases": np.zeros(2)}, "has 2 taught classes, its manifest 1"),
    ],
)
def test_a_classifier_that_does_not_fit_is_refused(arrays: dict[str, np.ndarray], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=sentence) as caught:
        load_bundle(taught_folder(tmp_path / "bundle", npz_bytes(arrays)))
    assert str(caught.value).endswith("make the bundle again")


def test_a_class_of_a_taught_output_that_is_not_there_is_refused() -> None:
    wrong = replace(taught_manifest(), outputs=Outputs(sequence=("dog_bark", "rain"), taught=("dryer",)))
    with pytest.raises(BundleError, match="names the taught output washer, which the bundle lacks"):
        parse_manifest(render_manifest(wrong, {**contents(), TAUGHT: b""}), "manifest")


def test_a_missing_classifier_is_one_sentence(tmp_path: Path) -> None:
    folder = taught_folder(tmp_path / "bundle", b"no archive")
    with pytest.raises(BundleError, match="does not hold taught classes"):
        load_bundle(folder)
    (folder / TAUGHT).unlink()
    with pytest.raises(BundleError, match="copy the bundle again"):
        load_bundle(folder)
