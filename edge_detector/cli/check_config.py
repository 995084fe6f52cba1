"""`check-config`: is a configuration right, and what does it amount to?"""

import sys
from pathlib import Path

from edge_detector.cli.build import DEFAULT_BUNDLE, load_ears
from edge_detector.core.bundle import hop_key
from edge_detector.core.config import load_config, rules


def run(path: Path) -> int:
    """Check the file, and the bundle it names, as `run` would; open no microphone and no connection."""
    config = load_config(path)
    manifest = load_ears(config.bundle).manifest
    lines = [f"{path} is right: node {config.node}, broker {config.mqtt.host}:{config.mqtt.port}, MQTT {config.mqtt.protocol}"]
    lines.append(f"bundle {manifest.name} {manifest.version} from {config.bundle or DEFAULT_BUNDLE}")
    for source in config.sources:
        enabled = [
            sound.slug
            for sound, rule in zip(
                manifest.classes, rules(manifest.classes, source.hops_per_patch, config.overrides), strict=True
            )
            if rule.enabled
        ]
        device = source.device or "default"
        lines.append(
            f"source {source.name}: {source.kind} {device}, hop {hop_key(source.hops_per_patch)} s, hears {', '.join(enabled)}"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
