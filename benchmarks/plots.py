"""Plots of the CSV files: a roofline of the layers, latencies of networks and layers, and what networks cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks import study
from benchmarks.figure import STYLE, save
from benchmarks.kernels import FLOATS, INT8S, PACKED, csv_path
from benchmarks.layers import GROUPS, TITLES
from benchmarks.results import LayerRow, MemoryRow, NetworkRow, SplitRow, StudyRow, layer_rows, read
from benchmarks.tables import per_cycle

_OWN, _OTHER = "#c2410c", "#64748b"


def draw(folder: Path) -> None:
    """Writes an SVG file for everything that there are rows of."""
    with plt.rc_context(STYLE):
        layers = layer_rows(folder, GROUPS)
        memory = read(folder / "memory.csv", MemoryRow)
        if any(row.column == PACKED and not row.status for row in layers) and memory:
            _roofline(folder / "roofline.svg", layers, memory)
        key = read(csv_path(folder, "3x3"), LayerRow)
        if key:
            _layers(folder / "layers.svg", key)
        networks = [row for row in read(folder / "networks.csv", NetworkRow) if row.threads == 1 and not row.status]
        if networks:
            _networks(folder / "networks.svg", networks)
        rows = read(folder / "macs.csv", StudyRow)
        splits = {split.network: split for split in read(folder / "macs-split.csv", SplitRow)}
        if study.own(rows):
            _macs(folder / "macs.svg", study.own(rows))
            _accuracy(folder / "accuracy.svg", [row for row in study.measured(rows) if row.top1])
        if splits:
            _split(folder / "split.svg", [row for row in study.own(rows) if row.network in splits], splits)


def _roofline(path: Path, rows: Sequence[LayerRow], memory: Sequence[MemoryRow]) -> None:
    """MAC/cycle over MAC/byte. The slopes are rates of copying within a footprint."""
    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    own = [row for row in rows if row.column == PACKED and not row.status]
    all_bounds = {row.column: per_cycle(row) for row in rows if row.column.startswith("bound ") and not row.status}
    used = next(iter(all_bounds), "").split()[1:2]  # the instruction set that Bittern chooses stands first
    bounds = {name: rate for name, rate in all_bounds.items() if name.split()[1:2] == used}
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
    labelled: list[float] = []  # rates that have a label; equal ones would hide each other
    for slope in memory:
        axes.plot([left, right], [x * slope.bytes_per_cycle for x in (left, right)], color="0.6", ls="--", lw=1)
        x = max(left * 1.1, bottom * 1.2 / slope.bytes_per_cycle)
        near = any(abs(slope.bytes_per_cycle / rate - 1) < 0.2 for rate in labelled)
        if x < right and x * slope.bytes_per_cycle < top and not near:
            labelled.append(slope.bytes_per_cycle)
            text = f"{slope.footprint}: {slope.bytes_per_cycle:.1f} bytes/cycle"
            axes.annotate(text, (x, x * slope.bytes_per_cycle), fontsize=7, va="top")
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set(xscale="log", yscale="log", xlabel="MAC per byte moved", ylabel="MAC per cycle", title=rows[0].machine)
    axes.legend(fontsize=8, loc="lower right")
    save(figure, path)


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], unit: str) -> None:
    places = range(len(names))
    bars = axes.barh(places, values, color=[_OWN if name == "Bittern" else _OTHER for name in names])
    axes.bar_label(bars, [f"{value:.3g} {unit}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
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
    save(figure, path)


def _networks(path: Path, rows: Sequence[NetworkRow]) -> None:
    order = sorted(rows, key=lambda row: row.median_ms)
    figure, axes = plt.subplots(figsize=(7.2, 0.8 + 0.24 * len(order)))
    names = [f"{row.network}, {row.precision}, {row.engine}" for row in order]
    # Dots: the lengths of bars would mean nothing on a scale that has no zero.
    for place, row in enumerate(order):
        axes.plot(row.median_ms, place, "o", color=_OWN if row.engine == "Bittern" else _OTHER, markersize=7)
        axes.annotate(f"{row.median_ms:.3g}", (row.median_ms, place), (7, -3), textcoords="offset points", fontsize=8)
    axes.set_yticks(range(len(order)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", color="0.92")
    axes.set_axisbelow(True)
    axes.margins(x=0.12)
    axes.set(title=f"{rows[0].machine}, one thread", xlabel="milliseconds an image", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    save(figure, path)


def _macs(path: Path, rows: Sequence[StudyRow]) -> None:
    """What is predicted over what was measured: by multiply-accumulates alone, and by `bittern inspect`."""
    order, costs = sorted(rows, key=lambda row: row.median_ms), study.mac_costs(rows)
    figure, axes = plt.subplots(figsize=(7.2, 1.1 + 0.26 * len(order)))
    guesses = [("from MACs alone", _OTHER, [study.from_macs(row, costs) for row in order])]
    guesses.append(("by bittern inspect", _OWN, [row.predicted_ms for row in order]))
    for text, color, guess in guesses:
        ratios = [each / row.median_ms for each, row in zip(guess, order, strict=True)]
        axes.plot(ratios, range(len(order)), "o", color=color, label=text, markersize=6)
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set(title=f"{order[0].machine}, one thread", xlabel="latency predicted / measured")
    _rows_of(axes, order)
    axes.legend(fontsize=8)
    save(figure, path)


def _rows_of(axes: Axes, order: Sequence[StudyRow]) -> None:
    axes.set_yticks(range(len(order)), [f"{row.network}, {row.median_ms:.3g} ms" for row in order])
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", color="0.92")
    axes.set_axisbelow(True)


def _accuracy(path: Path, rows: Sequence[StudyRow]) -> None:
    """Published accuracy over latency: every network in its fastest engine. Lines join what is beaten by nobody."""
    figure, axes = plt.subplots(figsize=(9.6, 7.2))
    for color, text, binary in ((_OWN, "binary, Bittern", True), (_OTHER, "float and int8, fastest engine", False)):
        group = [row for row in rows if (row.precision == "binary") == binary]
        fastest = {(row.network, row.precision): row for row in reversed(group)}  # rows are sorted, fastest first
        for index, row in enumerate(sorted(fastest.values(), key=lambda row: (row.top1, row.median_ms))):
            name = row.network if binary else f"{row.network}, {row.precision}"
            left = index % 2  # names in turn on either side, as many points lie close together
            place: Any = {"xytext": (-6 if left else 6, -2), "ha": "right" if left else "left"}
            axes.plot(row.median_ms, row.top1, "o", color=color, markersize=5)
            axes.annotate(name, (row.median_ms, row.top1), textcoords="offset points", fontsize=7, **place)
        front = [row for row in fastest.values() if study.beaten_by(row, group) is None]
        front.sort(key=lambda row: row.median_ms)
        axes.step([row.median_ms for row in front], [row.top1 for row in front], where="post", color=color, label=text)
    axes.set(title=f"{rows[0].machine}, one thread", xlabel="milliseconds an image", ylabel="published top-1, %")
    axes.set(xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(which="both", color="0.92")
    axes.set_axisbelow(True)
    axes.margins(x=0.12)
    axes.legend(fontsize=8, loc="lower right")
    save(figure, path)


def _split(path: Path, rows: Sequence[StudyRow], splits: dict[str, SplitRow]) -> None:
    """Shares of the latency, one bar a network."""
    order = sorted(rows, key=lambda row: row.median_ms)
    found = [splits[row.network] for row in order]
    figure, axes = plt.subplots(figsize=(7.2, 1.5 + 0.26 * len(order)))
    parts = [("binary kernels", "binary_ms", _OWN), ("stem", "stem_ms", "#1e293b")]
    parts += [("other float", "middle_ms", _OTHER), ("head", "head_ms", "#cbd5e1"), ("glue", "glue_ms", "#facc15")]
    left = [0.0] * len(order)
    for text, field, color in parts:
        widths = [100 * getattr(split, field) / split.total_ms for split in found]
        axes.barh(range(len(order)), widths, left=left, color=color, label=text)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set(title=f"{order[0].machine}, one thread", xlabel="% of the time", xlim=(0, 100))
    _rows_of(axes, order)
    figure.legend(fontsize=8, ncols=len(parts), loc="lower center")
    save(figure, path, bottom=0.4 / figure.get_figheight())
