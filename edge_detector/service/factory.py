"""Builds sources, networks, supervisors and stream processors. Heavy modules are imported on first use."""

import logging
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.source import Source
from edge_detector.config import Config, SourceConfig, default_config, rules_by_hop
from edge_detector.detection.bundle import Bundle, Manifest, SoundClass, load_bundle
from edge_detector.detection.classes import resolve_classes
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.errors import SourceError
from edge_detector.mqtt.credentials import with_url
from edge_detector.params import FRONT_END
from edge_detector.service.process import sound_devices
from edge_detector.service.stream import BlockSink, StreamProcessor
from edge_detector.service.supervisor import SourceSupervisor, SupervisorTimeouts
from edge_detector.threads import in_thread
from edge_detector.types import Block, Float32

LOG = logging.getLogger(__name__)

STREAM_TIMES = SupervisorTimeouts(stall=12.0)
"""A playlist's stream arrives in segments of several seconds; ffmpeg itself gives up after 10 s without sound."""

DEFAULT_BUNDLE = Path(__file__).parent.parent / "bundles" / "default"
STDIN = "-"
MICROPHONE = "mic"


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """A loaded bundle: manifest, all classes (enabled or not), and networks ready to run.

    Attributes:
        manifest_sha256: of the bytes of manifest.json that were loaded, in hexadecimal.
        rules: rules of the classes for each hop of a source, by hops per patch, as bundle and configuration give them.

    """

    manifest: Manifest
    manifest_sha256: str
    classes: tuple[SoundClass, ...]
    model: Networks
    rules: Mapping[int, tuple[Rule, ...]]


def load_networks(folder: Path | None, config: Config | None = None) -> LoadedBundle:
    """Load a bundle (None: the default one) for a configuration (None: the defaults) and run it on silence and noise.

    Raises BundleError, or UsageError for a configuration that does not fit the bundle.
    """
    return build_networks(load_bundle(folder or DEFAULT_BUNDLE), config or default_config())


def build_networks(bundle: Bundle, config: Config) -> LoadedBundle:
    """Build the networks of a bundle in memory, see `load_networks`."""
    classes = resolve_classes(bundle.manifest, config.definitions, config.class_list, config.origin)
    model = networks_of(bundle, classes)
    networks = LoadedBundle(bundle.manifest, bundle.manifest_sha256, classes, model, rules_by_hop(classes, config))
    _warm_up(networks)
    return networks


def _warm_up(networks: LoadedBundle) -> None:
    import numpy as np  # noqa: PLC0415 - used here only

    # Non-finite outputs on silence or loud noise would end sources later. The noise continues from the states of the silence.
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, FRONT_END.patch_step_samples)
    sound = np.concatenate([np.zeros(FRONT_END.patch_samples), noise]).astype(np.float32)
    for _ in StreamDetector(networks.model, Decider(())).push(Block(sound, first_sample=0)):
        pass


def open_source(config: SourceConfig, block_samples: int | None = None) -> Source:
    """Open the source of a [[source]] table. Raises SourceError."""
    match config.kind:
        case "mic":
            from edge_detector.audio.microphone import (  # noqa: PLC0415 - PortAudio only where needed
                Microphone,
                PyAudioMissingError,
                UnseenDeviceError,
            )

            try:
                return Microphone(config.device, channel=config.channel)
            except UnseenDeviceError as error:
                # PortAudio lists no new device while another microphone is open in this process; arecord does.
                return _arecord(error.alsa_device, config.channel)
            except PyAudioMissingError:
                from edge_detector.audio.programs.alsa_cards import alsa_device, read_cards  # noqa: PLC0415 - as above

                LOG.info("PyAudio is not installed; arecord records in its place (PyAudio: pip install -e '.[mic]')")
                return _arecord(alsa_device(config.device, read_cards()), config.channel)
        case "arecord":
            return _arecord(config.device, config.channel)
        case "url":
            from edge_detector.audio.programs import UrlSource  # noqa: PLC0415 - as above

            return UrlSource(with_url(config).device or "")
        case _:
            from edge_detector.audio.file import AudioFile  # noqa: PLC0415 - libsndfile only where there is a file

            path = Path(config.device or "")
            file = AudioFile(path, block_samples=block_samples or 4_096, real_time=config.real_time)
            # The id is the content's, which is read whole for it: here, where opening may take its time, not in the main loop.
            LOG.debug("%s: the content's id is %s", path, file.stream_id)
            return file


def _arecord(device: str | None, channel: int) -> Source:
    from edge_detector.audio.programs import ArecordMicrophone  # noqa: PLC0415 - as in open_source

    return ArecordMicrophone(device, channel=channel)


def parse_source(text: str, *, hops_per_patch: int, real_time: bool) -> SourceConfig:
    """Parse the SOURCE argument of `listen`: mic, mic:NAME-or-index, arecord:PCM, a URL, or an audio file."""
    if "://" in text:
        return SourceConfig("url", "url", text, hops_per_patch=hops_per_patch)
    kind, _, device = text.partition(":")
    if kind in (MICROPHONE, "arecord"):
        return SourceConfig("mic", kind, device or None, hops_per_patch=hops_per_patch)
    return SourceConfig("file", "file", text, hops_per_patch=hops_per_patch, real_time=real_time)


def is_source(text: str) -> bool:
    """Whether a SOURCE argument can name a source: a file must exist."""
    return text == STDIN or parse_source(text, hops_per_patch=1, real_time=False).kind != "file" or Path(text).exists()


def open_argument(text: str, *, hops_per_patch: int = 1, real_time: bool = False, block_samples: int | None = None) -> Source:
    """Open the SOURCE argument of a command (-: standard input) and print its warnings. Raises SourceError."""
    if text == STDIN:
        from edge_detector.audio.stdin import Stdin  # noqa: PLC0415 - as in open_source

        if sys.stdin is None:
            raise SourceError("standard input is closed; pipe raw s16le mono samples at 16 kHz into it, or give a file")
        return Stdin(sys.stdin.buffer)
    source = open_source(parse_source(text, hops_per_patch=hops_per_patch, real_time=real_time), block_samples)
    warn(source)
    return source


def warn(source: Source, printed: Sequence[str] = ()) -> tuple[str, ...]:
    """Print the warnings of a recording or a pipe to stderr, except those already `printed`; returns all of them."""
    warnings = tuple(getattr(source, "warnings", ()))
    for warning in warnings:
        if warning not in printed:
            sys.stderr.write(f"edge-detector: warning: {warning}\n")
    return warnings


def build_supervisor(config: SourceConfig, opener: Callable[[], Source]) -> SourceSupervisor:
    """Build the supervisor of a source; a recording is read once, other sources are reopened after a loss."""
    return SourceSupervisor(
        config.name,
        opener,
        in_thread,
        clock=time.monotonic,
        pause=time.sleep,
        random=random.random,
        reopens=config.kind != "file",
        devices=sound_devices,
        times=STREAM_TIMES if config.kind == "url" else SupervisorTimeouts(),
    )


def build_processor(
    source: Source,
    networks: LoadedBundle,
    *,
    hops_per_patch: int,
    rules: Sequence[Rule],
    sink: BlockSink | None = None,
    on_frames: Callable[[Float32, int], None] | None = None,
) -> StreamProcessor:
    """Build the stream processor of a source. Processors on one thread may share the networks."""
    decider = Decider(rules, minimum_age_frames=networks.manifest.sequence.minimum_age_frames)
    detector = StreamDetector(networks.model, decider, hops_per_patch=hops_per_patch, on_frames=on_frames)
    return StreamProcessor(
        source, StreamResampler(source.rate_hz), detector, utc_clock=time.time, monotonic_clock=time.monotonic, sink=sink
    )
