"""`classes`: lists classes with labels, thresholds and evidence, and searches AudioSet's labels for own classes."""

import argparse
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, count

from edge_detector.config import Config, default_config, load_config, rules
from edge_detector.detection.bundle import AudioSetLabel, Evidence, Manifest, SoundClass, hop_key, load_bundle
from edge_detector.detection.classes import resolve_classes
from edge_detector.errors import EdgeDetectorError
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.schema import shown
from edge_detector.service.factory import DEFAULT_BUNDLE

LEAST_COLUMNS = 40
WIDEST_SLUG = 22
MOST_LABELS_PROPOSED = 3
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Found:
    """Classes to show, all or those found by a search, and the AudioSet labels that are in no class."""

    classes: Sequence[SoundClass]
    labels: Sequence[AudioSetLabel] = ()


def run(options: argparse.Namespace) -> int:
    """List the classes. Raises EdgeDetectorError where a search finds nothing."""
    config = load_config(options.config) if options.config is not None else default_config()
    manifest = load_bundle(options.bundle or config.bundle or DEFAULT_BUNDLE).manifest
    every = configured(manifest, config)
    found = Found(every) if options.search is None else search(options.search, every, manifest)
    for line in json_lines(found) if options.json else _text(found, every, manifest, options.search):
        sys.stdout.write(f"{line}\n")
    return 0


def _text(found: Found, every: Sequence[SoundClass], manifest: Manifest, word: str | None) -> Iterator[str]:
    columns = max(LEAST_COLUMNS, shutil.get_terminal_size((80, 24)).columns)
    yield from table(found, every, f"{shown(manifest.name)} {shown(manifest.version)}", columns)
    if found.labels:
        yield from proposal(found.labels, word or "", {sound.slug for sound in every})


def configured(manifest: Manifest, config: Config) -> tuple[SoundClass, ...]:
    """Every class, with the rules that bundle and configuration give it."""
    classes = resolve_classes(manifest, config.definitions, config.class_list, config.origin)
    of_hops = {hops: rules(classes, hops, config) for hops in HOPS_PER_PATCH}
    return tuple(
        replace(sound, rules={hops: of_classes[index] for hops, of_classes in of_hops.items()})
        for index, sound in enumerate(classes)
    )


def search(word: str, classes: Sequence[SoundClass], manifest: Manifest) -> Found:
    """The classes with `word` in their names or labels, and the labels with it that are in no class."""
    wanted = _plain(word)
    found = [sound for sound in classes if any(wanted in _plain(name) for name in (sound.slug, sound.label, *sound.audioset))]
    taken = {name for sound in classes for name in sound.audioset}
    labels = [
        label
        for label in manifest.named_outputs.audioset
        if label.name not in taken and (wanted in _plain(label.name) or word == label.mid)
    ]
    if not found and not labels:
        raise EdgeDetectorError(
            f"no class and no AudioSet label of the bundle has {word!a} in its name; try a part of it, or another word"
        )
    return Found(found, labels)


def json_lines(found: Found) -> Iterator[str]:
    """One object for each class, then for each label."""
    for sound in found.classes:
        record = {
            "type": "class",
            "slug": sound.slug,
            "label": sound.label,
            "mid": sound.mid,
            "audioset": list(sound.audioset),
            "output": sound.sequence_output,
            "taught": sound.taught,
            "class_list": sound.class_list,
            "enabled": sound.enabled,
            "on": {hop_key(hops): rule.on for hops, rule in sound.rules.items()},
            "off": {hop_key(hops): rule.off for hops, rule in sound.rules.items()},
            "evidence": asdict(sound.evidence) if sound.evidence is not None else None,
        }
        yield json.dumps(record)
    for label in found.labels:
        yield json.dumps({"type": "audioset_label", "name": label.name, "mid": label.mid})


def table(found: Found, every: Sequence[SoundClass], bundle: str, columns: int) -> Iterator[str]:
    """For people."""
    of_them = f"{len(found.classes)} of {len(every)} classes" if len(found.classes) < len(every) else f"{len(every)} classes"
    enabled = sum(sound.enabled for sound in found.classes)
    yield from textwrap.wrap(f"{bundle}: {of_them}, {enabled} enabled; thresholds by seconds from hop to hop", columns)
    if found.classes:
        width = min(WIDEST_SLUG, max(len(sound.slug) for sound in found.classes))
        hops = "  ".join(f"{hop_key(hops):<5}" for hops in HOPS_PER_PATCH)
        yield ""
        yield f"{'class':<{width}}  state    {hops}  label"
    for sound in found.classes:
        thresholds = "  ".join(f"{sound.rules[hops].on:<5.3g}" for hops in HOPS_PER_PATCH)
        state = "enabled" if sound.enabled else "off"
        head = f"{sound.slug:<{width}}  {state:<7}  {thresholds}  {shown(sound.label)}"
        yield from textwrap.wrap(head, columns, subsequent_indent=INDENT)
        for line in (_made_of(sound), _evidence(sound)):
            yield from textwrap.wrap(line, columns, initial_indent=INDENT, subsequent_indent=INDENT)
    off = next((sound.slug for sound in found.classes if not sound.enabled), None)
    if off is not None:
        yield ""
        yield from textwrap.wrap("A class that is off is switched on in the configuration:", columns)
        yield ""
        yield f"{INDENT}[class.{off}]"
        yield f"{INDENT}enabled = true"


def proposal(labels: Sequence[AudioSetLabel], word: str, slugs: set[str]) -> Iterator[str]:
    """The labels that are in no class, and how to make one of them."""
    yield ""
    yield "AudioSet labels in no class:"
    for label in labels:
        yield f"{INDENT}{shown(label.name)}" + (f" ({shown(label.mid)})" if label.mid is not None else "")
    # A word that is a label's own word is meant; within another one it may be there by chance, as "car" is in "scary".
    whole = [label for label in labels if re.search(rf"\b{re.escape(_plain(word))}\b", _plain(label.name))]
    names = [label.name for label in whole or labels if label.name.isprintable()][:MOST_LABELS_PROPOSED]
    if not names:
        return
    candidates = chain((_slug(word), _slug(names[0])), (f"my_sound_{number}" for number in count(1)))
    slug = next(slug for slug in candidates if slug and slug not in slugs)
    yield ""
    yield "A class of your own is made of one or more of them in the configuration:"
    yield ""
    yield f"{INDENT}[class.{slug}]"
    yield f"{INDENT}audioset = [{', '.join(json.dumps(name, ensure_ascii=False) for name in names)}]"


def _made_of(sound: SoundClass) -> str:
    if sound.taught is not None:
        return "taught from recordings"
    labels = f"AudioSet: {'; '.join(shown(name) for name in sound.audioset)}" if sound.audioset else ""
    return "; ".join(part for part in ("trained output" if sound.sequence_output is not None else "", labels) if part)


def _evidence(sound: SoundClass) -> str:
    evidence = sound.evidence
    if sound.taught is not None:
        return "the bundle's MODEL_CARD.md has its figures"
    if evidence is None:
        return "AudioSet read-out, untested here" if sound.sequence_output is None else "the bundle has no evidence of it"
    return _figures(evidence)


def _figures(evidence: Evidence) -> str:
    clips, originals = _counted(evidence.clips, "clip"), _counted(evidence.originals, "original")
    others = _counted(evidence.others, "other recording")
    return f"found {evidence.found:,} of {clips} of {originals}; false in {evidence.false:,} of {others}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()


def _slug(name: str) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", name.casefold()))[:64]
