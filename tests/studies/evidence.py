"""How many recordings of each class does a bundle find, of classes that nothing was trained on?

    python -m tests.studies.evidence edge_detector/bundles/default --others ../shared/data/check --material build/recipe/debian

A class of AudioSet labels is enabled where at least five independent recordings, that nothing was fitted to, show what it does.
default_evidence.json says which they are: labels of the recordings of other sounds, and files of Debian's packages. Each
recording is a stream of its own, through the detector's own path and decider at the thresholds that the bundle ships. Files of
equal content count once.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import convert
from convert.embedder.runtime import stream_probabilities
from convert.evaluation.benchmark import BenchmarkDetector
from convert.files import read_json
from convert.progress import Progress
from edge_detector.audio.clips import find_clips
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.bundle import Bundle, hop_key, load_bundle
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.params import FRONT_END, HOPS_PER_PATCH

NAMED = Path(convert.__file__).parent / "recipes" / "default_evidence.json"


@dataclass(frozen=True, slots=True)
class Named:
    """A recording, the class that it is said to be of, and where it comes from."""

    path: Path
    slug: str
    origin: str


def named_recordings(said: Mapping[str, Mapping[str, object]], others: Path, material: Path) -> Iterator[Named]:
    """Every recording once, by its content."""
    seen: set[bytes] = set()
    of_packages = (
        Named(path, slug, str(pattern).partition("/")[0])
        for slug, patterns in said["packages"].items()
        if isinstance(patterns, list)
        for pattern in patterns
        for path in sorted(material.glob(str(pattern)))
    )
    labels = said["recordings"]
    of_labels = (Named(clip.path, str(labels[clip.label]), others.name) for clip in find_clips(others) if clip.label in labels)
    for each in (*of_labels, *of_packages):
        digest = hashlib.sha256(each.path.read_bytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield each


def detector(bundle: Bundle, hops: int) -> BenchmarkDetector:
    """All of a bundle's classes, those that are off too."""
    classes = bundle.manifest.classes
    return BenchmarkDetector(
        title=bundle.manifest.name,
        slugs=tuple(sound.slug for sound in classes),
        probabilities=partial(stream_probabilities, networks_of(bundle, classes), hops_per_patch=hops),
        step_samples=FRONT_END.patch_step_samples // hops,
        rules=tuple(replace(sound.rules[hops], enabled=True) for sound in classes),
    )


def main() -> int:
    """Count, and print a JSON object: by class, recordings found and all, and from where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--others", type=Path, required=True, metavar="DIR", help="a folder per label")
    parser.add_argument("--material", type=Path, required=True, metavar="DIR", help="unpacked packages of Debian")
    parser.add_argument("--named", type=Path, default=NAMED, metavar="FILE")
    parser.add_argument("--hop", choices=[hop_key(hops) for hops in HOPS_PER_PATCH], default=hop_key(1), help="seconds (0.96)")
    arguments = parser.parse_args()
    hops = next(hops for hops in HOPS_PER_PATCH if hop_key(hops) == arguments.hop)
    contender = detector(load_bundle(arguments.bundle), hops)
    recordings = list(named_recordings(read_json(arguments.named), arguments.others, arguments.material))
    counts: dict[str, dict[str, list[int]]] = {}
    progress = Progress("recording", len(recordings))
    for number, each in enumerate(recordings, 1):
        found = {event.label for event in contender.events(read_16khz(each.path))}
        pair = counts.setdefault(each.slug, {}).setdefault(each.origin, [0, 0])
        pair[0] += each.slug in found
        pair[1] += 1
        progress.update(number)
    progress.close()
    total = {
        slug: {"found": sum(pair[0] for pair in by.values()), "clips": sum(pair[1] for pair in by.values()), "from": by}
        for slug, by in sorted(counts.items())
    }
    sys.stdout.write(json.dumps(total, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
