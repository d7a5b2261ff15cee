"""conv2d against conv2d_lookup, kernel by kernel: what the thresholds of the second are chosen from."""

from dataclasses import asdict
from typing import Any

from benchmarks.driver import Worker
from benchmarks.engines.executorch import binding
from benchmarks.environments import Say
from benchmarks.results import ChoiceRow

PIXELS = (1, 4, 8, 16, 49, 196)
FILTERS = (32, 48, 64, 128, 256)
WORDS = (2, 9, 36, 144)
"""32-bit words of a dot product: 1x1 on 64 channels, 3x3 on 32, on 128 and on 512."""


def ask(worker: Worker, *, repeats: int, say: Say, machine: str, revision: str) -> list[ChoiceRow]:
    """One row a layer; none where the instruction set has no lookup."""
    say("conv2d against conv2d_lookup")
    rows = worker.ask("call", module="choices", function="measure", arguments=[repeats, machine, revision])
    return [ChoiceRow(**row) for row in rows]


def measure(repeats: int, *about: str) -> list[dict[str, Any]]:
    """In a worker (benchmarks/isas.py)."""
    native = binding()
    rows = []
    for words in WORDS:
        for filters in FILTERS:
            for pixels in PIXELS:
                direct, lookup = native.linear_times(pixels, filters // 16, words, repeats)
                if lookup > 0:
                    rows.append(asdict(ChoiceRow(words, filters, pixels, direct * 1e-3, lookup * 1e-3, *about)))
    return rows


def table(rows: list[ChoiceRow]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: time of conv2d over time of conv2d_lookup with the operands brought into its form."""
    ratios = {(row.words, row.filters, row.pixels): row.conv2d_us / row.lookup_us for row in rows}
    pixels = sorted({row.pixels for row in rows})
    header = ["words", "filters", *(f"{count} pixels" for count in pixels)]
    lines = [
        [str(words), str(filters), *(f"{ratios[words, filters, count]:.2f}" for count in pixels)]
        for words, filters in dict.fromkeys((row.words, row.filters) for row in rows)
    ]
    return header, lines
