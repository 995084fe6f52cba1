"""Raw samples on standard input: s16le, mono, 16 kHz, as `arecord` and `ffmpeg` can write."""

import os
import select
import uuid
from typing import BinaryIO

import numpy as np

from edge_detector.errors import SourceError
from edge_detector.params import FRONT_END
from edge_detector.types import Block

SAMPLE_BYTES = 2
_BLOCK_SAMPLES = 4_096
_FULL_SCALE = np.float32(32_768.0)
_CONTAINERS = {b"RIFF": "WAV", b"RF64": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg"}
_WANTED = "raw s16le mono samples at 16 kHz"
_MAGIC_BYTES = 4


class Stdin:
    """Source that reads what the pipe has, without waiting for a full block. It drops nothing: the writer waits.

    Args:
        stream: a binary stream over an unread file descriptor; it is not closed.
        block_samples: largest block.

    """

    live = False
    waiting_seconds = 0.0
    overflows = 0
    rate_hz = FRONT_END.sample_rate_hz

    def __init__(self, stream: BinaryIO, *, block_samples: int = _BLOCK_SAMPLES) -> None:
        if stream.isatty():
            raise SourceError(f"standard input is a terminal; pipe {_WANTED} into it: arecord -t raw -f S16_LE -r 16000 | …")
        self.stream_id = uuid.uuid4().hex[:12]
        # Unbuffered: a buffered reader waits for a full buffer, and poll does not see its contents.
        self._descriptor = stream.fileno()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._block_bytes = block_samples * SAMPLE_BYTES
        self._carry = b""
        self._next_sample = 0
        self._ended = False
        self._warnings: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """True once the writer has closed the pipe and everything has been read."""
        return self._ended

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user; complete once the stream has ended."""
        return self._warnings

    def read(self, timeout_seconds: float) -> Block | None:
        """Read what has arrived, or None. Raises SourceError for an empty pipe or a container format."""
        if self._ended or not self._poll.poll(timeout_seconds * 1_000.0):
            return None
        try:
            # The first read has room for the four bytes that identify a container, whatever the block size.
            arrived = os.read(self._descriptor, max(self._block_bytes, _MAGIC_BYTES) - len(self._carry))
        except OSError as error:
            raise SourceError(f"standard input cannot be read: {error.strerror}") from error
        self._carry += arrived
        if not arrived:
            self._end()
        elif self._next_sample == 0 and len(self._carry) < _MAGIC_BYTES:
            return None
        return self._block()

    def _end(self) -> None:
        self._ended = True
        if self._next_sample == 0 and len(self._carry) < SAMPLE_BYTES:
            raise SourceError(f"standard input ended before the first sample; pipe {_WANTED} into it")
        if len(self._carry) % SAMPLE_BYTES:
            self._warnings = (f"standard input ended in the middle of a sample: one byte dropped; it must be {_WANTED}",)

    def _block(self) -> Block | None:
        if self._next_sample == 0 and (kind := _CONTAINERS.get(self._carry[:_MAGIC_BYTES])):
            raise SourceError(f"standard input holds a {kind} file, not {_WANTED}; give the file's path in place of -")
        size = min(len(self._carry) - len(self._carry) % SAMPLE_BYTES, self._block_bytes)
        data, self._carry = self._carry[:size], self._carry[size:]
        if not data:
            return None
        block = Block(np.frombuffer(data, "<i2").astype(np.float32) / _FULL_SCALE, self._next_sample)
        self._next_sample += len(block.samples)
        return block

    def close(self) -> None:
        """End the stream; may be called again."""
        self._ended = True
