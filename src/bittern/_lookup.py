"""Finding a registry's row by name."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

Row = TypeVar("Row")

OWN = "; one of your own is known once the module that registers it is imported (--import MODULE)"
"""The way out where a user can add rows."""


def find(kind: str, name: str, rows: Mapping[str, Row], way_out: str = "") -> Row:
    """``rows[name]``; ValueError with every known name, the nearest one and ``way_out`` if there is none."""
    try:
        return rows[name]
    except KeyError:
        close = difflib.get_close_matches(name, rows, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown {kind} {name!r}: known are {', '.join(sorted(rows))}{hint}{way_out}") from None
