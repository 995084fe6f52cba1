"""Builds listeners out of sources, bundles and settings. Heavy modules are imported here, only when they are used."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_detector.core.bundle import Manifest, load_bundle
from edge_detector.core.config import SourceConfig
from edge_detector.core.decision import Decider, Rule
from edge_detector.edges.resampler import StreamResampler
from edge_detector.edges.tflite import TfliteEmbedder, TfliteSequenceStep
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.pipeline.hearing import Hearing, Model
from edge_detector.pipeline.listener import BlockSink, Listener
from edge_detector.pipeline.protocols import Source
from edge_detector.types import Block

DEFAULT_BUNDLE = Path(__file__).parent.parent / "bundles" / "default"
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Ears:
    """A loaded bundle: what it says of itself, and its networks ready to run."""

    manifest: Manifest
    model: Model


def load_ears(folder: Path | None) -> Ears:
    """Load and check a bundle, the default one for None, and run it once on silence. Raises BundleError."""
    bundle = load_bundle(folder or DEFAULT_BUNDLE)
    spec = bundle.manifest.sequence
    model = Model(
        embedder=TfliteEmbedder(bundle.embedder),
        pca=bundle.pca,
        sequence=TfliteSequenceStep(
            bundle.sequence,
            rows=spec.context_frames,
            states={state.name: state.shape for state in spec.states},
            classes=len(bundle.manifest.classes),
        ),
        spec=spec,
    )
    ears = Ears(bundle.manifest, model)
    _warm_up(ears)
    return ears


def _warm_up(ears: Ears) -> None:
    import numpy as np  # noqa: PLC0415 - used here only

    silence = Block(np.zeros(FRONT_END.patch_samples, np.float32), first_sample=0)
    for _ in Hearing(ears.model, Decider(())).push(silence):
        pass


def open_source(config: SourceConfig, block_samples: int | None = None) -> Source:
    """Open what a [[source]] names. Raises SourceError."""
    if config.kind == "mic":
        from edge_detector.edges.microphone import Microphone  # noqa: PLC0415 - PortAudio only where there is a microphone

        return Microphone(config.device, channel=config.channel)
    from edge_detector.edges.audio_file import AudioFile  # noqa: PLC0415 - libsndfile only where there is a file

    path = Path(config.device or "")
    return AudioFile(path, block_samples=block_samples or 4_096, real_time=config.real_time)


def parse_source(text: str, *, hops_per_patch: int, real_time: bool) -> SourceConfig:
    """The SOURCE argument of `listen`: mic, mic:NAME-or-index, or an audio file."""
    if "://" in text:
        raise UsageError(
            f"{text}: URLs cannot be listened to yet; pipe them in: ffmpeg … -f s16le -ac 1 -ar 16000 - | … listen -"
        )
    kind, _, device = text.partition(":")
    if kind == "mic":
        return SourceConfig("mic", "mic", device or None, hops_per_patch=hops_per_patch)
    return SourceConfig("file", "file", text, hops_per_patch=hops_per_patch, real_time=real_time)


def build_listener(
    source: Source,
    ears: Ears,
    *,
    hops_per_patch: int,
    rules: Sequence[Rule],
    dump: BlockSink | None = None,
) -> Listener:
    """Join a source to the ears. The ears may be shared by listeners that run on one thread."""
    decider = Decider(rules, minimum_age_frames=ears.manifest.sequence.minimum_age_frames)
    hearing = Hearing(ears.model, decider, hops_per_patch=hops_per_patch)
    return Listener(
        source, StreamResampler(source.rate_hz), hearing, utc_clock=time.time, monotonic_clock=time.monotonic, dump=dump
    )
