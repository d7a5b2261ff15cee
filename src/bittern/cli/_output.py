"""How commands print: results on standard output, everything else on standard error."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bittern._text import printable

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]

_FILE_WIDTH = 140  # columns if standard output is not a terminal, so that tables in files do not wrap


class _Console(Console):
    """Prints names from files that somebody else may have written: none of their characters moves the cursor."""

    def render_str(self, text: str, **options: Any) -> Text:  # every string, also those in tables, comes through here
        return super().render_str(printable(text), **options)


def output() -> Console:
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH
    return _Console(width=width, highlight=False)


def messages() -> Console:
    """Standard error: progress, warnings, and whatever is not a result."""
    return _Console(stderr=True, highlight=False)


def print_json(value: Mapping[str, Any]) -> None:
    """Prints ``value``. JSON has neither NaN nor infinity: they become null."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def plain(value: object) -> str:
    """``str(value)`` for text that rich parses as markup: brackets in a file name stay brackets."""
    return escape(str(value))


def print_line(text: str) -> None:
    """Prints text with rich's markup, without wrapping it."""
    output().print(text, soft_wrap=True)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Prints names and values, without markup, in two columns. A fact with an empty value is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        if value:
            grid.add_row(name, plain(value))
    output().print(grid)


def table(columns: Sequence[str], *, title: str | None = None) -> Table:
    """An empty table without vertical rules. ``>name`` aligns a column to the right; the first column never wraps."""
    result = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
    )
    for index, column in enumerate(columns):
        right = column.startswith(">")
        result.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold", no_wrap=index == 0
        )
    return result


def bytes_text(size: float) -> str:
    """``"812 B"``, ``"73.4 kB"``, ``"1.21 MB"``: multiples of 1000, three digits."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} B" if unit == "B" else f"{_three(size)} {unit}"
        size /= 1000
    return f"{_three(size)} GB"


def seconds_text(seconds: float) -> str:
    """``"48.2 µs"``, ``"1.43 ms"``, ``"12.5 s"``, ``"2 min 5 s"``: three digits."""
    if seconds >= 99.95:
        return f"{round(seconds) // 60} min {round(seconds) % 60} s"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= 0.9995 * factor:
            return f"{_three(seconds / factor)} {unit}"
    return f"{_three(seconds / 1e-9)} ns"


def millions_text(number: int) -> str:
    """``2359296`` -> ``"2.36 M"``, ``36864`` -> ``"36.9 k"``, ``0`` -> ``""``: three digits; empty for 0."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * factor:
            return f"{_three(number / factor)} {unit}"
    return str(number) if number else ""


def count_text(number: int) -> str:
    """``12345678`` -> ``"12,345,678"``."""
    return f"{number:,}"


def percent_text(share: float) -> str:
    """``0.97512`` -> ``"97.51 %"``."""
    return f"{share:.2%}".replace("%", " %")


def _three(value: float) -> str:
    """``value`` in three digits: ``"1.43"``, ``"24.1"``, ``"455"``."""
    return f"{value:#.3g}".rstrip(".") if value else "0"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
