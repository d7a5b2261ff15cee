"""Finding a registry's row by name."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from bittern._text import short_text

Row = TypeVar("Row")

OWN = "; one of your own is known once the module that registers it is imported (--import MODULE)"
"""The way out where a user can add rows."""


def find(kind: str, name: str, rows: Mapping[str, Row], way_out: str = "") -> Row:
    """``rows[name]``; ValueError with the nearest name, if one is near, every known one and ``way_out`` if there is
    none."""
    try:
        return rows[name]
    except KeyError:
        close = difflib.get_close_matches(name, rows, n=1)
        known = "known are " + ", ".join(sorted(rows))
        hint = f"did you mean {close[0]!r}? K{known[1:]}" if close else known
        raise ValueError(f"unknown {kind} {short_text(repr(name))}: {hint}{way_out}") from None
