"""The networks of a bundle, on the TFLite runtime."""

from collections.abc import Sequence

from edge_detector.detection.bundle import Bundle, SoundClass
from edge_detector.detection.classes import ClassMap
from edge_detector.detection.detector import Networks
from edge_detector.detection.tflite import TfliteEmbedder, TfliteSequenceStep


def networks_of(bundle: Bundle, classes: Sequence[SoundClass] | None = None) -> Networks:
    """Return the networks of a bundle, with a probability for each of these classes, or for every output."""
    manifest = bundle.manifest
    spec, outputs = manifest.sequence, manifest.named_outputs
    step = TfliteSequenceStep(
        bundle.sequence,
        rows=spec.context_frames,
        states={state.name: state.shape for state in spec.states},
        classes=outputs.of_step,
    )
    return Networks(
        TfliteEmbedder(bundle.embedder),
        bundle.pca,
        step,
        spec,
        taught=bundle.taught,
        classes=None if classes is None else ClassMap.of(classes, outputs),
        log_offset=manifest.log_offset,
    )
