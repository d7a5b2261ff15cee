"""conv2d against the kernels that want operands in another form, conv2d_lookup and conv2d_pairs: what the thresholds of
the latter are chosen from."""

from dataclasses import asdict
from typing import Any

from benchmarks.driver import Worker
from benchmarks.engines.executorch import binding
from benchmarks.environments import Say
from benchmarks.results import ChoiceRow
from bittern import runtime

PIXELS = (1, 4, 8, 12, 16, 32, 49, 196)
FILTERS = (32, 48, 64, 128, 256)
WORDS = (2, 4, 8, 18, 36, 144)
"""32-bit words of a dot product: 1x1 on 64, 128 and 256 channels, 3x3 on 64, on 128 and on 512."""


def ask(worker: Worker, *, repeats: int, say: Say, machine: str, revision: str) -> list[ChoiceRow]:
    """One row a layer and instruction set; none where the set has one kernel only."""
    say("conv2d against the other kernels")
    isas = runtime.supported_isas()
    rows = worker.ask("call", module="choices", function="measure", arguments=[isas, repeats, machine, revision])
    return [ChoiceRow(**row) for row in rows]


def measure(isas: list[str], repeats: int, *about: str) -> list[dict[str, Any]]:
    """In a worker (benchmarks/isas.py)."""
    native = binding()
    rows = []
    for isa in isas:
        for words in WORDS:
            for filters in FILTERS:
                for pixels in PIXELS:
                    kernel, direct, other = native.linear_times(isa, pixels, filters // 16, words, repeats)
                    if kernel:
                        row = ChoiceRow(isa, kernel, words, filters, pixels, direct * 1e-3, other * 1e-3, *about)
                        rows.append(asdict(row))
    return rows


def table(rows: list[ChoiceRow]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: time of conv2d over time of the other kernel with the operands brought into its form."""
    ratios = {(row.kernel, row.words, row.filters, row.pixels): row.conv2d_us / row.other_us for row in rows}
    pixels = sorted({row.pixels for row in rows})
    header = ["kernel", "words", "filters", *(f"{count} pixels" for count in pixels)]
    lines = [
        [kernel, str(words), str(filters), *(f"{ratios[kernel, words, filters, count]:.2f}" for count in pixels)]
        for kernel, words, filters in dict.fromkeys((row.kernel, row.words, row.filters) for row in rows)
    ]
    return header, lines
