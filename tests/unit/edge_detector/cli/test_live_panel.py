import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.cli.live_panel import ClassRow, Panel, Style, class_lines, fitted, level_line, moves_cursor, style_of, width_of
from tests.support.terminal import screen

ROWS = (ClassRow("Baby crying", 0.93, 0.43), ClassRow("犬の鳴き声がとても長い", 0.4, 0.6), ClassRow("Rain", 0.06, 0.3))
WIDTHS = (20, 40, 80, 120, 200)


def panel_of(columns: int, level_dbfs: float = -31.2) -> list[str]:
    style = Style(columns)
    return [level_line("09:45:12", level_dbfs, style), *class_lines(ROWS, style)]


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_line_reaches_the_last_column(columns: int) -> None:
    assert max(width_of(line) for line in panel_of(columns)) < columns
    assert all(line == line.rstrip("\n") for line in panel_of(columns))


@given(st.integers(20, 200), st.floats(-120, 0), st.floats(0, 1), st.floats(0, 1), st.text(max_size=80))
def test_any_value_fits_any_width(columns: int, level_dbfs: float, probability: float, threshold: float, label: str) -> None:
    style = Style(columns)
    lines = [level_line("00:00:00", level_dbfs, style), *class_lines([ClassRow(label, probability, threshold)], style)]
    assert max(map(width_of, lines)) < columns


def test_a_bar_is_as_long_as_its_probability_with_a_mark_at_the_threshold() -> None:
    (line,) = class_lines([ClassRow("Rain", 0.5, 0.75)], Style(80))
    bar = line.split("  ")[-1]
    assert len(bar) == 40 or line.endswith(bar)
    assert bar.count("█") == round(0.5 * len(bar))
    assert bar.index("|") == round(0.75 * len(bar))
    (plain,) = class_lines([ClassRow("Rain", 0.5, 0.75)], Style(80, blocks=False))
    assert re.search(r"#+\.+\|\.+$", plain)


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_panel_is_redrawn_in_place_below_the_lines_that_stay(columns: int) -> None:
    stream = io.StringIO()
    panel = Panel(stream, lambda: columns, live=True)
    for number in range(5):
        panel.draw(panel_of(columns, -60.0 + number))
        panel.print(f"event {number}")
        panel.draw(panel_of(columns, -50.0 + number))
    shown = screen(columns, stream.getvalue())
    assert shown[:5] == [f"event {number}" for number in range(5)]
    assert len(shown) == 5 + 4
    panel.clear()
    assert screen(columns, stream.getvalue()) == shown[:5]


def test_text_that_stays_is_wrapped_between_words() -> None:
    stream = io.StringIO()
    Panel(stream, lambda: 40, live=True).print("     3.84 s  end    Dog barking, 4.82 s, peak 0.99")
    assert screen(40, stream.getvalue()) == ["     3.84 s  end    Dog barking, 4.82", "    s, peak 0.99"]


def test_a_panel_that_a_narrower_terminal_has_wrapped_is_erased_whole() -> None:
    stream, columns = io.StringIO(), 80
    panel = Panel(stream, lambda: columns, live=True)
    panel.draw(["x" * 79, "y" * 79])
    columns = 40
    panel.clear()
    assert stream.getvalue().endswith("\r\x1b[3A\x1b[J")


def test_colour_marks_classes_at_their_threshold_and_is_off_on_request() -> None:
    assert style_of(80, "utf-8", {}).colour
    assert not style_of(80, "utf-8", {"NO_COLOR": "1"}).colour
    over, under = class_lines([ClassRow("Rain", 0.5, 0.5), ClassRow("Dog", 0.4, 0.5)], Style(80, colour=True))
    assert over.startswith("\x1b[32m")
    assert "\x1b" not in under


def test_a_text_is_cut_between_characters_of_two_columns() -> None:
    assert fitted("犬の鳴き声", 6) == "犬の…"
    assert fitted("犬の鳴き声", 10) == "犬の鳴き声"


def test_a_log_and_a_dumb_terminal_get_no_panel() -> None:
    assert not moves_cursor(io.StringIO(), {"TERM": "xterm"})
