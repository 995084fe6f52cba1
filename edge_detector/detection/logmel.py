"""VGGish's log-mel spectrogram, of whole recordings and streams.

Source of every formula: tensorflow/models research/audioset/vggish, mel_features.py and vggish_input.py.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_detector.levels import level_dbfs
from edge_detector.params import FRONT_END, HOPS_PER_PATCH, STREAM_BLOCK_FRAMES
from edge_detector.types import Block, Float32, Patch


def _hertz_to_mel(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert Hz to HTK's mel scale, 1127 ln(1 + f / 700)."""
    mel: NDArray[np.float64] = 1127.0 * np.log1p(frequency_hz / 700.0)
    return mel


def mel_matrix() -> NDArray[np.float64]:
    """Return weights from spectrum bins to mel bands: float64 (257, 64), triangles linear in mel, peak 1, DC excluded.

    Formula: docs/reference.md, Mel matrix.
    """
    bins = FRONT_END.fft_samples // 2 + 1
    bin_mel = _hertz_to_mel(np.linspace(0.0, FRONT_END.sample_rate_hz / 2, bins))[:, np.newaxis]
    lowest, highest = _hertz_to_mel(np.array([FRONT_END.mel_min_hz, FRONT_END.mel_max_hz]))
    edges = np.linspace(lowest, highest, FRONT_END.mel_bands + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    matrix: NDArray[np.float64] = np.maximum(
        0.0, np.minimum((bin_mel - low) / (centre - low), (high - bin_mel) / (high - centre))
    )
    matrix[0] = 0.0
    return matrix


@lru_cache(maxsize=2)
def _window_and_mel(dtype: np.dtype[Any]) -> tuple[NDArray[np.float64], slice, NDArray[Any]]:
    """Return the periodic Hann window in float64, the bins used by any band, and the mel matrix over them."""
    phase = 2.0 * np.pi * np.arange(FRONT_END.frame_samples) / FRONT_END.frame_samples
    matrix = mel_matrix()
    used = np.flatnonzero(matrix.any(axis=1))
    bins = slice(int(used[0]), int(used[-1]) + 1)
    return 0.5 - 0.5 * np.cos(phase), bins, np.ascontiguousarray(matrix[bins].astype(dtype))


def log_mel(samples: NDArray[Any], dtype: DTypeLike = np.float32, log_offset: float = FRONT_END.log_offset) -> NDArray[Any]:
    """Compute the log-mel spectrogram of 16 kHz samples in [-1, 1] (docs/reference.md, Log-mel spectrogram).

    Args:
        samples: (n,) mono.
        dtype: float64 is the reference; float32, which detector and training use, is within 1e-4 of it.
        log_offset: added before the logarithm: VGGish's 0.01, or YAMNet's 0.001.

    Returns:
        (frames, 64) of `dtype`, frames = 1 + (n - 400) // 160, without padding; (0, 64) for n < 400, where VGGish's
        code raises below 240.

    """
    number_type: np.dtype[Any] = np.dtype(dtype)
    window, bins, mel = _window_and_mel(number_type)
    if len(samples) < FRONT_END.frame_samples:
        return np.zeros((0, FRONT_END.mel_bands), number_type)
    # Hot path: one pass for view, product and padding saves a third of the time.
    frames = _frames(np.ascontiguousarray(samples))
    padded = np.zeros((len(frames), FRONT_END.fft_samples))
    np.multiply(frames, window, out=padded[:, : FRONT_END.frame_samples])
    # Always double: NumPy's single-precision FFT is no faster, and its error is five times larger.
    spectrum = np.fft.rfft(padded)[:, bins]
    magnitude = np.abs(spectrum.astype(np.complex64)) if number_type == np.float32 else np.abs(spectrum)
    bands: NDArray[Any] = magnitude @ mel
    bands += log_offset
    np.log(bands, out=bands)
    return bands


def _frames(samples: NDArray[Any]) -> NDArray[Any]:
    """Return overlapping analysis windows (frames, 400) as a view of contiguous samples."""
    count = 1 + (len(samples) - FRONT_END.frame_samples) // FRONT_END.frame_hop_samples
    strides = (FRONT_END.frame_hop_samples * samples.itemsize, samples.itemsize)
    return np.ndarray((count, FRONT_END.frame_samples), samples.dtype, samples, 0, strides)


class LogMelStream:
    """Cuts a stream of 16 kHz blocks into patches, one per hop.

    Frames are computed in fixed groups of 24, counted from the first sample after a start or gap. So the result is bitwise
    independent of the block sizes, and every hop uses the same frames.

    Args:
        hops_per_patch: k of hop = 0.96 s / k.
        log_offset: added to magnitudes before the logarithm.
        on_frames: called with each group of frames, float32 (24, 64), and the sample one past its last hop.

    """

    def __init__(
        self,
        hops_per_patch: int = 1,
        log_offset: float = FRONT_END.log_offset,
        on_frames: Callable[[Float32, int], None] | None = None,
    ) -> None:
        if hops_per_patch not in HOPS_PER_PATCH:
            message = f"hops per patch must be one of {HOPS_PER_PATCH}, not {hops_per_patch}"
            raise ValueError(message)
        self._log_offset = log_offset
        self._on_frames = on_frames
        self._groups_per_patch = FRONT_END.patch_frames // STREAM_BLOCK_FRAMES
        self._groups_per_hop = self._groups_per_patch // hops_per_patch
        self._group_samples = STREAM_BLOCK_FRAMES * FRONT_END.frame_hop_samples
        self._group = np.zeros(self._group_samples + FRONT_END.frame_overlap_samples, np.float32)
        self._lost_samples = 0
        self._start_at(0)

    def _start_at(self, sample: int) -> None:
        self._filled = 0
        self._group_first_sample = sample
        self._groups: deque[tuple[Float32, float]] = deque(maxlen=self._groups_per_patch)
        self._groups_until_patch = self._groups_per_patch
        self._before_first_patch: list[Float32] | None = []

    def push(self, block: Block) -> Iterator[Patch]:
        """Yield each patch that `block` completes, oldest first."""
        if block.lost_samples:
            self._lost_samples += block.lost_samples
            self._start_at(block.first_sample)
        if self._before_first_patch is not None:
            self._before_first_patch.append(block.samples)
        consumed, available, size = 0, len(block.samples), len(self._group)
        while consumed < available:
            end = min(size, self._filled + available - consumed)
            count = end - self._filled
            self._group[self._filled : end] = block.samples[consumed : consumed + count]
            self._filled, consumed = end, consumed + count
            if end == size:
                patch = self._push_group(self._group)
                self._group[: FRONT_END.frame_overlap_samples] = self._group[self._group_samples :]
                self._filled = FRONT_END.frame_overlap_samples
                if patch is not None:
                    yield patch

    def finish(self) -> Iterator[Patch]:
        """Yield the patches that reach beyond the end of the sound, as if silence followed; no `push` may follow.

        Sound that is shorter than a patch has silence before it: a window shows a short sound best at its end, with its onset.
        First and last samples of the patches stay within the sound.
        """
        self._on_frames = None  # neither the silence nor what is computed again with it was recorded
        silence = np.zeros(FRONT_END.patch_samples, np.float32)
        first_sample, end_sample = 0, self._group_first_sample + self._filled
        rest = [silence]
        if self._before_first_patch is not None:
            first_sample = end_sample - sum(map(len, self._before_first_patch))
            if first_sample == end_sample:
                return
            rest = [silence[end_sample - first_sample :], *self._before_first_patch, silence]
            self._start_at(end_sample - FRONT_END.patch_samples)
        for patch in self.push(Block(np.concatenate(rest), first_sample)):
            # What begins later has no sound that an earlier patch does not have.
            if patch.first_sample >= end_sample - FRONT_END.frame_overlap_samples:
                return
            yield replace(patch, first_sample=max(patch.first_sample, first_sample), end_sample=min(patch.end_sample, end_sample))

    def _push_group(self, samples: Float32) -> Patch | None:
        new = samples[: self._group_samples]
        frames = log_mel(samples, log_offset=self._log_offset)
        self._groups.append((frames, float(np.dot(new, new)) / len(new)))
        self._group_first_sample += self._group_samples
        if self._on_frames is not None:
            self._on_frames(frames, self._group_first_sample)
        self._groups_until_patch -= 1
        if self._groups_until_patch:
            return None
        self._groups_until_patch, self._before_first_patch = self._groups_per_hop, None
        lost, self._lost_samples = self._lost_samples, 0
        first_sample = self._group_first_sample - FRONT_END.patch_step_samples
        return Patch(
            log_mel=np.concatenate([frames for frames, _ in self._groups]),
            first_sample=first_sample,
            end_sample=first_sample + FRONT_END.patch_samples,
            lost_samples=lost,
            level_dbfs=level_dbfs(sum(power for _, power in self._groups) / len(self._groups)),
        )


def patches(samples: Float32, hops_per_patch: int = 1, log_offset: float = FRONT_END.log_offset) -> Float32:
    """Compute all patches of a recording, bitwise as the stream does: float32 (n, 96, 64); (0, 96, 64) if too short."""
    stream = LogMelStream(hops_per_patch, log_offset)
    found = [patch.log_mel for patch in stream.push(Block(samples, first_sample=0))]
    shape = (0, FRONT_END.patch_frames, FRONT_END.mel_bands)
    return np.stack(found) if found else np.zeros(shape, np.float32)
