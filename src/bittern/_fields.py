"""Reading JSON that somebody else may have written: every entry is checked before it is used."""

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from bittern._text import short_text

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 100


def short(value: object) -> str:
    """``repr(value)``, truncated where a damaged file makes it long or deep."""
    return _SHORT.repr(value)


def parse_json(content: str | bytes, name: str) -> "Fields":
    """The JSON object in ``content``, called ``name`` in messages; ValueError for anything else.

    Texts with lone surrogates are refused too: they can be neither printed nor written.
    """
    try:
        value = json.loads(content)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {short_text(str(error))}") from error
    return Fields(value, name)


class Fields:
    """A JSON object whose entries are read with their types checked; ValueError names ``name`` and the entry."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be an object, is {short(value)}")
        self.entries, self._name = value, name

    def has(self, key: str) -> bool:
        """Whether ``key`` is there and not null."""
        return self.entries.get(key) is not None

    def _get(self, key: str, kind: type | tuple[type, ...], what: str) -> Any:
        value = self.entries.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{self._name}: {key} must be {what}, is {short(value)}")
        return value

    def _list(self, key: str, kind: type | tuple[type, ...], what: str) -> Sequence[Any]:
        values = self._get(key, list, f"a list of {what}")
        if not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            raise ValueError(f"{self._name}: {key} must be a list of {what}, is {short(values)}")
        return list(values)

    def flag(self, key: str) -> bool:
        """False where it is left out."""
        value = self.entries.get(key, False)
        if not isinstance(value, bool):
            raise ValueError(f"{self._name}: {key} must be true or false, is {short(value)}")
        return value

    def integer(self, key: str) -> int:
        return int(self._get(key, int, "an integer"))

    def number(self, key: str) -> float:
        return self._finite(key, self._get(key, (int, float), "a number"))

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(self._finite(key, value) for value in self._list(key, (int, float), "numbers"))

    def _finite(self, key: str, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            number = math.inf
        if not math.isfinite(number):
            raise ValueError(f"{self._name}: {key} must be finite, is {short(value)}")
        return number

    def text(self, key: str) -> str:
        return str(self._get(key, str, "a string"))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._list(key, str, "strings"))

    def integers(self, key: str) -> tuple[int, ...]:
        return tuple(self._list(key, int, "integers"))

    def optional_texts(self, key: str) -> tuple[str | None, ...]:
        return tuple(self._list(key, (str, type(None)), "strings or nulls"))

    def sizes(self, key: str) -> tuple[int, ...]:
        sizes = tuple(self._list(key, int, "positive integers"))
        if not all(size > 0 for size in sizes):
            raise ValueError(f"{self._name}: {key} must be a list of positive integers, is {short(list(sizes))}")
        return sizes

    def value(self, key: str) -> object:
        """Whatever is there, None if nothing is: for a reader of its own."""
        return self.entries.get(key)

    def mapping(self, key: str) -> dict[str, Any]:
        """An object as it is, for what any value may stand in."""
        return dict(self._get(key, Mapping, "an object"))

    def object(self, key: str) -> "Fields":
        return Fields(self.mapping(key), f"{self._name}: {key}")

    def objects(self, key: str) -> "list[Fields]":
        entries = self._get(key, list, "a list of objects")
        return [Fields(entry, f"{self._name}: {key}[{i}]") for i, entry in enumerate(entries)]
