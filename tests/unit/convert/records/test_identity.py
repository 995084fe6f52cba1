"""Codes of two embedders are never mixed: records, sequence models and bundles name theirs, and a mismatch names both."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from convert.embedder.runtime import CodeEmbedder
from convert.files import read_json
from convert.records.identity import embedder_id, embedder_provenance, require_same_embedder
from edge_detector.detection.bundle import EMBEDDER, EmbedderId, embedder_digest, load_bundle
from edge_detector.errors import BundleError, UsageError
from tests.support.labelled_embedder import write_classes, write_embedder
from tests.support.synthetic import write_clips
from tests.support.tiny_recipe import convert

pytest.importorskip("tensorflow")

ONE, OTHER = r"made-body \(\w{8}\)", r"other-body \(\w{8}\)"


@pytest.fixture(scope="module")
def place(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `labelled` has of one embedder, and in `other` records, a model and a bundle of another."""
    folder = tmp_path_factory.mktemp("two-embedders")
    other = folder / "other"
    embedder = write_embedder(other / "embedder", "other-body", shift=0.5)
    write_classes(other)
    clips = write_clips(folder / "clips")
    assert convert("embed", clips, "--embedder", embedder, "-o", other / "whole.tfrecord") == 0
    shape = ("--set", "lstm.cells=4", "lstm.layers=1", "lstm.head=logistic", "training.context_frames=4", "training.epochs=1")
    assert convert("train", other / "whole.tfrecord", *shape, "-o", other / "lstm") == 0
    assert convert("export", other / "lstm") == 0
    assert convert("bundle", other / "lstm", "--embedder", embedder, "-o", other / "bundle") == 0
    (folder / "one").symlink_to(labelled)
    return folder


def test_a_digest_is_of_the_file_and_of_the_numbers_of_its_pca(place: Path) -> None:
    embedder = place / "one" / "embedder" / EMBEDDER
    made_of = CodeEmbedder.load(embedder).made_of
    bundle = load_bundle(place / "one" / "bundle")
    assert embedder_id(made_of) == EmbedderId("made-body", embedder_digest(bundle.embedder, bundle.pca))
    assert embedder_id(made_of) == bundle.manifest.embedder
    assert embedder_provenance(bundle.embedder + b"\0", bundle.pca, "made-body") != made_of
    assert embedder_id(read_json(place / "one" / "whole.tfrecord.json")["made_of"]) == bundle.manifest.embedder


def test_embedders_with_equal_digests_and_different_names_are_equal() -> None:
    one, renamed, other = EmbedderId("a", "1"), EmbedderId("b", "1"), EmbedderId("a", "2")
    require_same_embedder(one, "x", renamed, "y", "z")
    require_same_embedder(one, "x", None, "y", "z")
    require_same_embedder(None, "x", one, "y", "z")
    with pytest.raises(UsageError, match=r"x is of the embedder a \(1\) and y of a \(2\); z"):
        require_same_embedder(one, "x", other, "y", "z")


def test_records_without_a_name_are_identified_by_digest() -> None:
    old = embedder_id({"embedder": "e", "pca": "p", "seed": 1})
    assert old is not None
    assert old.name == "an unnamed embedder"
    require_same_embedder(old, "x", embedder_id({"embedder": "e", "pca": "p", "embedder_name": "named"}), "y", "z")
    assert embedder_id({"embedder": "e"}) is None


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("train one/whole.tfrecord other/whole.tfrecord --set training.epochs=1 -o out", (ONE, OTHER)),
        ("train one/whole.tfrecord --validation other/whole.tfrecord --set training.epochs=1 -o out", (ONE, OTHER)),
        ("eval one/lstm other/whole.tfrecord", (ONE, OTHER)),
        ("eval one/fused other/whole.tfrecord", (ONE, OTHER)),
        ("infer other/lstm one/whole.tfrecord -o out", (OTHER, ONE)),
        ("fuse one/lstm --embedder other/embedder/embedder.tflite -o out", (ONE, OTHER)),
        ("bundle one/lstm --embedder other/embedder/embedder.tflite -o out",
         (ONE, OTHER)),
        ("bundle one/fused --embedder other/bundle -o out", (ONE, OTHER)),
        ("bundle one/readout --embedder other/bundle --classes one/labels.json -o out", (ONE, OTHER)),
        ("negatives one/whole.tfrecord other/whole.tfrecord -o out", (OTHER, ONE)),
    ],
)  # fmt: skip
def test_two_embedders_in_one_command_are_refused_with_both_names(
    place: Path,
    command: str,
    names: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert convert(*command.split()) == 2
    *_, message = capsys.readouterr().err.splitlines()
    assert re.search(rf"is of the embedder {names[0]} and [\w./ ]+ of {names[1]}; ", message), message
    assert not (place / "out").exists()


def test_records_of_two_embedders_in_a_folder_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "other"):
        for end in ("", ".json"):
            shutil.copy(place / name / f"whole.tfrecord{end}", tmp_path / f"{name}.tfrecord{end}")
    assert convert("train", tmp_path, "--set", "training.epochs=1", "-o", tmp_path / "out") == 1
    assert re.search(rf"are of two embedders, {ONE} and {OTHER}; keep those of one in a folder", capsys.readouterr().err)


@pytest.mark.parametrize(("key", "said"), [("embedder", "names the embedder"), ("sequence", "was trained on codes of the")])
def test_a_bundle_whose_manifest_names_another_embedder_is_not_loaded(place: Path, tmp_path: Path, key: str, said: str) -> None:
    shutil.copytree(place / "one" / "bundle", tmp_path / "bundle")
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    named = manifest["embedder"] if key == "embedder" else manifest["sequence"]["embedder"]
    named |= {"name": "other-body", "digest": 64 * "0"}
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match=said) as raised:
        load_bundle(tmp_path / "bundle")
    assert "other-body (00000000)" in str(raised.value)


def test_files_of_one_embedder_are_accepted_together(place: Path, tmp_path: Path) -> None:
    one = place / "one"
    assert convert("eval", one / "fused", one / "whole.tfrecord") == 0
    assert convert("infer", one / "lstm", one / "whole.tfrecord", "-o", tmp_path / "out.csv") == 0
    assert (
        convert("fuse", place / "other" / "lstm", "--embedder", place / "other" / "embedder" / EMBEDDER, "-o", tmp_path / "f")
        == 0
    )
