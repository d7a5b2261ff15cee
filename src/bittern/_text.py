"""Text that somebody else may have written, on its way to a terminal or into a message."""

from collections.abc import Iterable
from itertools import islice

_NAMED = 20


def printable(text: str) -> str:
    """``text`` with escapes, such as ``\\x1b``, for all characters that a terminal might obey; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def short_text(text: str, length: int = 200) -> str:
    """``text`` in one line, truncated."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]} ..."


def listed(names: Iterable[str]) -> str:
    """``names`` with commas: the first 20 of them, each truncated, and how many more there are."""
    every = iter(names)
    first = [short_text(name) for name in islice(every, _NAMED)]
    more = sum(1 for _ in every)
    return ", ".join([*first, *([f"and {more} more"] if more else [])])
