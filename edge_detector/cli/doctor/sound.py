"""Checks of a source, from the kernel's devices to the probabilities of a few seconds of its sound."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_detector.audio.signal_quality import WINDOW_SAMPLES, classify
from edge_detector.audio.source import Source
from edge_detector.cli.doctor.finding import Finding
from edge_detector.config import SourceConfig
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import EdgeDetectorError
from edge_detector.service.factory import LoadedBundle, build_processor, open_source
from edge_detector.threads import in_thread
from edge_detector.types import Block, Float32, Scores, SignalQuality

OPEN_SECONDS = 25.0
POLL_SECONDS = 0.25
FIRST_SOUND_SECONDS = 5.0
QUIET_DBFS = -65.0
"""Below the level of a quiet room at full microphone gain."""
LIVE_KINDS = ("mic", "arecord")

_SIGNALS: Mapping[SignalQuality, tuple[str, str]] = {
    "silent": (
        "digital silence: every sample is 0",
        "it is muted, switched off or the wrong one: alsamixer (F4, F6), or another device",
    ),
    "flat": (
        "a constant value: no sound, but no silence either",
        "the microphone or its converter is broken; try another",
    ),
    "clipped": ("clipped", "turn the capture volume down: alsamixer (F4, F6)"),
}


def examine_source(config: SourceConfig, networks: LoadedBundle, rules: Sequence[Rule], seconds: float) -> list[Finding]:
    """Open the source and check some seconds of its sound."""
    if rules and not any(rule.enabled for rule in rules):
        advice = "set enabled = true in the [class.…] tables of the sounds you want; edge-detector classes lists them"
        return [Finding(config.name, "bad", "no class is enabled: no event would be reported", advice)]
    opening = in_thread(lambda: open_source(config), f"open {config.name}")
    try:
        source = opening.result(OPEN_SECONDS)
    except FutureTimeoutError:
        advice = "unplug and plug in the device, or restart the machine; see dmesg"
        return [Finding(config.name, "bad", f"opening it hangs for more than {OPEN_SECONDS:g} s", advice)]
    except EdgeDetectorError as error:
        return [Finding(config.name, "bad", str(error), _cure(config))]
    try:
        return _listen(config, source, networks, rules, seconds)
    except EdgeDetectorError as error:
        return [Finding(config.name, "bad", str(error), _cure(config))]
    finally:
        in_thread(source.close, f"close {config.name}")


def _listen(config: SourceConfig, source: Source, networks: LoadedBundle, rules: Sequence[Rule], seconds: float) -> list[Finding]:
    sound = CheckedSound(source.rate_hz)
    processor = build_processor(source, networks, hops_per_patch=config.hops_per_patch, rules=rules, sink=sound)
    last_sound_at = time.monotonic()
    while processor.heard_samples < seconds * source.rate_hz and not processor.ended:
        before = processor.heard_samples
        sound.scores += [item for item in processor.step(POLL_SECONDS) if isinstance(item, Scores)]
        if processor.heard_samples > before:
            last_sound_at = time.monotonic()
        elif time.monotonic() - last_sound_at > FIRST_SOUND_SECONDS:
            said = f"it is open, and gives no sound for {FIRST_SOUND_SECONDS:g} s"
            return [Finding(config.name, "bad", said, "unplug and plug it in again; is another program using it?")]
    return judge_sound(config, sound, networks.classes, rules)


@dataclass(slots=True)
class CheckedSound:
    """Sound and scores of a source during the check; a dump for its blocks.

    Attributes:
        rate_hz: sample rate of the blocks.
        blocks: mono sound, in order.
        scores: results of the networks.
        lost_samples: number of lost samples.

    """

    rate_hz: int
    blocks: list[Float32] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    lost_samples: int = 0

    def write(self, block: Block) -> None:
        """Store one block."""
        self.blocks.append(block.samples)
        self.lost_samples += block.lost_samples


def judge_sound(config: SourceConfig, sound: CheckedSound, classes: Sequence[SoundClass], rules: Sequence[Rule]) -> list[Finding]:
    """Return the findings from some seconds of a source's sound."""
    if not any(len(block) for block in sound.blocks):
        return [Finding(config.name, "bad", "it gives no sound", _cure(config))]
    samples = np.concatenate(sound.blocks)
    seconds = len(samples) / sound.rate_hz
    level_dbfs = 10.0 * float(np.log10(max(1e-12, float(np.mean(np.square(samples, dtype=np.float64))))))
    peak_dbfs = 20.0 * float(np.log10(max(1e-6, float(np.max(np.abs(samples))))))
    signal = _signal(samples)
    figures = {
        "rate_hz": sound.rate_hz,
        "seconds": round(seconds, 2),
        "level_dbfs": round(level_dbfs, 1),
        "peak_dbfs": round(peak_dbfs, 1),
        "signal": signal,
        "lost_samples": sound.lost_samples,
    }
    said = f"{seconds:.1f} s at {sound.rate_hz} Hz, level {level_dbfs:.0f} dBFS, peak {peak_dbfs:.0f} dBFS"
    if signal != "ok" and (signal != "silent" or config.kind in LIVE_KINDS):
        what, advice = _SIGNALS[signal]
        return [Finding(config.name, "warning" if signal == "clipped" else "bad", f"{what} ({said})", advice, figures)]
    found = [Finding(config.name, "good", said, None, figures)]
    if sound.lost_samples:
        advice = "see whether the machine is busy (top), or the USB port shared"
        found.append(Finding(config.name, "warning", f"{sound.lost_samples} samples were lost", advice))
    if level_dbfs < QUIET_DBFS and config.kind in LIVE_KINDS:
        advice = "turn the capture volume up (alsamixer, F4, F6), or make the sound you wait for while doctor runs"
        found.append(Finding(config.name, "warning", f"it is very quiet: below {QUIET_DBFS:g} dBFS", advice))
    if sound.scores:
        found.append(_nearest(config, sound.scores, classes, rules))
    return found


def _signal(samples: Float32) -> SignalQuality:
    """Classify all samples: clipped at any time, or silent or flat all the time, else ok."""
    seconds = max(1, len(samples) // WINDOW_SAMPLES)
    verdicts = {classify(part) for part in np.array_split(samples, seconds)}
    if "clipped" in verdicts:
        return "clipped"
    return verdicts.pop() if len(verdicts) == 1 else "ok"


def _nearest(config: SourceConfig, scores: Sequence[Scores], classes: Sequence[SoundClass], rules: Sequence[Rule]) -> Finding:
    """Return a finding on the class closest to its threshold."""
    best = np.max([item.probabilities for item in scores], axis=0)
    rows = [(float(best[i]) - rules[i].on, i) for i in range(len(classes)) if rules[i].enabled]
    margin, index = max(rows)
    label, probability, threshold = classes[index].label, float(best[index]), rules[index].on
    figures = {"nearest": classes[index].slug, "probability": round(probability, 4), "threshold": threshold}
    if margin >= 0:
        return Finding(config.name, "good", f"detected {label}: {probability:.2f}, threshold {threshold:.2f}", None, figures)
    said = f"no class reached its threshold; the closest is {label}: {probability:.2f}, threshold {threshold:.2f}"
    return Finding(config.name, "good", said, "to test it, make a sound of an enabled class while doctor runs", figures)


def _cure(config: SourceConfig) -> str | None:
    return device_advice() if config.kind in LIVE_KINDS else None


def device_advice(
    folder: Path = Path("/dev/snd"), may_read: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK)
) -> str:
    """Return the remedy for a missing microphone, from the kernel's devices and their permissions."""
    captures = sorted(folder.glob("pcmC*D*c"))
    if not captures:
        return "the kernel has no capture device: plug one in (lsusb must list it), then see arecord -l"
    if not any(map(may_read, captures)):
        return f"this user may not open {captures[0]}: sudo usermod -aG audio $USER, and log in again"
    return "see edge-detector devices; if the service runs, it uses the microphone: systemctl stop edge-detector first"
