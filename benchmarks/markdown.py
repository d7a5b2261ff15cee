"""Tables of README.md."""

from collections.abc import Iterable, Sequence
from typing import Protocol

Cells = Sequence[str]


class Measured(Protocol):
    @property
    def machine(self) -> str: ...

    @property
    def revision(self) -> str: ...


def table(header: Cells, rows: Iterable[Cells]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def where(rows: Sequence[Measured]) -> str:
    """On which machine, and which revision."""
    return f"{rows[0].machine}; revision {rows[0].revision}."
