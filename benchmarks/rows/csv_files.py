"""Rows as CSV files: a column for each field, the stamp last."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypedDict, TypeVar, get_type_hints

from bittern._files import write_atomically

RESULTS = Path(__file__).parents[1] / "results"


class Stamp(TypedDict):
    """Where and when rows were measured: the machine, the commit that was measured, and the date (ISO 8601).

    A plus behind the commit: files had been changed since. Empty: not recorded.
    """

    machine: str
    revision: str
    date: str


@dataclass(frozen=True, kw_only=True)
class Stamped:
    """A row with its `Stamp`."""

    machine: str
    revision: str
    date: str


_STAMP = tuple(Stamp.__annotations__)
AnyRow = TypeVar("AnyRow", bound=Stamped)


def write(path: Path, rows: Sequence[Stamped]) -> None:
    """Replaces the file atomically. ``rows``: at least one, all of one class; floats keep six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in fields(rows[0]) if field.name not in _STAMP]
    text = io.StringIO()
    table = csv.DictWriter(text, [*names, *_STAMP], lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({key: _cell(value) for key, value in asdict(row).items()})
    write_atomically(path, text.getvalue().encode())


def read(path: Path, kind: type[AnyRow]) -> list[AnyRow]:
    """The rows of a file; none if there is no file."""
    if not path.exists():
        return []
    types = get_type_hints(kind)
    with path.open(newline="") as file:
        return [kind(**{name: types[name](value) for name, value in row.items()}) for row in csv.DictReader(file)]


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
