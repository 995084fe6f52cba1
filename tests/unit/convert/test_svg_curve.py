"""Curves as pictures: marks on their lines, and a legend that no line can cross."""

import xml.etree.ElementTree as ET

from convert.svg_curve import MarkedLine, draw_marked_lines

SVG = "{http://www.w3.org/2000/svg}"


def test_marks_lie_on_their_line_and_the_legend_below_everything() -> None:
    one = MarkedLine("one & only", ((0.3, 1.0), (0.1, 0.9), (0.05, 0.7)), {"kept": (0.1, 0.9)})
    other = MarkedLine("other", ((0.2, 0.8), (0.1, 0.6)), {"low": (0.1, 0.6), "high": (0.2, 0.8)})
    picture = ET.fromstring(draw_marked_lines([one, other], "x", "y"))  # noqa: S314 - made here
    lines = [
        [tuple(map(float, pair.split(","))) for pair in each.attrib["points"].split()] for each in picture.iter(f"{SVG}polyline")
    ]
    circles = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in picture.iter(f"{SVG}circle")]
    assert circles[:3] == [lines[0][1], lines[1][1], lines[1][0]]
    assert lines[0][0][0] > lines[0][1][0] > lines[0][2][0], "to the right more is false"
    assert lines[0][0][1] < lines[0][1][1] < lines[0][2][1], "above more is found"
    legend = {each.text: float(each.attrib["y"]) for each in picture.iter(f"{SVG}text") if each.text in {"one & only", "other"}}
    frame = next(picture.iter(f"{SVG}clipPath"))[0].attrib["d"]
    bottom = float(frame.split("V")[1].split("H")[0])
    assert min(legend.values()) > bottom + 40, "below the numbers and the name of the axis, where no line is drawn"
    assert all(y <= bottom for _, y in circles[:3])
    assert len({each.attrib.get("stroke-dasharray") for each in picture.iter(f"{SVG}polyline")}) == 2
