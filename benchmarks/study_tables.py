"""Tables of where the time of networks goes, of what multiply-accumulates tell, and of the proof."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import study
from benchmarks.markdown import Cells, table, where
from benchmarks.results import ProofRow, SplitRow, StudyRow, read
from benchmarks.study import NO_SHORTCUTS, ONES, ZEROS


def sections(folder: Path) -> list[str]:
    """Every section that has a CSV file."""
    study_rows = read(folder / "macs.csv", StudyRow)
    splits = read(folder / "macs-split.csv", SplitRow)
    return [
        _splits(read(folder / "networks-split.csv", SplitRow)),
        _proof(read(folder / "proof.csv", ProofRow)),
        _macs(study_rows, splits),
        _costs(study_rows, splits),
        _accuracy(study_rows),
    ]


def _splits(rows: Sequence[SplitRow]) -> str:
    if not rows:
        return ""
    header = ["network", "ms", "binary kernels", "stem", "other float", "head", "glue", "outside binary kernels"]
    lines = []
    for row in rows:
        parts = (row.binary_ms, row.stem_ms, row.middle_ms, row.head_ms, row.glue_ms)
        outside = row.total_ms - row.binary_ms
        cells = [f"{part / row.total_ms:.1%}" for part in (*parts, outside)]
        lines.append([row.network, f"{row.total_ms:.2f}", *cells])
    text = "Shares of the time of all nodes, one thread. Wanted of large networks: below 40 % outside binary kernels."
    return f"### Where the time of networks goes\n\n{where(rows)} {text}\n\n{table(header, lines)}"


def _proof(rows: Sequence[ProofRow]) -> str:
    if not rows:
        return ""
    header = ["network", "images", "packed nodes", "unpacked", "fallbacks", "bits compared", "floats compared"]
    header += ["differ from references", "bits that differ from PyTorch", "largest margin", "same class", "proven"]
    lines: list[Cells] = []
    for row in rows:
        if row.status:
            lines.append([row.network, row.status, *["-"] * (len(header) - 2)])
            continue
        counts = (row.images, row.packed, row.unpacked, row.fallbacks, row.bits, row.floats)
        differ = (row.reference_differences, row.model_differences)
        cells = [row.network, *(f"{count:,}" for count in (*counts, *differ))]
        same = f"{row.equal_predictions} of {row.images}"
        lines.append([*cells, f"{row.margin:.1e}", same, "yes" if row.passed else "NO"])
    text = (
        "Random weights, full size. Every output of every operator of Bittern in the engine is compared with the "
        "operator's reference on the same inputs, where nothing may differ, and with the network in PyTorch, where "
        "bits may differ that lie within rounding error of their threshold (margin: how far, as a share of the layer's "
        "largest value), and all that follows from them."
    )
    isas = ", ".join(dict.fromkeys(row.isa for row in rows if row.isa))
    return f"### Proof\n\n{where(rows)} Engine: {isas}. {text}\n\n{table(header, lines)}"


def _macs(rows: Sequence[StudyRow], splits: Sequence[SplitRow]) -> str:
    own = study.own(rows)
    if not own:
        return ""
    costs, by_name = study.mac_costs(own), {split.network: split for split in splits}
    header = ["network", "ms", "spread", "binary MMAC", "float MMAC", "binary", "stem", "other float", "head", "glue"]
    header += ["GMAC/s in binary kernels", "binary GMAC/s overall", "from MACs alone ms", "error"]
    header += ["predicted ms", "error"]
    lines = []
    for row in sorted(own, key=lambda row: row.median_ms):
        split = by_name.get(row.network)
        cells = [row.network, f"{row.median_ms:.2f}", f"{(row.high_ms - row.low_ms) / row.median_ms:.1%}"]
        cells += [f"{row.binary_macs * 1e-6:.0f}", f"{row.float_macs * 1e-6:.0f}"]
        if split is None:
            cells += ["-"] * 6
        else:
            parts = (split.binary_ms, split.stem_ms, split.middle_ms, split.head_ms, split.glue_ms)
            cells += [f"{part / split.total_ms:.0%}" for part in parts]
            cells.append(f"{study.binary_rate(row, split):.0f}")
        cells.append(f"{row.binary_macs / row.median_ms * 1e-6:.0f}")
        for guess in (study.from_macs(row, costs), row.predicted_ms):
            cells += [f"{guess:.2f}", f"{guess / row.median_ms - 1:+.0%}"]
        lines.append(cells)
    return f"### MACs against latency\n\n{where(own)} {_fit(own, costs)}\n\n{table(header, lines)}"


def _fit(own: Sequence[StudyRow], costs: tuple[float, float]) -> str:
    if len(own) < 3:
        return "One thread."
    rates = ["infinitely many" if cost == 0 else f"{1e-6 / cost:.1f}" for cost in costs]
    times = [row.median_ms for row in own]
    guesses = {
        "the number of all MACs": [float(row.binary_macs + row.float_macs) for row in own],
        "that fit": [study.from_macs(row, costs) for row in own],
        "`bittern inspect`'s prediction": [row.predicted_ms for row in own],
    }
    ranks = "; ".join(f"{name} {study.rank_correlation(guess, times):.2f}" for name, guess in guesses.items())
    worst = [
        f"{max(max(a / b, b / a) for a, b in zip(guess, times, strict=True)):.1f}" for guess in [*guesses.values()][1:]
    ]
    return (
        f"One thread. From MACs alone: the best fit over all networks with one rate for binary and one for float MACs, "
        f"which are {rates[0]} and {rates[1]} GMAC/s; it errs by a factor of up to {worst[0]}, `bittern inspect`'s "
        f"prediction by up to {worst[1]}. Rank correlations with the latency: {ranks}."
    )


def _costs(rows: Sequence[StudyRow], splits: Sequence[SplitRow]) -> str:
    own = study.own(rows)
    if not any(row.variant for row in rows) or not own:
        return ""
    by_name = {split.network: split for split in splits}
    header = ["network", "ms", "without shortcuts ms", "shortcuts cost", "padded with zeros ms", "with ones ms"]
    header += ["zeros cost", "stem ms", "stem's share"]
    lines = []
    for row in sorted(own, key=lambda row: row.median_ms):
        bare = study.variant(rows, row.network, NO_SHORTCUTS)
        zeros, ones = (study.variant(rows, row.network, name) for name in (ZEROS, ONES))
        cells = [row.network, f"{row.median_ms:.2f}"]
        cells += ["-", "-"] if bare is None or bare is row else [f"{bare.median_ms:.2f}", _more(row, bare)]
        if zeros is None or ones is None or zeros is ones:
            cells += ["-", "-", "-"]
        else:
            cells += [f"{zeros.median_ms:.2f}", f"{ones.median_ms:.2f}", _more(zeros, ones)]
        split = by_name.get(row.network)
        share = split.stem_ms / split.total_ms if split else 0.0
        cells += [f"{share * row.median_ms:.2f}", f"{share:.0%}"] if split else ["-", "-"]
        lines.append(cells)
    text = (
        "Without shortcuts: every sum of two activations becomes the one with more binary layers behind it; what only "
        "the other needed, such as convolutions of a shortcut, goes too, and layers then give bits alone. Zeros, ones: "
        "what the border of the binary convolutions holds. `-`: there is nothing to change."
    )
    return f"### What shortcuts, padding and the stem cost\n\n{where(own)} {text}\n\n{table(header, lines)}"


def _more(row: StudyRow, base: StudyRow) -> str:
    return f"{row.median_ms / base.median_ms - 1:+.1%}"


def _accuracy(rows: Sequence[StudyRow]) -> str:
    found = [row for row in study.measured(rows) if row.top1]
    if not found:
        return ""
    lines: list[Cells] = []
    for row in found:
        better = study.beaten_by(row, found)
        name = "" if better is None else f"{better.network}, {better.precision}, {better.engine}"
        cells = [row.network, row.precision, row.engine, f"{row.top1:.1f} %", f"{row.median_ms:.2f}"]
        lines.append([*cells, f"{(row.high_ms - row.low_ms) / row.median_ms:.1%}", name])
    failed = [row for row in rows if row.status and not row.variant]
    lines += [[row.network, row.precision, row.engine, f"{row.top1:.1f} %", row.status, "-", "-"] for row in failed]
    header = ["network", "precision", "engine", "published top-1", "ms", "spread", "beaten by"]
    text = "Top-1 on ImageNet as published, of weights that are not here; one thread. Beaten by: the fastest of those "
    text += "that are faster and at least as accurate."
    return f"### Accuracy against latency\n\n{where(found)} {text}\n\n{table(header, lines)}"
