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
    text = json.dumps({**asdict(result), "bundle": str(result.bundle)}) if options.json else describe(result)
    sys.stdout.write(f"{text}\n")
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
    )
    progress = Progress(Panel.on(sys.stderr))
    try:
        return teach(plan, progress.report)
    finally:
        progress.panel.clear()


def describe(result: Taught) -> str:
    """Format the result as text."""
    hop = hop_key(1)
    width = max(*map(len, result.recordings), len("class"))
    lines = [f"{'class':<{width}}  recordings  on top  give an event  threshold  false alarms"]
    for slug, count in result.recordings.items():
        figures, chosen = result.figures.classes[slug], result.thresholds.chosen[slug][1]
        shares = f"{100 * figures.on_top / count:4.0f} %  {100 * figures.events[hop] / count:11.0f} %"
        alarms = sum(chosen.false_alarms.values())
        total = sum(result.thresholds.hours.values())
        lines.append(f"{slug:<{width}}  {count:>10}  {shares}  {chosen.rule.on:9.2f}  {f'{alarms} in {total:.1f} h':>12}")
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
        line = f"teach {len(self._stages)}/{STAGES}  {stage}: {done} of {total}{left}"
        if self.panel.live:
            self.panel.draw([line[: self.panel.style.columns - 1]])
        else:
            self.panel.print(line)
