"""Finding a registry's row by name."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

Row = TypeVar("Row")


def find(kind: str, name: str, rows: Mapping[str, Row]) -> Row:
    """``rows[name]``; ValueError with every known name and the nearest one if there is none."""
    try:
        return rows[name]
    except KeyError:
        close = difflib.get_close_matches(name, rows, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown {kind} {name!r}: known are {', '.join(sorted(rows))}{hint}") from None
