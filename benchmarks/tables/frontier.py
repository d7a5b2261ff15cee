"""The honest frontier: published accuracy against latency, binary networks beside the strongest int8 and float ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from benchmarks.measure.macs import PUBLISHED
from benchmarks.rows import MacsRow, cpu_title, read
from benchmarks.tables.costs import dominated_by, measured
from benchmarks.tables.figure import OTHER, OWN, save
from benchmarks.tables.markdown import Cells, caption, section, table


@dataclass(frozen=True)
class Frontier:
    """``entries``: every network and precision in its fastest engine, fastest first, on one thread of one CPU."""

    cpu: str
    entries: tuple[MacsRow, ...]

    @property
    def undominated(self) -> list[MacsRow]:
        """The frontier: entries beside which no other is both faster and at least as accurate."""
        return [row for row in self.entries if dominated_by(row, self.entries) is None]

    @property
    def missing(self) -> list[str]:
        """Rivals that were not measured on this CPU."""
        return [name for name in PUBLISHED if name not in {row.network for row in self.entries}]


def frontier(folder: Path) -> Frontier | None:
    """None where no binary network was measured."""
    rows = [row for row in measured(read(folder / "macs.csv", MacsRow)) if row.top1]
    if not any(row.precision == "binary" for row in rows):
        return None
    fastest = {(row.network, row.precision): row for row in reversed(rows)}
    entries = sorted(fastest.values(), key=lambda row: row.median_ms)
    return Frontier(cpu_title(folder.name), tuple(entries))


def verdict(found: Frontier) -> str:
    """Who wins, in sentences made of the rows."""
    binary = [row for row in found.entries if row.precision == "binary"]
    winners = [row for row in found.undominated if row.precision == "binary"]
    if winners:
        listed = _listed([f"{name(row)} ({_figures(row)})" for row in winners])
        text = f"{len(winners)} of {len(binary)} binary networks are on the frontier: {listed}."
    else:
        row = min(binary, key=lambda row: row.median_ms / _rival(row, found).median_ms)
        rival = _rival(row, found)
        text = f"no binary network is on the frontier: for each of the {len(binary)}, another network is faster and at "
        text += f"least as accurate. The closest is {name(row)} ({_figures(row)}), beaten by {name(rival)} in "
        text += f"{rival.engine} ({_figures(rival)})."
    if found.missing:
        text += f" Rivals that were not measured there and may change that: {_listed(found.missing)}."
    return f"On {found.cpu}, {text}"


def _rival(row: MacsRow, found: Frontier) -> MacsRow:
    rival = dominated_by(row, found.entries)
    return row if rival is None else rival


def name(row: MacsRow) -> str:
    return row.network if row.precision == "binary" else f"{row.precision} {row.network}"


def _figures(row: MacsRow) -> str:
    return f"{row.median_ms:.2f} ms, {row.top1:.1f} %"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def frontier_table(found: Frontier, *, short: bool = False) -> str:
    """What is undominated, and every binary network; ``short``: those alone that no other binary network beats."""
    binary = [row for row in found.entries if row.precision == "binary"]
    shown = [row for row in binary if not short or dominated_by(row, binary) is None]
    lines: list[Cells] = []
    for row in found.entries:
        better = dominated_by(row, found.entries)
        if better is None or row in shown:
            beaten = "-" if better is None else f"{name(better)}, {better.engine} ({_figures(better)})"
            cells = [row.network, row.precision, row.engine, f"{row.top1:.1f} %", f"{row.median_ms:.2f}"]
            lines.append([f"**{cell}**" if better is None else cell for cell in cells] + [beaten])
    return table(["network", "precision", "fastest engine", "published top-1", "ms", "beaten by"], lines)


def sections(folder: Path) -> list[str]:
    """The frontier, then every engine."""
    found = frontier(folder)
    if found is None:
        return []
    rows = read(folder / "macs.csv", MacsRow)
    measured_rows = [row for row in measured(rows) if row.top1]
    lines: list[Cells] = [
        [row.network, row.precision, row.engine, f"{row.top1:.1f} %", f"{row.median_ms:.2f}", f"{row.spread:.1%}"]
        for row in measured_rows
    ]
    failed = [row for row in rows if row.status and not row.variant]
    lines += [[row.network, row.precision, row.engine, f"{row.top1:.1f} %", row.status, "-"] for row in failed]
    text = (
        "Top-1 accuracy on ImageNet as published, of weights that are not here; one thread, 224x224, batch 1. Nobody "
        "published the int8 accuracy of the narrow MobileNetV2s; their float accuracy stands in, which favours them."
    )
    every = table(["network", "precision", "engine", "published top-1", "ms", "spread"], lines)
    return [
        section("Accuracy against latency", f"{caption(measured_rows)} {verdict(found)} {text}", frontier_table(found)),
        section("The same in every engine", caption(measured_rows), every),
    ]


def draw(found: Frontier, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9.6, 6.4))
    times, accuracies = ([getattr(row, field) for row in found.undominated] for field in ("median_ms", "top1"))
    axes.step(times, accuracies, where="post", color="0.75", zorder=1)
    for precision, (marker, color, text) in _STYLES.items():
        group = [row for row in found.entries if row.precision == precision]
        places = [row.median_ms for row in group], [row.top1 for row in group]
        axes.scatter(*places, marker=marker, color=color, label=text, s=32, zorder=2)
    axes.set(xlabel="milliseconds an image, one thread", ylabel="published top-1, %", title=found.cpu, xscale="log")
    axes.margins(x=0.12, y=0.06)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="0.94")
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    _label(axes, found)
    save(figure, path)


_STYLES = {
    "binary": ("o", OWN, "binary, in Bittern"),
    "int8": ("s", "#1e293b", "int8, fastest engine"),
    "float": ("^", OTHER, "float32, fastest engine"),
}
"""Precision -> marker, colour, text."""

_PLACES = [(5, 0), (-5, 0), (0, 8), (0, -8), *((x, y) for y in (7, -7, 13, -13) for x in (5, -5, 0))]
"""Offsets of a name from its point, in typographic points: to the right, to the left, above, below ..."""


def _label(axes: Axes, found: Frontier) -> None:
    """Names beside their points, each at the first of several places where it covers nothing else."""
    to_pixels = axes.transData.transform
    points = [to_pixels((row.median_ms, row.top1)) for row in found.entries]
    taken = [Bbox([point, point]).padded(4) for point in points]
    for left, right in pairwise(found.undominated):
        corner = to_pixels((right.median_ms, left.top1))
        taken += [Bbox([to_pixels((left.median_ms, left.top1)), corner]).padded(1)]
        taken += [Bbox([corner, to_pixels((right.median_ms, right.top1))]).padded(1)]
    for row in found.entries:
        color = _STYLES[row.precision][1]
        text = row.network if row.precision == "binary" else f"{row.network}, {row.precision}"
        for dx, dy in _PLACES:
            side = "left" if dx > 0 else "right" if dx < 0 else "center"
            place: Any = {"textcoords": "offset points", "ha": side, "va": "center"}
            label = axes.annotate(text, (row.median_ms, row.top1), (dx, dy), fontsize=7, color=color, **place)
            box = label.get_window_extent()
            inside = axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1
            if (inside and not any(box.overlaps(other) for other in taken)) or (dx, dy) == _PLACES[-1]:
                taken.append(box)
                break
            label.remove()
