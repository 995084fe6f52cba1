"""Parameters of VGGish's front end and of AudioSet's embedding format.

Source: tensorflow/models research/audioset/vggish (vggish_params.py). Times are given in seconds, sample counts derived.
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)  # without slots, for cached properties: every hop reads them
class FrontEnd:
    """Log-mel spectrogram and patch geometry. Times in seconds, frequencies in Hz."""

    sample_rate_hz: int = 16_000
    frame_seconds: float = 0.025
    frame_hop_seconds: float = 0.010
    mel_bands: int = 64
    mel_min_hz: float = 125.0
    mel_max_hz: float = 7_500.0
    log_offset: float = 0.01
    patch_frames: int = 96

    @cached_property
    def frame_samples(self) -> int:
        """Samples under one analysis window: 400."""
        return round(self.frame_seconds * self.sample_rate_hz)

    @cached_property
    def frame_hop_samples(self) -> int:
        """Samples from one frame to the next: 160."""
        return round(self.frame_hop_seconds * self.sample_rate_hz)

    @cached_property
    def frame_overlap_samples(self) -> int:
        """Samples shared by consecutive frames, kept while streaming: 240."""
        return self.frame_samples - self.frame_hop_samples

    @cached_property
    def fft_samples(self) -> int:
        """FFT length, the next power of two: 512."""
        return 1 << (self.frame_samples - 1).bit_length()

    @cached_property
    def patch_samples(self) -> int:
        """Samples one patch covers: 15,600, 0.975 s."""
        return (self.patch_frames - 1) * self.frame_hop_samples + self.frame_samples

    @cached_property
    def patch_step_samples(self) -> int:
        """Samples from one patch to the next of the same phase: 15,360, 0.96 s."""
        return self.patch_frames * self.frame_hop_samples


FRONT_END = FrontEnd()

HOPS_PER_PATCH = (1, 2, 4)
"""Allowed k: the detector hops 0.96 s / k."""

STREAM_BLOCK_FRAMES = FRONT_END.patch_frames // max(HOPS_PER_PATCH)
"""Frames computed per call: 24. Every hop is a whole number of these blocks, so all hops share the same frames."""

EMBEDDING_SIZE = 128
CODE_LIMIT = 2.0
"""Embeddings are clipped to ±2 before quantisation."""
