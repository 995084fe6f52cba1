"""`check-config`: validates a configuration and summarises it, or prints its JSON Schema."""

import json
import sys
from pathlib import Path

from edge_detector.clips.store import FOLDER_NAME as CLIPS_FOLDER
from edge_detector.config import SourceConfig, load_config
from edge_detector.config_schema import config_schema
from edge_detector.detection.bundle import hop_key
from edge_detector.service.factory import DEFAULT_BUNDLE, load_networks
from edge_detector.service.state import SYSTEM_FOLDER, state_folder


def _device(source: SourceConfig) -> str:
    """Return the device for display, without a password in a URL."""
    if source.device_file is not None:
        return f"of the URL in {source.device_file}"
    if source.kind == "url":
        from edge_detector.audio.programs.ffmpeg import without_secrets  # noqa: PLC0415 - as in factory.open_source

        return without_secrets(source.device or "")
    return source.device or "default"


def run(path: Path, *, quiet: bool = False) -> int:
    """Check the file and its bundle as `run` does, without opening a microphone or a connection; quiet, only print errors."""
    config = load_config(path)
    networks = load_networks(config.bundle, config)
    if quiet:
        return 0
    manifest = networks.manifest
    lines = [f"{path} is valid: node {config.node}, broker {config.mqtt.host}:{config.mqtt.port}, MQTT {config.mqtt.protocol}"]
    lines.append(
        f"bundle {manifest.name} {manifest.version} from {config.bundle or DEFAULT_BUNDLE}, strictness {config.strictness}"
    )
    for source in config.sources:
        rules = networks.rules[source.hops_per_patch]
        enabled = [f"{sound.slug} {rule.on:.2f}" for sound, rule in zip(networks.classes, rules, strict=True) if rule.enabled]
        detects = ", ".join(enabled) or "nothing: every class is off"
        lines.append(
            f"source {source.name}: {source.kind} {_device(source)}, hop {hop_key(source.hops_per_patch)} s, detects {detects}"
        )
    if config.clips.enabled:
        clips, folder = config.clips, (state_folder() or SYSTEM_FOLDER) / CLIPS_FOLDER
        lines.append(f"clips: the sound of events is stored in {folder} for {clips.days} days, {clips.megabytes} MB at most")
    if config.web.listen is not None:
        password = f"password in {config.web.password_file}" if config.web.password_file else "no password"
        lines.append(f"page: on {config.web.listen}, {password}" + (f", linked as {config.web.url}" if config.web.url else ""))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def print_schema() -> int:
    """Print the JSON Schema of the configuration."""
    sys.stdout.write(json.dumps(config_schema(), indent=2) + "\n")
    return 0
