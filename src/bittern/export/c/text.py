"""C text of numbers, arrays and structs."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from bittern.export.c.program import Struct, key

_RESERVED = frozenset(
    {
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "asm",
        "bool",
        "catch",
        "class",
        "delete",
        "explicit",
        "export",
        "false",
        "friend",
        "mutable",
        "namespace",
        "new",
        "operator",
        "private",
        "protected",
        "public",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typename",
        "using",
        "virtual",
        "main",
        "bittern_kernels",
    }
)
_LINE = 116


def why_no_identifier(name: str) -> str | None:
    """None if files, functions and macros in C and C++ may be called ``name``, else why not."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        return "it must be letters, digits and underscores, a letter first"
    return "C or C++ reserve it" if name.lower() in _RESERVED else None


def number(value: float) -> str:
    """A float32, exactly."""
    if value != value:
        return "BITTERN_NAN"
    if value in (float("inf"), float("-inf")):
        return "BITTERN_INFINITY" if value > 0 else "-BITTERN_INFINITY"
    if value == int(value) and abs(value) < 1e6:
        return f"{'-' if str(value).startswith('-') else ''}{abs(int(value))}.0f"
    mantissa, _, exponent = float(value).hex().partition("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}f"


def string(value: str) -> str:
    """A string literal, in UTF-8."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in value.encode()
    )
    return f'"{escaped}"'


def comment(value: str) -> str:
    """Text that cannot end the comment that it stands in."""
    return " ".join(value.split()).replace("*/", "* /").replace("/*", "/ *").encode("ascii", "replace").decode()


def lines(items: Iterable[str]) -> str:
    """Items between commas, broken into lines."""
    rows, row = [], ""
    for item in items:
        if row and len(row) + len(item) + 2 > _LINE:
            rows.append(row)
            row = ""
        row += f"{', ' if row else ''}{item}"
    return ",\n".join(f"    {each}" for each in (*rows, row) if each)


class Constants:
    """The arrays of a file, each written once."""

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}
        self.text: list[str] = []

    def name(self, tensor: Tensor) -> str:
        """The name of the array that holds ``tensor``."""
        identity = key(tensor)
        if identity not in self._names:
            self._names[identity] = name = f"constant_{len(self._names)}"
            self.text.append(array(name, tensor))
        return self._names[identity]


def array(name: str, tensor: Tensor) -> str:
    """A definition. int32 are words of bits; integers are int64 here, and int32 in C."""
    flat = tensor.contiguous().flatten()
    if tensor.dtype == torch.float32:
        kind, items = "float", [number(value) for value in flat.tolist()]
    elif tensor.dtype == torch.uint8:
        kind, items = "uint8_t", [str(value) for value in flat.tolist()]
    elif tensor.dtype == torch.int64:
        kind, items = "int32_t", [str(value) for value in flat.tolist()]
    else:
        kind, items = "uint32_t", [f"0x{value & 0xFFFFFFFF:08x}u" for value in flat.tolist()]
    return f"static const {kind} {name}[{flat.numel()}] = {{\n{lines(items)}}};\n"


def struct(value: Struct, constants: Constants) -> str:
    """An initialiser."""
    return f"{{{', '.join(_fields(value.fields, constants))}}}"


def _fields(fields: Mapping[str, Any], constants: Constants) -> Iterable[str]:
    for name, value in fields.items():
        if value is not None:
            yield f".{name} = {_field(value, constants)}"


def _field(value: Any, constants: Constants) -> str:
    if isinstance(value, Struct):
        return struct(value, constants) if value.fields else "{0}"
    if isinstance(value, Tensor):
        return constants.name(value)
    if isinstance(value, tuple):
        return f"{{{', '.join(map(str, value))}}}"
    return number(value) if isinstance(value, float) else str(value)
