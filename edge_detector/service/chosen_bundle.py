"""The bundle in use: the one that was chosen on the page, or the configured one where there is none or it cannot be used."""

import logging
from dataclasses import dataclass
from pathlib import Path

from edge_detector.config import Config, rules_by_hop
from edge_detector.detection.bundle import Bundle, load_bundle
from edge_detector.detection.classes import resolve_classes
from edge_detector.errors import EdgeDetectorError
from edge_detector.service.factory import DEFAULT_BUNDLE, LoadedBundle, build_networks, load_networks
from edge_detector.teaching.taught_bundles import TaughtBundles
from edge_detector.threads import in_thread

LOG = logging.getLogger(__name__)

DISK_SECONDS = 20.0
"""Longest wait for the state directory's disk, as for the outbox."""


@dataclass(frozen=True, slots=True)
class ChosenBundle:
    """A loaded bundle; name of the taught one, or None for the configured one; why a chosen one is not in use, or None."""

    networks: LoadedBundle
    taught: str | None
    trouble: str | None


def load_chosen(config: Config, bundles: TaughtBundles | None) -> ChosenBundle:
    """Load the chosen bundle, or the configured one. Raises BundleError and UsageError for the latter."""
    trouble = None
    if bundles is not None:
        try:
            # In a thread: the disk may hang.
            chosen = in_thread(lambda: _read(bundles), "chosen bundle").result(DISK_SECONDS)
            if chosen is not None:
                name, bundle = chosen
                return ChosenBundle(build_networks(bundle, config), name, None)
        except (EdgeDetectorError, OSError) as error:
            reason = _reason(error)
            trouble = (
                f"the taught bundle is not in use ({reason}); the configured one is: teach again, or switch back on the page"
            )
            LOG.warning("%s", trouble)
    return ChosenBundle(load_networks(config.bundle, config), None, trouble)


def require_usable(bundle: Path | None, config: Config) -> None:
    """Raise EdgeDetectorError for a bundle folder (None: the configured one) that cannot be used with a configuration."""
    manifest = load_bundle(bundle or config.bundle or DEFAULT_BUNDLE).manifest
    rules_by_hop(resolve_classes(manifest, config.definitions, config.class_list, config.origin), config)


def _read(bundles: TaughtBundles) -> tuple[str, Bundle] | None:
    name = bundles.chosen()
    return None if name is None else (name, load_bundle(bundles.folder / name))


def _reason(error: EdgeDetectorError | OSError) -> str:
    if isinstance(error, EdgeDetectorError):
        return str(error)
    if error.strerror is None:  # the time limit
        return "the disk does not answer"
    return f"{error.filename}: {error.strerror}"
