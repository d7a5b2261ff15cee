"""Tables of layers: Bittern's times and every rival as a ratio to them."""

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measure.layer_times import BINARIES, BOUND, FLOAT_IN, FLOATS, INT8S, PACKED, TWO_THREADS
from benchmarks.measure.layers import GROUPS, NEIGHBOURS, TITLES, WHY
from benchmarks.rows import LayerRow, read
from benchmarks.tables.markdown import Cells, caption, caption_of_engines, section, table

Columns = dict[str, LayerRow]
"""The rows of one layer by column."""


def layer_rows(folder: Path, group: str) -> list[LayerRow]:
    return read(folder / f"layers-{group}.csv", LayerRow)


def sections(folder: Path) -> list[str]:
    """A summary and a section for each group that was measured."""
    found = [(group, rows) for group in GROUPS if (rows := layer_rows(folder, group))]
    return [
        _summary(folder),
        *(_neighbours(rows) if group == NEIGHBOURS else _group(rows, TITLES[group]) for group, rows in found),
    ]


def key_ratios(folder: Path) -> dict[str, float]:
    """Geometric means over the four 3x3 layers of ResNet-18: how many times faster Bittern is, and shares of bounds."""
    layers = list(_by_layer(layer_rows(folder, "3x3")).values())
    first = layers[0] if layers else {}
    pairs: dict[str, tuple[str, Sequence[str]]] = {
        "packed in, times faster than the best float": (PACKED, FLOATS),
        "packed in, times faster than the best int8": (PACKED, INT8S),
        "float in, times faster than the best float": (FLOAT_IN, FLOATS),
    }
    for name in [name for name in first if _is_own(name) and name != FLOAT_IN]:
        for bound in _bounds_of(first, name):
            pairs[f"{name}, share of {bound.column}"] = (name, [bound.column])
    ratios = {text: _mean_ratio(layers, own, others) for text, (own, others) in pairs.items()}
    return {text: ratio for text, ratio in ratios.items() if ratio is not None}


def _mean_ratio(layers: Sequence[Columns], own: str, others: Sequence[str]) -> float | None:
    """Time of the fastest of ``others`` over that of ``own``; None if a layer lacks either."""
    ratios = []
    for columns in layers:
        rivals, mine = _measured(columns, others), _measured(columns, [own])
        if not rivals or not mine:
            return None
        ratios.append(min(row.median_us for row in rivals) / mine[0].median_us)
    return geometric_mean(ratios) if ratios else None


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def _summary(folder: Path) -> str:
    ratios = key_ratios(folder)
    if not ratios:
        return ""
    text = "Layers A to D, the 3x3 layers of ResNet-18, geometric means of the ratios."
    lines = [[name, f"{ratio:.2f}"] for name, ratio in ratios.items()]
    return section("Summary", text, table(["Bittern", "ratio"], lines))


def _by_layer(rows: Iterable[LayerRow]) -> dict[str, Columns]:
    layers: dict[str, Columns] = {}
    for row in rows:
        layers.setdefault(row.layer, {})[row.column] = row
    return layers


def _measured(columns: Columns, names: Iterable[str]) -> list[LayerRow]:
    return [columns[name] for name in names if name in columns and not columns[name].status]


def _bounds_of(columns: Columns, column: str) -> list[LayerRow]:
    """The bounds of the instruction set that `column` runs: the one it names, or the first, which Bittern chooses."""
    names = [name.removeprefix(f"{BOUND} ") for name in columns if name.startswith(f"{BOUND} ")]
    isa = column.removeprefix(f"{PACKED}, ") if column != PACKED else next(iter(names), "")
    return _measured(columns, [f"{BOUND} {name}" for name in names if name.split()[0] == isa])


def _is_own(name: str) -> bool:
    return name == PACKED or name.startswith(f"{PACKED}, ")


def _group(rows: Sequence[LayerRow], title: str) -> str:
    """Every column beside Bittern: beside "float in" where it reads floats and binarizes them itself."""
    layers = _by_layer(rows)
    names = list(dict.fromkeys(row.column for row in rows))
    forced = [name for name in names if _is_own(name) and name not in (PACKED, FLOAT_IN)]
    rivals = [name for name in names if not _is_own(name) and not name.startswith(BOUND)]
    header = ["layer", "Bittern us", "spread", "MAC/cycle", "of bound", "float in us"]
    header += [text for name in forced for text in (f"{name.removeprefix(PACKED + ', ')} us", "of its bound")]
    header += [f"{name}{' *' if name in BINARIES else ''}" for name in rivals]
    ratios: dict[str, list[float]] = {name: [] for name in rivals}
    lines: list[Cells] = []
    for layer, columns in layers.items():
        own, float_in = columns[PACKED], columns.get(FLOAT_IN)
        cells = [layer, _us(own), *_rate(own), _share(columns, PACKED), _us(float_in)]
        for name in forced:
            cells += [_us(columns.get(name)), _share(columns, name)]
        for name in rivals:
            row, base = columns.get(name), float_in if name in BINARIES else own
            if row is None or row.status or base is None or base.status:
                cells.append((row.status if row else "") or "-")
                continue
            ratios[name].append(row.median_us / base.median_us)
            cells.append(f"{ratios[name][-1]:.1f}x")
        lines.append(cells)
    if len(layers) > 1:
        means = [f"{geometric_mean(values):.1f}x" if values else "-" for values in ratios.values()]
        lines.append(["geometric mean", *[""] * (len(header) - 1 - len(rivals)), *means])
    return section(title, caption_of_engines(rows, rivals), table(header, lines))


def _neighbours(rows: Sequence[LayerRow]) -> str:
    """Each layer beside the first, from which it differs as its name says."""
    own = [row for row in rows if row.column == PACKED and not row.status]
    two = {row.layer: row.median_us for row in rows if row.column == TWO_THREADS and not row.status}
    header = ["layer", "Bittern us", "spread", "MAC/cycle", "to the first", "2 threads", "why"]
    lines: list[Cells] = []
    for row in own:
        cells = [row.layer, _us(row), *_rate(row), f"{row.per_cycle / own[0].per_cycle:.2f}"]
        cells.append(f"{row.median_us / two[row.layer]:.2f}x" if row.layer in two else "-")
        lines.append([*cells, WHY.get(row.layer, "")])
    return section(TITLES[NEIGHBOURS], caption(rows), table(header, lines))


def _us(row: LayerRow | None) -> str:
    return "-" if row is None else row.status or f"{row.median_us:.1f}"


def _rate(row: LayerRow) -> list[str]:
    return ["-", "-"] if row.status else [f"{row.spread:.1%}", f"{row.per_cycle:.0f}"]


def _share(columns: Columns, name: str) -> str:
    """Of the fastest loop of its instruction set."""
    row, bounds = columns.get(name), _bounds_of(columns, name)
    return "-" if row is None or row.status or not bounds else f"{min(b.median_us for b in bounds) / row.median_us:.2f}"
