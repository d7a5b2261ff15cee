"""Tables of single kernels: each instruction set's, and where one overtakes another."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import ChoiceRow, KernelRow, read
from benchmarks.tables.markdown import caption, section, table


def sections(folder: Path) -> list[str]:
    return [_kernels(read(folder / "kernels.csv", KernelRow)), _choices(read(folder / "choices.csv", ChoiceRow))]


def _kernels(rows: Sequence[KernelRow]) -> str:
    """One column an implementation: microseconds, and MAC or values a cycle where the clock was measured."""
    if not rows:
        return ""
    names = list(dict.fromkeys(row.kernel for row in rows))
    found = {(row.family, row.case, row.output, row.kernel): row for row in rows}
    lines = []
    for case in dict.fromkeys((row.family, row.case, row.output) for row in rows):
        cells = []
        for name in names:
            row = found.get((*case, name))
            rate = f" ({row.per_cycle:.0f})" if row is not None and row.per_cycle else ""
            cells.append("-" if row is None else f"{row.microseconds:.1f}{rate}")
        lines.append([*case, *cells])
    header = ["family", "case", "output", *(f"{name} us (per cycle)" for name in names)]
    text = f"{caption(rows)} The shortest of many calls of one kernel, not a median; no spread."
    return section("Kernels by instruction set", text, table(header, lines))


def _choices(rows: Sequence[ChoiceRow]) -> str:
    if not rows:
        return ""
    ratios = {(row.kernel, row.words, row.filters, row.pixels): row.conv2d_us / row.other_us for row in rows}
    pixels = sorted({row.pixels for row in rows})
    header = ["kernel", "words", "filters", *(f"{count} pixels" for count in pixels)]
    lines = [
        [kernel, str(words), str(filters), *(f"{ratios[kernel, words, filters, count]:.2f}" for count in pixels)]
        for kernel, words, filters in dict.fromkeys((row.kernel, row.words, row.filters) for row in rows)
    ]
    text = (
        f"{caption(rows)} Time of conv2d over time of the instruction set's other kernel, including the conversion of "
        "weights and input to its form. The shortest of many calls."
    )
    return section("Which of two kernels", text, table(header, lines))
