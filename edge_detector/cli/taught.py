"""Runs `teach` with its progress, and formats what it made."""

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict

from edge_detector.cli.live_panel import Panel
from edge_detector.detection.bundle import hop_key
from edge_detector.teaching.teach import STAGES, Taught, TeachingPlan, teach

LOG_EVERY_SECONDS = 30.0
"""Progress without a terminal."""

TERMINAL_EVERY_SECONDS = 0.2


def run(options: argparse.Namespace) -> int:
    """Teach, and print what was measured."""
    try:
        result = teach_classes(options)
    except KeyboardInterrupt:
        sys.stderr.write("edge-detector teach: interrupted; nothing was written\n")
        return 128 + signal.SIGINT
    if options.json:
        sys.stdout.write(json.dumps({**asdict(result), "bundle": str(result.bundle)}) + "\n")
        return 0
    panel = Panel.on(sys.stdout)
    for line in describe(result).splitlines():
        panel.print(line)
    return 0


def teach_classes(options: argparse.Namespace) -> Taught:
    """Teach with progress on standard error."""
    plan = TeachingPlan(
        recordings=options.recordings,
        base=options.base,
        output=options.output,
        only=options.only,
        background=tuple(options.background),
        negatives=options.negatives,
        false_alarms_per_hour=options.false_alarms_per_hour,
        seed=options.seed,
        classes=None if options.classes is None else tuple(options.classes),
    )
    progress = Progress(Panel.on(sys.stderr))
    try:
        return teach(plan, progress.report)
    finally:
        progress.panel.clear()


def describe(result: Taught) -> str:
    """Format the result as text."""
    hop = hop_key(1)
    hours = sum(result.thresholds.hours.values())
    lines = []
    for slug, count in result.recordings.items():
        figures, chosen = result.figures.classes[slug], result.thresholds.chosen[slug][1]
        # What is wrongly taken for it alone is no part of the hours.
        alarms = sum(chosen.false_alarms[kind] for kind in result.thresholds.hours)
        top, found = 100 * figures.on_top / count, 100 * figures.events[hop] / count
        lines.append(
            f"{slug}: {count} recordings, {top:.0f} % on top, {found:.0f} % give an event; threshold {chosen.rule.on:.2f}, "
            f"{alarms} events in {hours:.1f} h without it"
        )
    lines.append("Each recording was left out once and scored by a model of the others.")
    least, most = (100 * share for share in result.figures.on_top_share_95)
    if len(result.recordings) + len(result.kept) > 1:
        right = f"{result.figures.on_top} of {result.figures.recordings}"
        lines.append(f"{right} on top: {least:.0f} to {most:.0f} % of recordings like these, with 95 % confidence.")
    lines += result.limits
    parts = [f"new classes: {len(result.recordings)}"]
    if result.kept:
        parts.append(f"kept from {result.base}, unchanged: {len(result.kept)}")
        parts += [f"replaced: {', '.join(result.replaced)}"] if result.replaced else []
    lines.append(f"{result.bundle}: {'; '.join(parts)}; {result.bytes / 1e6:.2f} MB")
    lines.append(f"Try it: edge-detector listen RECORDING --bundle {result.bundle}")
    return "\n".join(lines)


class Progress:
    """Progress of the stages: a panel on a terminal, a line every half minute in a log.

    Attributes:
        panel: on standard error.

    """

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self._stages: list[str] = []
        self._stage_started = self._shown = 0.0

    def report(self, stage: str, done: int, total: int) -> None:
        """Show stage n of m, how much of it is done, and the time left of it."""
        now = time.monotonic()
        if stage not in self._stages:
            self._stages.append(stage)
            self._stage_started = now
        elif now - self._shown < (TERMINAL_EVERY_SECONDS if self.panel.live else LOG_EVERY_SECONDS):
            return
        if not self._shown and not self.panel.live:
            # In a log, the first stages are over before they are worth a line.
            self._shown = now
            return
        self._shown = now
        left = ""
        if 0 < done < total:
            left = f", {(now - self._stage_started) * (total - done) / done:.0f} s left"
        head, how_much = f"teach {len(self._stages)}/{STAGES}  {stage}", f"{done} of {total}{left}"
        if self.panel.live:
            self.panel.draw([head, f"  {how_much}"])
        else:
            self.panel.print(f"{head}: {how_much}")
