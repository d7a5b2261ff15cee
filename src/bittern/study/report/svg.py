"""Matplotlib figures as SVG that takes its colours from the page, so that it is dark where the page is."""

import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.5, 2.7  # inches; at the width of a phone 10 points are 10 pixels

# Colours that no chart would use by chance stand for the page's variables.
_VARIABLES = {"text": "#010102", "quiet": "#010103", "line": "#010104", "card": "#010105"}
_RUN_COLOURS = 6
_VARIABLES |= {f"run{i}": f"#0101{16 + i:02x}" for i in range(_RUN_COLOURS)}
TEXT, QUIET, LINE, CARD = (_VARIABLES[name] for name in ("text", "quiet", "line", "card"))

DOTTED: dict[str, Any] = {"color": QUIET, "linewidth": 0.9, "linestyle": (0, (2, 3))}
"""Of lines that are no data."""

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

_counter = itertools.count()


def run_colour(index: int) -> str:
    return _VARIABLES[f"run{index % _RUN_COLOURS}"]


@contextmanager
def page_style() -> Iterator[None]:
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure() -> tuple[Figure, Axes]:
    """A figure and its axes; use it and ``to_svg`` inside ``page_style``."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", facecolor="none")
    FigureCanvasSVG(figure)
    return figure, figure.subplots()


def to_svg(figure: Figure, label: str) -> Markup:
    """The figure for the body of a page; screen readers read ``label`` instead."""
    prefix = f"f{next(_counter)}"
    with matplotlib.rc_context({"svg.hashsalt": prefix}):
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for name, colour in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    # The page has one namespace of ids: each figure has its own prefix, and keeps only the ids that it refers to.
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r'(width|height)="[^"]*pt"', "", text, count=2)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{Markup.escape(label)}" ', 1))
