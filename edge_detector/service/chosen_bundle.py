"""The bundle in use: the one that was chosen on the page, or the configured one where there is none or it cannot be used."""

import logging
from dataclasses import dataclass
from pathlib import Path

from edge_detector.config import Config, load_config, rules_by_hop
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.classes import resolve_classes
from edge_detector.errors import EdgeDetectorError
from edge_detector.service.factory import DEFAULT_BUNDLE, LoadedBundle, load_networks
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
            name = in_thread(lambda: _verified(bundles), "chosen bundle").result(DISK_SECONDS)
            if name is not None:
                return ChosenBundle(load_networks(bundles.folder / name, config), name, None)
        except (EdgeDetectorError, OSError) as error:
            reason = str(error) or "the disk does not answer"
            trouble = (
                f"the taught bundle is not in use ({reason}); the configured one is: teach again, or switch back on the page"
            )
            LOG.warning("%s", trouble)
    return ChosenBundle(load_networks(config.bundle, config), None, trouble)


def require_usable(bundle: Path | None, config_path: Path | None, config: Config) -> None:
    """Raise EdgeDetectorError for a bundle (None: the configured one) that the next start could not use.

    Args:
        bundle: its folder.
        config_path: the configuration, which is read again, since it may have changed; None: there is no file.
        config: the configuration in use.

    """
    now = config if config_path is None else load_config(config_path)
    manifest = load_bundle(bundle or now.bundle or DEFAULT_BUNDLE).manifest
    rules_by_hop(resolve_classes(manifest, now.definitions, now.class_list, now.origin), now)


def _verified(bundles: TaughtBundles) -> str | None:
    name = bundles.chosen()
    if name is not None:
        load_bundle(bundles.folder / name)
    return name
