"""`events`: shows the history of events, or how many of each class start in each hour of the day."""

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from edge_detector.cli.argument_types import count
from edge_detector.cli.live_panel import Panel, fitted, width_of
from edge_detector.config import load_config
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.history.queries import HistoryReader, Selection, local_offset_seconds
from edge_detector.history.records import FIRST_MS, LAST_MS, RECORD_KEYS, RecordedEvent, record
from edge_detector.history.store import FILE_NAME, HOURS
from edge_detector.schema import shown, with_suggestion
from edge_detector.service.state import SYSTEM_FOLDER, state_folder

LIMIT = 50
LEAST_LABEL, MOST_LABEL = 8, 24
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([mhdw])")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration, to say where it has the history off")
    parser.add_argument(
        "--database", type=Path, metavar="FILE",
        help=f"history to read (default: {FILE_NAME} in STATE_DIRECTORY, or else in {SYSTEM_FOLDER})",
    )  # fmt: skip
    when = "a time ago (90m, 12h, 2d, 1w), a date, or date and time: 2026-11-28, 2026-11-28T21:30"
    parser.add_argument(
        "--since", type=moment_ms, default=FIRST_MS, metavar="TIME", help=f"events that start from here on: {when}"
    )
    parser.add_argument("--until", type=moment_ms, default=LAST_MS + 1, metavar="TIME", help="events that start before, likewise")
    parser.add_argument(
        "--class", dest="slugs", action="append", default=[], metavar="SLUG", help="only this class; may be repeated"
    )
    parser.add_argument(
        "--source", dest="sources", action="append", default=[], metavar="NAME", help="only this source; may be repeated"
    )
    parser.add_argument("--limit", type=count, default=LIMIT, metavar="N", help=f"newest events to show (default {LIMIT})")
    parser.add_argument("--by-hour", action="store_true", help="count the events of each class by the hour of the day")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="CSV with a header; times in UTC, as in the MQTT messages")
    form.add_argument("--json", action="store_true", help="JSON lines, likewise")


def run(options: argparse.Namespace) -> int:
    """Show the history. Raises EdgeDetectorError where it cannot be read, or has no such event."""
    selection = Selection(options.sources, options.slugs, options.since, options.until)
    if options.config is not None and not load_config(options.config).history.enabled:
        raise EdgeDetectorError(f"the history is off in {options.config}; set enabled = true in its table [history]")
    with HistoryReader(options.database or (state_folder() or SYSTEM_FOLDER) / FILE_NAME) as reader:
        _check_names("class", options.slugs, {kind.slug for kind in reader.kinds})
        _check_names("source", options.sources, {kind.source for kind in reader.kinds})
        if options.by_hour:
            _show_hours(reader, selection, options)
        else:
            _show_events(reader, selection, options)
    return 0


def moment_ms(text: str) -> int:
    """Parse a time ago, or a local date and time, into Unix milliseconds."""
    try:
        if ago := _AGO.fullmatch(text):
            moment = datetime.now().astimezone() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(text).astimezone()
        milliseconds = round(1e3 * moment.timestamp())
    except (ValueError, OverflowError):
        milliseconds = -1
    if not FIRST_MS <= milliseconds <= LAST_MS:
        message = f"{text} is no time; write 90m, 12h, 2d, 1w, 2026-11-28 or 2026-11-28T21:30"
        raise argparse.ArgumentTypeError(message)
    return milliseconds


def _check_names(what: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            sentence = f"the history has no event of the {what} {shown(name)}"
            raise UsageError(with_suggestion(sentence, name, sorted(known), "leave it out to see all"))


def _nothing() -> EdgeDetectorError:
    return EdgeDetectorError("the history has no such event; leave out --since, --until, --class or --source to see more")


def _show_events(reader: HistoryReader, selection: Selection, options: argparse.Namespace) -> None:
    numbers = reader.newest(selection, options.limit)
    if not numbers:
        raise _nothing()
    events = reader.events(numbers[::-1])
    if options.csv:
        _write_csv(RECORD_KEYS, (tuple(record(event).values()) for event in events))
    elif options.json:
        for event in events:
            sys.stdout.write(json.dumps(record(event), ensure_ascii=False) + "\n")
    else:
        panel = Panel.on(sys.stdout)
        for event in events:
            panel.print(line_of(event))


def line_of(event: RecordedEvent) -> str:
    """Return an event as a line: local time of its start, duration, peak, source, label, and how it ended if not by itself."""
    start = datetime.fromtimestamp(event.start_ms / 1_000).astimezone()
    length = _duration(event.duration_seconds) if event.end_reason is not None else "lasts"
    reason = "" if event.end_reason in (None, "ended") else f" ({shown(event.end_reason)})"
    return f"{start:%Y-%m-%d %H:%M:%S}  {length:>8}  {event.peak:.2f}  {shown(event.source)}  {shown(event.label)}{reason}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 60.0:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02}"  # noqa: PLR2004 - an hour


def _show_hours(reader: HistoryReader, selection: Selection, options: argparse.Namespace) -> None:
    counts = reader.by_hour_of_day(selection, local_offset_seconds)
    if not counts:
        raise _nothing()
    labels = {kind.slug: kind.label for kind in reader.kinds}
    rows = sorted(counts.items(), key=lambda row: (-sum(row[1]), row[0]))
    if options.csv:
        _write_csv(["slug", "label", *(f"{hour:02}" for hour in range(HOURS))], ((slug, labels[slug], *of) for slug, of in rows))
    elif options.json:
        for slug, of_hours in rows:
            sys.stdout.write(json.dumps({"slug": slug, "label": labels[slug], "hours": of_hours}, ensure_ascii=False) + "\n")
    else:
        panel = Panel.on(sys.stdout)
        for line in table({labels[slug]: of_hours for slug, of_hours in rows}, panel.style.columns if panel.live else None):
            panel.print(line)


def table(counts: Mapping[str, Sequence[int]], columns: int | None) -> Iterator[str]:
    """Yield the table of classes by hour of the day; hours that do not fit into these columns follow in a table below."""
    cell = 1 + max(2, *(len(str(count)) for of_hours in counts.values() for count in of_hours))
    label_columns = min(MOST_LABEL, max(width_of(shown(label)) for label in counts))
    if columns is not None:
        label_columns = min(label_columns, max(LEAST_LABEL, columns - 1 - HOURS * cell))
    fits = HOURS if columns is None else max(1, (columns - 1 - label_columns) // cell)
    block = next(hours for hours in (24, 12, 8, 6, 4, 3, 2, 1) if hours <= fits)
    for begin in range(0, HOURS, block):
        if begin:
            yield ""
        hours = range(begin, begin + block)
        yield " " * label_columns + "".join(f"{f'{hour:02}':>{cell}}" for hour in hours)
        for label, of_hours in counts.items():
            name = fitted(shown(label), label_columns)
            cells = (str(of_hours[hour]) if of_hours[hour] else "." for hour in hours)
            yield name + " " * (label_columns - width_of(name)) + "".join(f"{text:>{cell}}" for text in cells)


def _write_csv(header: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
