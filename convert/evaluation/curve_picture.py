"""Picture of found over false, drawn by matplotlib."""

import io

from convert.evaluation.other_figures import OtherSounds, Point


def draw_other_sounds(found: OtherSounds) -> bytes:
    """Draw the curves as SVG: clips found over false events of ESC-10's ten classes, with the marks."""
    # matplotlib takes a second to load, and no other command needs it.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import PercentFormatter  # noqa: PLC0415

    def place(point: Point) -> tuple[float, float]:
        return point.false_of_ten.share, point.found.share

    # Texts stay texts, and the same figures give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "edge-detector"}):
        figure = Figure(figsize=(7.2, 6.0), layout="constrained")
        axes = figure.subplots()
        for number, curve in enumerate(found.curves.values()):
            (line,) = axes.plot(*zip(*map(place, curve.points.values()), strict=True), label=curve.title)
            for name in curve.marks:
                x, y = place(curve.marked(name))
                axes.plot(x, y, "o", color=line.get_color())
                # The curves rise to the right: the space is below right of the lowest, and above left of the others.
                left = number < len(found.curves) - 1 or not number
                axes.annotate(
                    name,
                    (x, y),
                    xytext=(-6, 5) if left else (6, -12),
                    textcoords="offset points",
                    ha="right" if left else "left",
                    color=line.get_color(),
                    bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5},
                )
        axes.set_xlabel("other recordings with a false event of ESC-10's ten classes")
        axes.set_ylabel("clips with an event of their class")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
