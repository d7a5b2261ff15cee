"""Plots of speed: a roofline of the layers, rates of layers, and what networks cost."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.measure.layer_times import FLOATS, INT8S, PACKED
from benchmarks.measure.layers import GROUPS, TITLES
from benchmarks.rows import LayerRow, MacsRow, MemoryRow, SplitRow, cpu_title, read
from benchmarks.tables import costs, frontier
from benchmarks.tables.figure import OTHER, OWN, STYLE, save
from benchmarks.tables.layers import layer_rows


def draw(folder: Path) -> None:
    """Writes all plots of one CPU beside its CSV files."""
    with plt.rc_context(STYLE):
        for file, draw_one in plots(folder).items():
            draw_one(folder / file)


def plots(folder: Path) -> dict[str, Callable[[Path], None]]:
    """Name of the SVG file -> what draws it, for everything that there are rows of."""
    cpu = cpu_title(folder.name)
    layers = [row for group in GROUPS for row in layer_rows(folder, group)]
    memory, key = read(folder / "memory.csv", MemoryRow), layer_rows(folder, "3x3")
    own = sorted(costs.own(read(folder / "macs.csv", MacsRow)), key=lambda row: row.median_ms)
    splits = {split.network: split for split in read(folder / "macs-split.csv", SplitRow)}
    found: dict[str, Callable[[Path], None]] = {}
    if key:
        found["layers.svg"] = partial(_layers, cpu, key)
    if memory and any(row.column == PACKED and not row.status for row in layers):
        found["roofline.svg"] = partial(_roofline, cpu, layers, memory)
    entries = frontier.frontier(folder)
    if entries:
        found["frontier.svg"] = partial(frontier.draw, entries)
    if own:
        found["macs.svg"] = partial(_macs, cpu, own)
    if own and splits:
        found["split.svg"] = partial(_split, cpu, [row for row in own if row.network in splits], splits)
    return found


def _roofline(cpu: str, rows: Sequence[LayerRow], memory: Sequence[MemoryRow], path: Path) -> None:
    """MAC/cycle over MAC/byte. The slopes are rates of copying within a footprint."""
    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    own = [row for row in rows if row.column == PACKED and not row.status]
    all_bounds = {row.column: row.per_cycle for row in rows if row.column.startswith("bound ") and not row.status}
    used = next(iter(all_bounds), "").split()[1:2]  # the instruction set that Bittern chooses stands first
    bounds = {name: rate for name, rate in all_bounds.items() if name.split()[1:2] == used}
    for group in GROUPS:
        points = [row for row in own if row.group == group]
        if points:
            axes.scatter(
                [row.macs / row.bytes for row in points], [row.per_cycle for row in points], s=18, label=TITLES[group]
            )
    for name, rate in bounds.items():
        axes.axhline(rate, color="0.3", linewidth=1)
        axes.annotate(f"{name}: {rate:.0f}", (0.01, rate), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    left = min(row.macs / row.bytes for row in own) / 1.5
    right = max(row.macs / row.bytes for row in own) * 1.5
    bottom, top = min(row.per_cycle for row in own) / 2, 1.6 * max([*(row.per_cycle for row in own), *bounds.values()])
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
    axes.set(xscale="log", yscale="log", xlabel="MAC per byte moved", ylabel="MAC per cycle", title=cpu)
    axes.legend(fontsize=8, loc="lower right")
    save(figure, path)


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], unit: str) -> None:
    places = range(len(names))
    bars = axes.barh(places, values, color=[OWN if name == "Bittern" else OTHER for name in names])
    axes.bar_label(bars, [f"{value:.3g} {unit}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.margins(x=0.15)


def _layers(cpu: str, rows: Sequence[LayerRow], path: Path) -> None:
    """MAC/cycle of the fastest column of each kind, layers A to D."""
    layers = list(dict.fromkeys(row.layer for row in rows))
    figure, axes = plt.subplots(figsize=(7.2, 1.0 + 1.1 * len(layers)), nrows=len(layers), sharex=True, squeeze=False)
    for panel, layer in zip(axes[:, 0], layers, strict=True):
        here = {row.column: row for row in rows if row.layer == layer and not row.status}
        kinds = [("Bittern", (PACKED,)), ("best int8", INT8S), ("best float", FLOATS)]
        found = [(text, [here[name].per_cycle for name in names if name in here]) for text, names in kinds]
        _bars(panel, [text for text, values in found if values], [max(v) for _, v in found if v], "MAC/cycle")
        panel.set_title(layer, loc="left", fontsize=9)
    figure.suptitle(cpu, fontsize=9)
    save(figure, path)


def _macs(cpu: str, order: Sequence[MacsRow], path: Path) -> None:
    """Predicted over measured latency: by multiply-accumulates alone, and by `bittern inspect`."""
    rates = costs.mac_costs(order)
    figure, axes = plt.subplots(figsize=(7.2, 1.1 + 0.26 * len(order)))
    guesses = [("from MACs alone", OTHER, [costs.from_macs(row, rates) for row in order])]
    guesses.append(("by bittern inspect", OWN, [row.predicted_ms for row in order]))
    for text, color, guess in guesses:
        ratios = [each / row.median_ms for each, row in zip(guess, order, strict=True)]
        axes.plot(ratios, range(len(order)), "o", color=color, label=text, markersize=6)
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set(title=f"{cpu}, one thread", xlabel="latency predicted / measured")
    _rows_of(axes, order)
    axes.legend(fontsize=8)
    save(figure, path)


def _rows_of(axes: Axes, order: Sequence[MacsRow]) -> None:
    axes.set_yticks(range(len(order)), [f"{row.network}, {row.median_ms:.3g} ms" for row in order])
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", color="0.92")
    axes.set_axisbelow(True)


def _split(cpu: str, order: Sequence[MacsRow], splits: dict[str, SplitRow], path: Path) -> None:
    """Shares of the latency, one bar a network."""
    figure, axes = plt.subplots(figsize=(7.2, 1.5 + 0.26 * len(order)))
    colors = {"binary kernels": OWN, "stem": "#1e293b", "other float": OTHER, "head": "#cbd5e1", "glue": "#facc15"}
    shares = [[100 * part / splits[row.network].total_ms for part in splits[row.network].parts] for row in order]
    left = [0.0] * len(order)
    for (text, color), widths in zip(colors.items(), zip(*shares, strict=True), strict=True):
        axes.barh(range(len(order)), widths, left=left, color=color, label=text)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set(title=f"{cpu}, one thread", xlabel="% of the time", xlim=(0, 100))
    _rows_of(axes, order)
    figure.legend(fontsize=8, ncols=len(colors), loc="lower center")
    save(figure, path, bottom=0.4 / figure.get_figheight())
