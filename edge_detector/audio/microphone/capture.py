"""Microphone source."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np

from edge_detector.audio.microphone import portaudio
from edge_detector.audio.microphone.devices import InputDevice, UnseenDeviceError, choose_device
from edge_detector.audio.microphone.portaudio import CONTINUE, INPUT_OVERFLOW, INT16, PortAudio, Stream
from edge_detector.audio.microphone.ring import CaptureRing, Chunk
from edge_detector.errors import SourceError, UnknownDeviceError
from edge_detector.params import FRONT_END
from edge_detector.types import Block

BLOCK_SECONDS = 0.03
"""Callback period: a compromise between latency and 33 callbacks a second."""

RING_SECONDS = 10.0
STALL_SECONDS = 2.0
"""Time without a callback after which a microphone counts as lost."""

_CLOSE_SECONDS = 2.0
_LIVENESS_POLL_SECONDS = 0.25
_SAMPLE_BYTES = 2
_FULL_SCALE = np.float32(32_768.0)


class Microphone:
    """A live source that captures from construction to `close`, at 16 kHz or else at the device's default rate.

    Args:
        wanted: name, unique part of a name, or index; None for the default microphone.
        channel: channel of the microphone, from 0.
        stall_seconds: time without a callback after which the microphone counts as lost.
        ring_seconds: sound that may wait for a slow reader before the oldest hop is dropped.
        clock: seconds, monotonic.
        list_devices, open_portaudio: access to PortAudio, replaced in tests to simulate faults.

    Raises:
        SourceError: there is no microphone, or it cannot be opened.
        UnseenDeviceError: it was plugged in while this process had others open, and PortAudio does not detect it.
        UnknownDeviceError: the microphone or the channel does not exist.

    """

    live = True

    def __init__(
        self,
        wanted: str | int | None = None,
        *,
        channel: int = 0,
        stall_seconds: float = STALL_SECONDS,
        ring_seconds: float = RING_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        list_devices: Callable[[], tuple[InputDevice, ...]] = portaudio.list_devices,
        open_portaudio: Callable[[], PortAudio] = portaudio.open_portaudio,
    ) -> None:
        device = choose_device(list_devices(), wanted)
        if not 0 <= channel < device.max_channels:
            raise UnknownDeviceError(
                f"the microphone {device.name!r} has the channels 0 to {device.max_channels - 1}; there is no channel {channel}"
            )
        self.name = device.name
        self.stream_id = uuid.uuid4().hex[:12]
        self.overflows = 0
        self._channel = channel
        self._stall_seconds = stall_seconds
        self._ring_seconds = ring_seconds
        self._clock = clock
        self._closed = False
        with portaudio.quiet_sound_libraries():
            # A new instance each time: PortAudio lists devices only once.
            self._portaudio = open_portaudio()
            try:
                self._stream = self._open(device)
            except BaseException:
                self._portaudio.terminate()
                raise

    def _open(self, device: InputDevice) -> Stream:
        # By name: the index may have changed since the devices were listed.
        indices = {found.name: found.index for found in reversed(portaudio.input_devices(self._portaudio))}
        index = indices.get(device.name)
        if index is None:
            raise UnseenDeviceError(device.name)
        rates = dict.fromkeys((FRONT_END.sample_rate_hz, device.default_rate_hz))
        failure: Exception | None = None
        for rate_hz in rates:
            try:
                return self._open_at(rate_hz, index)
            except (OSError, ValueError) as error:
                failure = error
        tried = " or ".join(str(rate_hz) for rate_hz in rates)
        raise SourceError(
            f"the microphone {device.name!r} cannot be opened at {tried} Hz: {failure}; "
            "is it plugged in, and used by no other program?"
        ) from failure

    def _open_at(self, rate_hz: int, device_index: int) -> Stream:
        channels = self._channel + 1
        self.rate_hz = rate_hz
        self._ring = CaptureRing(
            round(self._ring_seconds * rate_hz),
            drop_samples=FRONT_END.patch_step_samples * rate_hz // FRONT_END.sample_rate_hz,
            frame_bytes=_SAMPLE_BYTES * channels,
        )
        self._last_callback_at = self._clock()
        return self._portaudio.open(
            rate_hz,
            channels,
            INT16,
            input=True,
            input_device_index=device_index,
            frames_per_buffer=round(rate_hz * BLOCK_SECONDS),
            stream_callback=self._on_sound,
        )

    def _on_sound(self, data: bytes, _frames: int, _times: Mapping[str, float], flags: int) -> tuple[None, int]:
        self._last_callback_at = self._clock()
        overflowed = bool(flags & INPUT_OVERFLOW)
        self.overflows += overflowed
        # PortAudio does not report the loss's length; one sample makes a gap.
        self._ring.write(data, lost_samples=int(overflowed))
        return None, CONTINUE

    @property
    def ended(self) -> bool:
        """True once closed; a microphone does not end by itself."""
        return self._closed

    @property
    def waiting_seconds(self) -> float:
        """Seconds of sound waiting to be read."""
        return self._ring.waiting_samples / self.rate_hz

    def read(self, timeout_seconds: float) -> Block | None:
        """Read the next block, or None. Raises SourceError once the microphone is lost and its sound has been read."""
        remaining_seconds = timeout_seconds
        while True:
            chunk = self._ring.read(max(0.0, min(remaining_seconds, _LIVENESS_POLL_SECONDS)))
            if chunk is not None:
                return self._block(chunk)
            if self._closed:
                return None
            self._raise_if_lost()
            remaining_seconds -= _LIVENESS_POLL_SECONDS
            if remaining_seconds <= 0.0:
                return None

    def _block(self, chunk: Chunk) -> Block:
        frames = np.frombuffer(chunk.data, "<i2").reshape(-1, self._channel + 1)
        return Block(frames[:, self._channel].astype(np.float32) / _FULL_SCALE, chunk.first_sample, chunk.lost_samples)

    def _raise_if_lost(self) -> None:
        silent_seconds = self._clock() - self._last_callback_at
        if not self._is_active() and not self._ring.waiting_samples and not self._closed:
            raise SourceError(f"the microphone {self.name!r} was lost: its stream has ended; is it still plugged in?")
        if silent_seconds > self._stall_seconds:
            raise SourceError(
                f"the microphone {self.name!r} was lost: no sound for {silent_seconds:.1f} s; is it still plugged in?"
            )

    def _is_active(self) -> bool:
        try:
            return self._stream.is_active()
        except OSError:
            return False

    def close(self) -> None:
        """Release the device; may be called again. A sound system that hangs only blocks its own thread."""
        if self._closed:
            return
        self._closed = True
        self._ring.close()
        release = threading.Thread(target=self._release, name=f"release {self.name}", daemon=True)
        release.start()
        release.join(_CLOSE_SECONDS)

    def _release(self) -> None:
        with suppress(OSError):
            self._stream.close()
        self._portaudio.terminate()
