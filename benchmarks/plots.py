"""Plots of the CSV files: a roofline of the layers, and the latencies of networks and layers as ratios."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.kernels import FLOATS, INT8S, PACKED, csv_path
from benchmarks.layers import GROUPS, TITLES
from benchmarks.results import LayerRow, MemoryRow, NetworkRow, layer_rows, read
from benchmarks.tables import per_cycle

_STYLE: Any = {
    "backend": "svg",
    "svg.hashsalt": "bittern",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(folder: Path) -> None:
    """Writes an SVG file for everything that there are rows of."""
    with plt.rc_context(_STYLE):
        rows = layer_rows(folder, GROUPS)
        memory = read(folder / "memory.csv", MemoryRow)
        if any(row.column == PACKED and not row.status for row in rows) and memory:
            _roofline(folder / "roofline.svg", rows, memory)
        key = read(csv_path(folder, "3x3"), LayerRow)
        if key:
            _layers(folder / "layers.svg", key)
        networks = [row for row in read(folder / "networks.csv", NetworkRow) if row.threads == 1 and not row.status]
        if networks:
            _networks(folder / "networks.svg", networks)


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _roofline(path: Path, rows: Sequence[LayerRow], memory: Sequence[MemoryRow]) -> None:
    """MAC/cycle over MAC/byte. The slopes are rates of copying within a footprint."""
    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    own = [row for row in rows if row.column == PACKED and not row.status]
    bounds = {row.column: per_cycle(row) for row in rows if row.column.startswith("bound ") and not row.status}
    for group in GROUPS:
        points = [row for row in own if row.group == group]
        if points:
            axes.scatter(
                [row.macs / row.bytes for row in points], [per_cycle(row) for row in points], s=18, label=TITLES[group]
            )
    for name, rate in bounds.items():
        axes.axhline(rate, color="0.3", linewidth=1)
        axes.annotate(f"{name}: {rate:.0f}", (0.01, rate), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    left = min(row.macs / row.bytes for row in own) / 1.5
    right = max(row.macs / row.bytes for row in own) * 1.5
    bottom, top = min(map(per_cycle, own)) / 2, 1.6 * max([*map(per_cycle, own), *bounds.values()])
    for slope in memory:
        axes.plot([left, right], [x * slope.bytes_per_cycle for x in (left, right)], color="0.6", ls="--", lw=1)
        x = max(left * 1.1, bottom * 1.2 / slope.bytes_per_cycle)
        if x < right and x * slope.bytes_per_cycle < top:
            text = f"{slope.footprint}: {slope.bytes_per_cycle:.1f} bytes/cycle"
            axes.annotate(text, (x, x * slope.bytes_per_cycle), fontsize=7, va="top")
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set(xscale="log", yscale="log", xlabel="MAC per byte moved", ylabel="MAC per cycle", title=rows[0].machine)
    axes.legend(fontsize=8, loc="lower right")
    _save(figure, path)


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], unit: str) -> None:
    places = range(len(names))
    bars = axes.barh(places, values, color=["#c2410c" if "ittern" in name else "#64748b" for name in names])
    axes.bar_label(bars, [f"{value:.3g} {unit}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.15)


def _layers(path: Path, rows: Sequence[LayerRow]) -> None:
    """MAC/cycle of the fastest column of each kind, layers A to D."""
    layers = list(dict.fromkeys(row.layer for row in rows))
    figure, axes = plt.subplots(figsize=(7.2, 1.0 + 1.1 * len(layers)), nrows=len(layers), sharex=True, squeeze=False)
    for panel, layer in zip(axes[:, 0], layers, strict=True):
        here = {row.column: row for row in rows if row.layer == layer and not row.status}
        kinds = [("Bittern", (PACKED,)), ("best int8", INT8S), ("best float", FLOATS)]
        found = [(text, [per_cycle(here[name]) for name in names if name in here]) for text, names in kinds]
        _bars(panel, [text for text, values in found if values], [max(v) for _, v in found if v], "MAC/cycle")
        panel.set_title(layer, loc="left", fontsize=9)
    figure.suptitle(rows[0].machine, fontsize=9)
    _save(figure, path)


def _networks(path: Path, rows: Sequence[NetworkRow]) -> None:
    order = sorted(rows, key=lambda row: row.median_ms)
    figure, axes = plt.subplots(figsize=(7.2, 0.8 + 0.24 * len(order)))
    names = [f"{row.network}, {row.precision}, {row.engine}" for row in order]
    _bars(axes, names, [row.median_ms for row in order], "ms")
    axes.set(title=f"{rows[0].machine}, one thread", xlabel="ms")
    _save(figure, path)
