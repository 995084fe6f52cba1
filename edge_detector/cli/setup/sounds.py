"""The questions about the bundle and its classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_detector.cli.setup.document import Document, with_bundle
from edge_detector.cli.setup.prompts import ask, ask_optional, heading, say
from edge_detector.config import Config, parse_config
from edge_detector.detection.bundle import SoundClass
from edge_detector.errors import BundleError, UsageError
from edge_detector.schema import shown, with_suggestion
from edge_detector.service.factory import LoadedBundle, load_networks

OFF = "-"
"""Before a name: switch it off."""


def ask_bundle(document: Document, origin: str, networks: LoadedBundle) -> tuple[Path | None, LoadedBundle]:
    """Return the folder of a bundle, None for the one that ships, and its networks."""
    heading("Sounds")
    known = parse_config(document, origin).bundle
    while True:
        answer = ask_optional("Folder of a bundle of your own, if you have one", None if known is None else str(known))
        folder = None if answer is None else Path(answer).expanduser().absolute()
        if folder == known:
            return known, networks
        try:
            return folder, load_networks(folder, parse_config(with_bundle(document, folder), origin))
        except (BundleError, UsageError) as error:
            say(str(error))


def ask_classes(networks: LoadedBundle, config: Config) -> dict[str, bool]:
    """Return the classes to switch, by slug."""
    rules = networks.rules[config.sources[0].hops_per_patch]
    before = {sound.slug: rule.enabled for sound, rule in zip(networks.classes, rules, strict=True)}
    now = dict(before)
    _show(networks.classes, now)
    while answer := ask(f"Switch on: names with commas between, {OFF} before a name switches it off; Enter to go on"):
        for name in filter(None, map(str.strip, answer.split(","))):
            try:
                slug = find(name.removeprefix(OFF).strip(), networks.classes)
            except UsageError as error:
                say(str(error))
            else:
                now[slug] = not name.startswith(OFF)
        _show(networks.classes, now)
    return {slug: enabled for slug, enabled in now.items() if enabled != before[slug]}


def find(name: str, classes: Sequence[SoundClass]) -> str:
    """Return the slug of the class with this name or label. Raises UsageError, with the one that may be meant."""
    slugs = {plain: sound.slug for sound in classes for plain in (_plain(sound.label), _plain(sound.slug))}
    if (slug := slugs.get(_plain(name))) is not None:
        return slug
    labels = [shown(sound.label) for sound in classes]
    known = [*labels, *(sound.slug for sound in classes)]
    problem = f"there is no class {shown(name)!r}"
    raise UsageError(with_suggestion(problem, name.capitalize(), known, "find its name with edge-detector classes --search WORD"))


def _show(classes: Sequence[SoundClass], enabled: Mapping[str, bool]) -> None:
    for state, wanted in (("On", True), ("Off", False)):
        labels = sorted(shown(sound.label) for sound in classes if enabled[sound.slug] is wanted)
        say(f"{state} ({len(labels)}): {', '.join(labels) or 'none'}")


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ")
