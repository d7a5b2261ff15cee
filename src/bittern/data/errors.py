"""The error of data that cannot be used, and words for its messages."""

from collections.abc import Iterable
from pathlib import Path


class DataError(ValueError):
    """A data folder or file cannot be used; the message says which, why and what was expected."""


def some(names: Iterable[object]) -> str:
    """The first five of ``names``, for a message."""
    first, *rest = [str(name) for name in names][:6] or [""]
    return f"{', '.join([first, *rest[:4]])}{' ...' if len(rest) > 4 else ''}"


def holds(folder: Path) -> str:
    """The content of ``folder``, for a message."""
    found = sorted(p.name for p in folder.iterdir())
    return f"it holds {some(found)}" if found else "it is empty"
