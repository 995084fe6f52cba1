"""Frozen types passed between the stages. Time is the sample index, at the rate that each docstring names.

Arrays are read-only by convention: no stage writes into an array it received, or reuses the memory of one it passed on.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.uint8]
Int16: TypeAlias = NDArray[np.int16]

ProbabilityRate: TypeAlias = Literal["hop", "second", "off"]
Strictness: TypeAlias = Literal["sensitive", "balanced", "strict"]
EndReason: TypeAlias = Literal["ended", "max_duration", "shutdown", "source_lost", "gap", "interrupted"]
SourceState: TypeAlias = Literal["starting", "healthy", "stalled", "reconnecting", "failed"]
SignalQuality: TypeAlias = Literal["ok", "silent", "flat", "clipped"]


@dataclass(frozen=True, slots=True)
class Block:
    """Sound from a source at the source's rate, or from the resampler at 16 kHz.

    Attributes:
        samples: float32 (n,), mono, in [-1, 1): int16 / 32768.
        first_sample: index of samples[0] since the stream opened, lost samples included, so the index is time.
        lost_samples: samples lost directly before this block. Above 0 it is a gap, and every later stage resets its state.

    """

    samples: Float32
    first_sample: int
    lost_samples: int = 0


@dataclass(frozen=True, slots=True)
class Patch:
    """One VGGish input: 0.975 s of log-mel spectrogram. Sample indices are at 16 kHz.

    Attributes:
        log_mel: float32 (96, 64), time by mel band, natural log of magnitude + 0.01.
        first_sample: first sample under the patch; silence before the first or after the last sample of a source does not count.
        end_sample: one past the last sample under the patch.
        lost_samples: samples lost since the previous patch; above 0 in the first patch after a gap.
        level_dbfs: RMS level of the patch's samples, full-scale sine = -3 dBFS, floor -120.

    """

    log_mel: Float32
    first_sample: int
    end_sample: int
    lost_samples: int
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """AudioSet's form of an embedding: uint8 (128,), PCA-whitened, clipped to ±2 and truncated to bytes."""

    codes: Codes


@dataclass(frozen=True, slots=True)
class Scores:
    """Class probabilities for the newest patch. Sample indices are at 16 kHz.

    Attributes:
        probabilities: float32 (V,), each in [0, 1], in the order of the classes, enabled or not.
        state_age_frames: frames that the state of these probabilities has processed, 1 to R.
        sequence_number: hops since the stream opened, from 0, consecutive.
        first_sample, end_sample, lost_samples, level_dbfs: as in the newest patch.

    """

    probabilities: Float32
    state_age_frames: int
    sequence_number: int
    first_sample: int
    end_sample: int
    lost_samples: int
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class EventStart:
    """Start of an event. `first_sample` (16 kHz) identifies the event."""

    class_index: int
    first_sample: int
    peak_probability: float
    lost_samples: int = 0


@dataclass(frozen=True, slots=True)
class EventEnd:
    """End, at `end_sample`, of the event that started at `first_sample` (both 16 kHz).

    Attributes:
        peak_probability: highest probability of the class over the event, in [0, 1].
        lost_samples: samples lost while the event was open.

    """

    class_index: int
    first_sample: int
    end_sample: int
    peak_probability: float
    end_reason: EndReason
    lost_samples: int = 0


Detection: TypeAlias = EventStart | EventEnd


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message.

    Attributes:
        retained: the broker keeps it, so the latest is published on every connect.
        message_id: `<id>/start` or `<id>/end` of an event message, unchanged in repetitions, so that receivers can drop them;
            None for messages that are not events.

    """

    topic: str
    payload: bytes
    qos: Literal[0, 1]
    retained: bool
    message_id: str | None = None
