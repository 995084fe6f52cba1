import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edge_detector.core.bundle import (
    EMBEDDER,
    FILES,
    MANIFEST,
    MODEL_CARD,
    PCA,
    SEQUENCE,
    Manifest,
    SequenceSpec,
    SoundClass,
    StateTensor,
    load_bundle,
    parse_manifest,
    render_manifest,
)
from edge_detector.core.decision import Rule
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
        (edited(schema="1.2"), "install a newer"),
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


def test_a_rule_whose_off_is_above_its_on_is_refused() -> None:
    data = json.loads(render_manifest(manifest(), contents()))
    data["classes"][0]["rules"]["0.96"] |= {"on": 0.2, "off": 0.4}
    with pytest.raises(BundleError, match=r"off = 0.4 must not be above on = 0.2"):
        parse_manifest(json.dumps(data).encode(), "manifest.json")


def test_no_folder_is_one_sentence() -> None:
    with pytest.raises(BundleError, match="there is no bundle folder"):
        load_bundle(Path("/no/such/folder"))
