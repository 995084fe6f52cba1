"""Recordings in `not`: how many other false events do they take away from a taught class, and how many true ones do they cost?

Each class of ESC-10 is taught from its first ten recordings, beside the default bundle's others. Of the other sounds that wrongly
give its event, half go into not/CLASS, and the class is taught again. Counted are events in the other half, in all further
sounds, and in the class's remaining recordings:

    python -m tests.studies.teach_wrong --others ../shared/data/check --work /tmp/wrong

A quarter of an hour on two cores.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from edge_detector.audio.clips import AUDIO_SUFFIXES, NO_FOLD, fold_and_source
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.detector import Networks
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.errors import EdgeDetectorError
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.calibration import FINEST, at_hop, event_starts
from edge_detector.teaching.streams import codes_of, features
from edge_detector.teaching.teach import TeachingPlan, teach
from edge_detector.types import Float32

TAUGHT, FEWEST_WRONG = 10, 4


def say(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def link(folder: Path, files: list[Path]) -> None:
    """Links to these files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        has_fold = fold_and_source(file.stem)[0] != NO_FOLD
        place = folder / (file.name if has_fold else f"{file.parent.name}_{file.name}")
        if not place.exists():
            place.symlink_to(file.resolve())


def features_of(networks: Networks, files: list[Path]) -> dict[Path, Float32]:
    """Features of what can be read, at the finest hop."""
    found = {}
    for file in files:
        try:
            found[file] = features(codes_of(networks, read_16khz(file), FINEST), FINEST)
        except EdgeDetectorError as error:
            say(f"left out: {error}")
    return found


def with_event(bundle: Path, slug: str, sounds: dict[Path, Float32]) -> set[Path]:
    """The sounds that give an event of the class at a hop of 0.96 s."""
    loaded = load_bundle(bundle)
    assert loaded.taught is not None
    (rule,) = [sound.rules[1] for sound in loaded.manifest.classes if sound.slug == slug]
    place, found = loaded.manifest.named_outputs.taught.index(slug), set()
    for file, each in sounds.items():
        if event_starts(at_hop(loaded.taught.of_features(each), 1)[:, place], rule, 1) > 0:
            found.add(file)
    return found


def taught(sounds: Path, output: Path, seed: int) -> Path:
    """The bundle that teach makes of the folder."""
    teach(TeachingPlan(recordings=sounds, base=DEFAULT_BUNDLE, output=output, seed=seed), lambda _stage, _done, _total: None)
    return output


def row(slug: str, known: dict[Path, Float32], work: Path, seed: int) -> dict[str, int]:
    """The figures of one class; without the second half of them if too few sounds are taken for it."""
    of_class = [path for path in known if path.parent.name == slug and path.parent.parent.name == "esc10"]
    ten = of_class[:TAUGHT]
    sources = {fold_and_source(path.stem)[1] for path in ten}
    rest = {path: known[path] for path in of_class if fold_and_source(path.stem)[1] not in sources}
    words = {*slug.split("_"), "various"}
    # A sound that is named after the class may hold it, and so may one that can be anything.
    others = {path: each for path, each in known.items() if not words & set(path.parent.name.split("_"))}
    folders = [work / f"{slug}-{name}" for name in ("before", "after")]
    for folder in folders:
        link(folder / slug, ten)
    before = taught(folders[0], work / f"{slug}-before.bundle", seed)
    wrong = sorted(with_event(before, slug, others))
    order = np.random.default_rng(seed).permutation(len(wrong))
    half = [wrong[place] for place in sorted(order[: len(wrong) // 2])]
    if len(half) < FEWEST_WRONG:
        return {"not": len(half)}
    link(folders[1] / "not" / slug, half)
    after = taught(folders[1], work / f"{slug}-after.bundle", seed)
    again = with_event(after, slug, {path: each for path, each in others.items() if path not in half})
    return {
        "not": len(half),
        "half": len(wrong) - len(half),
        "half after": len(again & set(wrong)),
        "further": 0,
        "further after": len(again - set(wrong)),
        "recordings": len(rest),
        "found": len(with_event(before, slug, rest)),
        "found after": len(with_event(after, slug, rest)),
    }


def main() -> int:
    """Print a row for each class, and their sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EDGE_DETECTOR_DATA") or "../shared/data"))
    parser.add_argument("--others", type=Path, nargs="+", required=True, help="folders LABEL/anything of other sounds")
    parser.add_argument("--work", type=Path, required=True, help="where the bundles go")
    parser.add_argument("--classes", nargs="+", help="classes of ESC-10 (all)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    esc = sorted(arguments.data.glob("esc10/*/*.ogg"))
    further = [
        path for folder in arguments.others for path in sorted(folder.glob("*/*")) if path.suffix.lower() in AUDIO_SUFFIXES
    ]
    known = features_of(networks_of(load_bundle(DEFAULT_BUNDLE)), sorted({*esc, *further}))
    say(f"{len(known)} sounds\n\n| class | as not | other half | after | further | after | recordings | found | after |")
    say("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    total = Counter[str]()
    for slug in arguments.classes or sorted({path.parent.name for path in esc}):
        figures = row(slug, known, arguments.work, arguments.seed)
        if len(figures) > 1:
            total.update(figures)
        say(f"| {slug} | {' | '.join(map(str, figures.values()))} |")
    say(f"| all | {' | '.join(map(str, total.values()))} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
