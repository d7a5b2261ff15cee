"""Tables of what multiply-accumulates tell about latency, and what shortcuts, padding and the stem cost."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import NO_SHORTCUTS, ONES, ZEROS, MacsRow, SplitRow, read
from benchmarks.tables import costs
from benchmarks.tables.markdown import caption, section, table


def sections(folder: Path) -> list[str]:
    rows = read(folder / "macs.csv", MacsRow)
    splits = {split.network: split for split in read(folder / "macs-split.csv", SplitRow)}
    own = sorted(costs.own(rows), key=lambda row: row.median_ms)
    return [_macs(own, splits), _variants(rows, own, splits)] if own else []


def _macs(own: Sequence[MacsRow], splits: dict[str, SplitRow]) -> str:
    rates = costs.mac_costs(own)
    header = ["network", "ms", "spread", "binary MMAC", "float MMAC", "binary", "stem", "other float", "head", "glue"]
    header += ["GMAC/s in binary kernels", "binary GMAC/s overall", "from MACs alone ms", "error"]
    header += ["predicted ms", "error"]
    lines = []
    for row in own:
        split = splits.get(row.network)
        cells = [row.network, f"{row.median_ms:.2f}", f"{row.spread:.1%}"]
        cells += [f"{row.binary_macs * 1e-6:.0f}", f"{row.float_macs * 1e-6:.0f}"]
        cells += [f"{part / split.total_ms:.0%}" for part in split.parts] if split else ["-"] * 5
        cells.append(f"{costs.binary_rate(row, split):.0f}" if split else "-")
        cells.append(f"{row.binary_macs / row.median_ms * 1e-6:.0f}")
        for guess in (costs.from_macs(row, rates), row.predicted_ms):
            cells += [f"{guess:.2f}", f"{guess / row.median_ms - 1:+.0%}"]
        lines.append(cells)
    return section("MACs against latency", f"{caption(own)} {_fit(own, rates)}", table(header, lines))


def _fit(own: Sequence[MacsRow], rates: tuple[float, float]) -> str:
    if len(own) < 3:
        return "One thread."
    binary, real = ("infinitely many" if cost == 0 else f"{1e-6 / cost:.1f}" for cost in rates)
    times = [row.median_ms for row in own]
    guesses = {
        "the number of all MACs": [float(row.binary_macs + row.float_macs) for row in own],
        "that fit": [costs.from_macs(row, rates) for row in own],
        "`bittern inspect`'s prediction": [row.predicted_ms for row in own],
    }
    ranks = "; ".join(f"{name} {costs.rank_correlation(guess, times):.2f}" for name, guess in guesses.items())
    fit, prediction = (
        max(max(a / b, b / a) for a, b in zip(guess, times, strict=True)) for guess in [*guesses.values()][1:]
    )
    return (
        f"One thread. From MACs alone: the best fit over all networks with one rate for binary and one for float MACs, "
        f"which are {binary} and {real} GMAC/s; it is wrong by a factor of up to {fit:.1f}, `bittern inspect`'s "
        f"prediction by up to {prediction:.1f}. Rank correlations with the latency: {ranks}."
    )


def _variants(rows: Sequence[MacsRow], own: Sequence[MacsRow], splits: dict[str, SplitRow]) -> str:
    if not any(row.variant for row in rows):
        return ""
    header = ["network", "ms", "without shortcuts ms", "shortcuts cost", "padded with zeros ms", "with ones ms"]
    header += ["zeros cost", "stem ms", "stem's share"]
    lines = []
    for row in own:
        bare, zeros, ones = (costs.variant(rows, row.network, name) for name in (NO_SHORTCUTS, ZEROS, ONES))
        cells = [row.network, f"{row.median_ms:.2f}"]
        cells += ["-", "-"] if bare is None or bare is row else [f"{bare.median_ms:.2f}", _more(row, bare)]
        if zeros is None or ones is None or zeros is ones:
            cells += ["-", "-", "-"]
        else:
            cells += [f"{zeros.median_ms:.2f}", f"{ones.median_ms:.2f}", _more(zeros, ones)]
        split = splits.get(row.network)
        share = split.stem_ms / split.total_ms if split else 0.0
        cells += [f"{share * row.median_ms:.2f}", f"{share:.0%}"] if split else ["-", "-"]
        lines.append(cells)
    text = (
        f"{caption(own)} Without shortcuts: every sum of two activations becomes the one with more binary layers in "
        "front of it; what only the other one needed, such as convolutions of a shortcut, disappears too, and layers "
        "then write bits alone. Zeros, ones: what the border of the binary convolutions holds. `-`: nothing to change."
    )
    return section("What shortcuts, padding and the stem cost", text, table(header, lines))


def _more(row: MacsRow, base: MacsRow) -> str:
    return f"{row.median_ms / base.median_ms - 1:+.1%}"
