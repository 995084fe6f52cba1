"""Line charts as SVG, without a plotting library, which would be convert's largest dependency."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 260, 64, 16, 28, 36
PLOT_HEIGHT, LEGEND_ROW = 360, 22
COLOURS = ("#1f6feb", "#d1242f", "#8250df", "#57606a")
DASHES = ("", "7 3", "2 3", "9 3 2 3")
"""Lines differ in dashes as well as colour, for colour-blind readers."""

TICKS = 4
TICK_SHARE = 0.05
"""Axes of shares have a tick every 5 %, or a multiple of it."""

MANY_TICKS = 10

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """Line of points (x, y) with some points marked by name."""

    title: str
    points: Line
    marks: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Axis from low to high, with numbers at the ticks."""

    low: float
    high: float
    ticks: Sequence[float]
    text: Callable[[float], str]

    def part(self, value: float) -> float:
        """Return a value's position along the axis, in [0, 1]."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Plot rectangle with an axis below and one at the left."""

    top: float
    height: float
    x: _Axis
    y: _Axis

    @property
    def bottom(self) -> float:
        """Y coordinate of the lower axis."""
        return self.top + self.height

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Convert data coordinates to picture coordinates."""
        return LEFT + self.x.part(x) * (WIDTH - LEFT - RIGHT), self.bottom - self.y.part(y) * self.height

    def grid(self) -> list[str]:
        """Draw lines at the left axis's ticks, and the numbers of both axes."""
        parts = []
        for tick in self.y.ticks:
            _, y = self.place(self.x.low, tick)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{self.y.text(tick)}</text>')
        for tick in self.x.ticks:
            x, _ = self.place(tick, self.y.low)
            parts.append(f'<text x="{x:.1f}" y="{self.bottom + 20:g}" text-anchor="middle">{self.x.text(tick)}</text>')
        return parts

    def line(self, points: Line, colour: str, dashes: str = "") -> str:
        """Draw a polyline."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in points))
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{_dashed(dashes)}/>'


def draw_curves(panels: Mapping[str, Mapping[str, Line]]) -> str:
    """Draw stacked panels of named lines over the training step; empty lines are omitted."""
    parts = [_panel(title, lines, number * HEIGHT) for number, (title, lines) in enumerate(panels.items())]
    return _picture(HEIGHT * len(panels), parts)


def draw_marked_lines(lines: Sequence[MarkedLine], x_title: str, y_title: str) -> str:
    """Draw lines over two axes of shares in [0, 1], in percent, with named marks and a legend below.

    The axes are scaled to the marks; lines are clipped at the edge.
    """
    marks = [point for line in lines for point in line.marks.values()]
    right, low = 1.5 * max((x for x, _ in marks), default=1.0), min((y for _, y in marks), default=0.0) - 2.0 * TICK_SHARE
    frame = _Frame(TOP, PLOT_HEIGHT, _shares(0.0, right), _shares(low, 1.0))
    middle = f"{LEFT - 48} {frame.top + frame.height / 2:g}"
    parts = [
        *frame.grid(),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{frame.bottom + 40:g}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text transform="translate({middle}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>',
    ]
    styles = [(COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]) for number in range(len(lines))]
    parts.append(f'<clipPath id="frame"><path d="M{LEFT} {frame.top - 2}H{WIDTH - RIGHT}V{frame.bottom:g}H{LEFT}z"/></clipPath>')
    cut = [frame.line(line.points, *style) for line, style in zip(lines, styles, strict=True)]
    parts += ['<g clip-path="url(#frame)">', *cut, "</g>"]
    # Names are drawn over all lines with a white edge; consecutive lines place them on opposite sides of their points.
    for number, (line, (colour, _)) in enumerate(zip(lines, styles, strict=True)):
        parts += [_mark(name, frame.place(*point), colour, left=number % 2 == 1) for name, point in line.marks.items()]
    legend = frame.bottom + 66
    for number, (line, (colour, dashes)) in enumerate(zip(lines, styles, strict=True)):
        y = legend + number * LEGEND_ROW
        parts.append(f'<path d="M{LEFT} {y - 4:g}h36" stroke="{colour}" stroke-width="1.5"{_dashed(dashes)}/>')
        parts.append(f'<circle cx="{LEFT + 18}" cy="{y - 4:g}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 46}" y="{y:g}">{escape(line.title)}</text>')
    return _picture(legend + len(lines) * LEGEND_ROW, parts)


def _picture(height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:g}" fill="white"/>', *parts, "</svg>\n"])


def _panel(title: str, lines: Mapping[str, Line], top: float) -> str:
    drawn = {name: line for name, line in lines.items() if line}
    points = [point for line in drawn.values() for point in line]
    if not points:
        return f'<text x="{LEFT}" y="{top + TOP}">{title}: nothing yet</text>'
    x, y = (_spread([point[side] for point in points], text) for side, text in ((0, "{:.0f}"), (1, "{:.3g}")))
    frame = _Frame(top + TOP, HEIGHT - TOP - BOTTOM, x, y)
    parts = [f'<text x="{LEFT}" y="{top + 18:g}" font-weight="bold">{title}</text>', *frame.grid()]
    for number, (name, line) in enumerate(drawn.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(frame.line(line, colour))
        parts.append(f'<text x="{LEFT + 90 * (number + 1)}" y="{top + 18:g}" fill="{colour}">{name}</text>')
    return "\n".join(parts)


def _mark(name: str, place: tuple[float, float], colour: str, *, left: bool) -> str:
    x, y = place
    across, anchor = (-8, "end") if left else (8, "start")
    text = f'<text x="{x + across:.1f}" y="{y + 14:.1f}" text-anchor="{anchor}"'
    return "\n".join(
        [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>',
            f'{text} stroke="white" stroke-width="4" aria-hidden="true">{escape(name)}</text>',
            f'{text} fill="{colour}">{escape(name)}</text>',
        ]
    )


def _spread(values: Sequence[float], text: str) -> _Axis:
    """Return an axis from the lowest to the highest value."""
    low, high = min(values), max(values)
    high = high if high > low else low + 1.0
    return _Axis(low, high, [low + (high - low) * tick / TICKS for tick in range(TICKS + 1)], text.format)


def _shares(low: float, high: float) -> _Axis:
    """Return an axis of shares within [0, 1], from the tick below to the tick above."""
    first, last = max(math.floor(low / TICK_SHARE), 0), min(math.ceil(high / TICK_SHARE), round(1.0 / TICK_SHARE))
    last = max(last, first + 1)
    every = math.ceil((last - first) / MANY_TICKS)
    ticks = [step * TICK_SHARE for step in range(last, first - 1, -every)]
    return _Axis(first * TICK_SHARE, last * TICK_SHARE, ticks, lambda share: f"{100.0 * share:.0f} %")


def _dashed(dashes: str) -> str:
    return f' stroke-dasharray="{dashes}"' if dashes else ""
