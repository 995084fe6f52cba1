"""`doctor`: checks bundle, sources, broker and speed on this machine.

It checks the bundle, the speed, each source with a few seconds of sound, the broker, the retained state of the running service,
and the page. Each finding is one line with its remedy; nothing is changed.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from edge_detector.cli.doctor.broker import examine_broker
from edge_detector.cli.doctor.finding import Finding
from edge_detector.cli.doctor.page import examine_page
from edge_detector.cli.doctor.sound import examine_source
from edge_detector.cli.doctor.speed import judge_speed, measure
from edge_detector.config import Config, default_config, load_config
from edge_detector.detection.classes import enabled_classes
from edge_detector.errors import BundleError
from edge_detector.schema import shown
from edge_detector.service.factory import LoadedBundle, load_networks

__all__ = ["Finding", "run"]

INSTALLED_CONFIG = Path("/etc/edge-detector/edge.toml")
LISTEN_SECONDS = 4.0
LABELS_SHOWN = 12
"""Labels that fit on a line."""


def run(config_path: Path | None, *, as_json: bool, seconds: float = LISTEN_SECONDS, installed: Path = INSTALLED_CONFIG) -> int:
    """Print the findings as they come. Returns 1 if one is bad. Raises UsageError if the configuration is wrong."""
    path = config_path or (installed if installed.is_file() else None)
    config = load_config(path) if path is not None else default_config()
    what = f"{path} is valid: node {config.node}" if path is not None else "no configuration: the defaults are checked"
    _show(Finding("config", "good", what, None, {"path": None if path is None else str(path)}), as_json=as_json)
    found_bad = False
    for finding in examine(config, seconds):
        _show(finding, as_json=as_json)
        found_bad |= finding.verdict == "bad"
    return int(found_bad)


def examine(config: Config, seconds: float) -> Iterator[Finding]:
    """Yield all findings in the order of processing. Raises UsageError if the configuration does not fit the bundle."""
    try:
        yield from _examine_detection(config, load_networks(config.bundle, config), seconds)
    except BundleError as error:  # on loading, or if a network fails on a sound
        yield Finding("bundle", "bad", str(error))
    yield from examine_broker(config)
    yield from examine_page(config.web)


def _examine_detection(config: Config, networks: LoadedBundle, seconds: float) -> Iterator[Finding]:
    manifest, classes = networks.manifest, networks.classes
    # A class is enabled at every hop or at none.
    enabled = enabled_classes(classes, networks.rules[config.sources[0].hops_per_patch])
    names = ", ".join(shown(sound.label) for sound in enabled[:LABELS_SHOWN]) + (" …" if len(enabled) > LABELS_SHOWN else "")
    said = f"{manifest.name} {manifest.version}: {len(enabled)} of {len(classes)} classes are enabled"
    yield Finding("bundle", "good", f"{said}: {names}" if names else said)
    yield judge_speed(measure(networks), config.sources)
    for source in config.sources:
        yield from examine_source(source, networks, networks.rules[source.hops_per_patch], seconds)


def _show(finding: Finding, *, as_json: bool) -> None:
    text = json.dumps(finding.record(), ensure_ascii=False) if as_json else finding.line()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
