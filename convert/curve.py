"""Curves as an SVG picture, by hand: a plotting library would be the largest thing that convert needs."""

from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 260, 64, 16, 28, 36
COLOURS = ("#1f6feb", "#d1242f")
TICKS = 4

Line = Sequence[tuple[float, float]]


def draw_curves(panels: Mapping[str, Mapping[str, Line]]) -> str:
    """One panel under the other, each with its named lines over the training step; empty lines are left out."""
    parts = [_panel(title, lines, number * HEIGHT) for number, (title, lines) in enumerate(panels.items())]
    height = HEIGHT * len(panels)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>\n"])


def _panel(title: str, lines: Mapping[str, Line], top: float) -> str:
    drawn = {name: line for name, line in lines.items() if line}
    points = [point for line in drawn.values() for point in line]
    if not points:
        return f'<text x="{LEFT}" y="{top + TOP}">{title}: nothing yet</text>'
    low_x, high_x = _range([x for x, _ in points])
    low_y, high_y = _range([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)
        return across, top + HEIGHT - BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="{top + 18:g}" font-weight="bold">{title}</text>']
    for tick in range(TICKS + 1):
        value_x, value_y = low_x + (high_x - low_x) * tick / TICKS, low_y + (high_y - low_y) * tick / TICKS
        x, y = place(value_x, value_y)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value_y:.3g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{top + HEIGHT - 16}" text-anchor="middle">{value_x:.0f}</text>')
    for number, (name, line) in enumerate(drawn.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{LEFT + 90 * (number + 1)}" y="{top + 18:g}" fill="{colour}">{name}</text>')
    return "\n".join(parts)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low, low + 1.0)
