"""Charts as SVG that takes its colours from the page, so that it is dark where the page is."""

import io
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT = 4.5, 2.7  # inches; at the width of a phone 10 points are 10 pixels

# Colours that no chart would use by chance stand for the page's variables.
_VARIABLES = {"text": "#010102", "quiet": "#010103", "line": "#010104", "card": "#010105"}
_RUN_COLOURS = 6
_VARIABLES |= {f"run{i}": f"#0101{16 + i:02x}" for i in range(_RUN_COLOURS)}
TEXT, QUIET, LINE, CARD = (_VARIABLES[name] for name in ("text", "quiet", "line", "card"))

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlecolor": TEXT,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": TEXT,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}
_MOST_POINTS = 300

_counter = itertools.count()


def run_colour(index: int) -> str:
    return _VARIABLES[f"run{index % _RUN_COLOURS}"]


@contextmanager
def styled() -> Iterator[None]:
    with matplotlib.rc_context(_STYLE):
        yield


def figure() -> tuple[Figure, list[Axes]]:
    """A figure and its axes; call it and ``svg`` inside ``styled``."""
    made = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", facecolor="none")
    FigureCanvasSVG(made)
    return made, [made.subplots()]


def svg(made: Figure, label: str) -> Markup:
    """The figure for the body of a page; ``label`` is read out in its place."""
    prefix = f"f{next(_counter)}"
    with matplotlib.rc_context({"svg.hashsalt": prefix}):
        file = io.StringIO()
        made.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for name, colour in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    # Ids are the page's: only those that something refers to stay, and each figure has its own.
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r'width="[^"]*pt" height="[^"]*pt"|height="[^"]*pt"|width="[^"]*pt"', "", text, count=2)
    head = f'<svg role="img" aria-label="{Markup.escape(label)}" '
    return Markup(text.replace("<svg ", head, 1))


def thinned(x: Floats, y: Floats, most: int = _MOST_POINTS) -> tuple[Floats, Floats]:
    """Means over stretches of equal length, so that at most ``most`` points remain; NaN is skipped."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) <= most:
        return x, y
    means = [np.array([part.mean() for part in np.array_split(values, most)]) for values in (x, y)]
    return means[0], means[1]


def stage_lines(axes: Axes, steps: Sequence[float]) -> None:
    for step in steps:
        axes.axvline(step, color=QUIET, linewidth=0.9, linestyle=(0, (2, 3)))


def heatmap(
    made: Figure,
    axes: Axes,
    values: Floats,
    *,
    extent: tuple[float, float, float, float] | None = None,
    low: float | None = None,
    high: float | None = None,
    label: str = "",
    colours: str = "viridis",
) -> None:
    """``values`` [rows, columns], the first row on top, with a bar of its colours; NaN shows the page."""
    axes.grid(False)
    image = axes.imshow(
        np.ma.masked_invalid(values),
        aspect="auto",
        interpolation="nearest",
        vmin=low,
        vmax=high,
        cmap=colours,
        extent=extent,
    )
    bar = made.colorbar(image, ax=axes, pad=0.02, aspect=14)
    bar.outline.set_visible(False)
    bar.set_label(label, color=QUIET)


def zoom(axes: Axes, histograms: Sequence[tuple[Floats, Floats]], least: float) -> None:
    """Limits x to where one of the ``histograms``, (edges, shares), has a share above ``least``."""
    seen = [edges[1:][shares > least] for edges, shares in histograms]
    seen += [edges[:-1][shares > least] for edges, shares in histograms]
    ends = np.concatenate(seen)
    if len(ends):
        margin = 0.05 * (ends.max() - ends.min())
        axes.set_xlim(ends.min() - margin, ends.max() + margin)


def percents(axes: Axes, zero: bool = True) -> None:
    """Shares on the y axis, from 0 on if ``zero``."""
    axes.yaxis.set_major_formatter(lambda value, position: f"{100 * value:g} %")
    if zero and axes.get_yscale() == "linear":
        axes.set_ylim(0, max(axes.get_ylim()[1], 0.01))


def short(names: Sequence[str], longest: int = 16) -> list[str]:
    """Layers' names as labels: without the modules that all of them are in, and cut where they still run on."""
    parts = [name.split(".") for name in names]
    common = 0
    while len(names) > 1 and all(len(p) > common + 1 and p[common] == parts[0][common] for p in parts):
        common += 1
    names = [".".join(p[common:]) for p in parts]
    return [name if len(name) <= longest else "…" + name[-longest + 1 :] for name in names]
