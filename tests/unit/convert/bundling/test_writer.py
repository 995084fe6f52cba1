"""The bundle writer replaces a bundle as a whole, or leaves it in place."""

from pathlib import Path

import pytest

from convert.bundling.writer import write_bundle
from convert.embedder.runtime import DEFAULT_BUNDLE
from edge_detector.detection.bundle import EMBEDDER, PCA, SEQUENCE, load_bundle
from edge_detector.errors import EdgeDetectorError


def write(folder: Path) -> None:
    networks = {name: (DEFAULT_BUNDLE / name).read_bytes() for name in (EMBEDDER, SEQUENCE, PCA)}
    write_bundle(folder, load_bundle(DEFAULT_BUNDLE).manifest, networks)


def test_a_bundle_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "bundle")
    (tmp_path / "bundle" / "notes.txt").write_text("of the old bundle")
    write(tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "notes.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_old_bundle_is_put_back_if_the_new_one_cannot_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bundle"
    write(folder)
    rename = Path.rename

    def fail_for_the_new_folder(self: Path, target: Path) -> Path:
        if target == folder and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_folder)
    with pytest.raises(EdgeDetectorError, match="cannot be written: No space left on device"):
        write(folder)
    assert load_bundle(folder).manifest.name == load_bundle(DEFAULT_BUNDLE).manifest.name
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
