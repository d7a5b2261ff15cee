"""How all plots look, and how they are saved."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

OWN, OTHER = "#c2410c", "#64748b"
"""Colours of Bittern and of everything else."""

STYLE: Any = {
    "backend": "svg",
    "svg.hashsalt": "bittern",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def save(figure: Figure, path: Path, bottom: float = 0.0) -> None:
    """``bottom``: the share of the height that a legend of the figure needs."""
    figure.tight_layout(rect=(0, bottom, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
