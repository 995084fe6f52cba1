"""The recipe of a bundle, on sounds made here and with networks so small that it takes seconds."""

from collections.abc import Sequence
from pathlib import Path

from convert.__main__ import main
from edge_detector.audio.samples import read_16khz
from tests.support.synthetic import write_clips


def convert(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def bundle_command(folder: Path, output: Path) -> Sequence[object]:
    return ("bundle", folder / "lstm", "--name", "tiny", "--embedder", folder / "embedder.tflite", "-o", output)


def follow_recipe(folder: Path) -> None:
    """All of it, step by step, in one folder. The embedder is a narrow VGGish with random weights, in the folder `vggish`."""
    from tests.support.narrow_vggish import taken_for_vggish, write_released  # noqa: PLC0415 - tests without TensorFlow skip

    clips = write_clips(folder / "clips")
    source = write_released(folder / "vggish", [read_16khz(path) for path in sorted(clips.glob("*/[12]-*.wav"))])
    with taken_for_vggish():
        assert convert("export-embedder", source, "--set", "embedder.measured_windows=20", "-o", folder / "embedder.tflite") == 0
    given = (clips, "--folds", "1,2", "--embedder", folder / "embedder.tflite")
    for part, count in (("train", 60), ("validation", 20)):
        mixtures = (f"mixtures.sequences={count}", "mixtures.context_frames=4", "mixtures.validation_share=0.3")
        assert convert("compose", *given, "--part", part, "--set", *mixtures, "-o", folder / f"{part}.tfrecord") == 0
    assert convert("embed", *given, "-o", folder / "whole.tfrecord") == 0
    train = ("train", folder / "train.tfrecord", "--validation", folder / "validation.tfrecord", "--recipe", "default")
    sizes = ("training.context_frames=4", "lstm.cells=8", "training.epochs=3", "training.keep_inputs=1.0")
    assert convert(*train, "--set", *sizes, "-o", folder / "lstm") == 0
    assert convert("export", folder / "lstm") == 0
    assert convert(*bundle_command(folder, folder / "bundle")) == 0
