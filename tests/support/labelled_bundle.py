"""A real bundle, with the networks of the one that ships, that has AudioSet labels and classes that are off.

Its classes are the twelve of the first bundles, in class list 1, and two of class list 2: `animal`, enabled, and `engine`, off.
The label "Tick-tock" is in no class.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_detector.detection.bundle import (
    FILES,
    MANIFEST,
    AudioSetLabel,
    Evidence,
    Manifest,
    Outputs,
    SoundClass,
    load_bundle,
    render_manifest,
)
from edge_detector.detection.hysteresis import Rule
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.factory import DEFAULT_BUNDLE

TWELVE = (
    "baby_cry", "chainsaw", "clock_tick", "dog_bark", "fire_crackling", "helicopter", "music", "person_sneeze", "rain", "rooster",
    "sea_waves", "speech",
)  # fmt: skip
LABELS = {
    "baby_cry": AudioSetLabel("Baby cry, infant cry", "/t/dd00002"),
    "chainsaw": AudioSetLabel("Chainsaw", "/m/01j4z9"),
    "clock_tick": AudioSetLabel("Tick-tock", "/m/07qjznl"),
    "dog_bark": AudioSetLabel("Bark", "/m/05tny_"),
}
EVIDENCE = Evidence(originals=8, clips=32, found=30, others=1_150, false=12)


def labelled_manifest() -> Manifest:
    """Its manifest."""
    manifest = load_bundle(DEFAULT_BUNDLE).manifest
    if manifest.outputs is None or not manifest.outputs.audioset:
        manifest = _with_labels(manifest)
    shipped = {sound.slug: sound for sound in manifest.classes}
    classes = {slug: replace(shipped[slug], class_list=1) for slug in TWELVE}
    fire = classes["fire_crackling"]
    classes["clock_tick"] = replace(classes["clock_tick"], output=fire.output, audioset=fire.audioset)
    animal = SoundClass(
        slug="animal",
        label="Animal",
        mid="/m/0jbk",
        rules=dict.fromkeys(HOPS_PER_PATCH, Rule(0.3, 0.18)),
        audioset=(LABELS["dog_bark"].name, LABELS["baby_cry"].name),
        class_list=2,
    )
    engine = SoundClass(
        slug="engine",
        label="Engine",
        mid=None,
        rules=dict.fromkeys(HOPS_PER_PATCH, Rule(0.4, 0.2, enabled=False)),
        audioset=(LABELS["chainsaw"].name,),
        class_list=2,
        evidence=EVIDENCE,
    )
    return replace(manifest, classes=(*classes.values(), animal, engine))


def labelled_bundle(folder: Path, change: Callable[[Manifest], Manifest] = lambda manifest: manifest) -> Path:
    """The bundle in a new folder, with a change of its manifest."""
    folder.mkdir()
    for name in FILES:
        shutil.copy(DEFAULT_BUNDLE / name, folder / name)
    contents = {name: (folder / name).read_bytes() for name in FILES}
    (folder / MANIFEST).write_bytes(render_manifest(change(labelled_manifest()), contents))
    return folder


def _with_labels(manifest: Manifest) -> Manifest:
    """A manifest whose outputs are its classes, with labels as the names of the first of them."""
    slugs = [sound.slug for sound in manifest.classes]
    assert slugs[: len(LABELS)] == list(LABELS)
    classes = [
        replace(sound, audioset=(LABELS[sound.slug].name,)) if sound.slug in LABELS else replace(sound, output=sound.slug)
        for sound in manifest.classes
    ]
    outputs = Outputs(audioset=tuple(LABELS.values()), sequence=tuple(slugs[len(LABELS) :]))
    return replace(manifest, classes=tuple(classes), outputs=outputs)
