"""Damaged model files and metadata, made from a valid file by a seed."""

import copy
import hashlib
import json
import random
import struct
from dataclasses import dataclass
from typing import Any

from bittern.runtime import Metadata, container

FOOTER = 64

HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 0.5, 1e308, -0.0),
    *(float("nan"), float("inf"), "", "\0", "\ud800", "\U0001f600", "a\nb", "x" * 5000),
    *([], {}, [[]], [{}], {"": ""}, [None], [0] * 50, ["a"] * 50, [1.5, -1]),
]
TEXTS = [
    *(
        "",
        " ",
        "{",
        "}",
        "[]",
        "null",
        "1",
        '"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 5000,
        '{"format":' + "1" * 5000,
    ),
    *('{"format": 1e999}', '{"format": NaN}', '"\\ud800"', "\ufeff{}", "{}" * 2, "\0"),
]


@dataclass(frozen=True)
class Base:
    """A valid model file and the metadata text in it."""

    program: bytes
    text: str

    @staticmethod
    def of(data: bytes) -> "Base":
        program = container.parse(data, name="the base")
        text = program[program.index(b'{"format"') :].split(b"\0")[0].decode()
        Metadata.from_json(text)
        return Base(program, text)


def mutate_bytes(chance: random.Random, data: bytes) -> bytes:
    """One to four edits of ``data``: bits, runs, cuts, copies."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(changed) + 1), chance.choice([1, 1, 2, 4, 8, 64, 1000])
        part = slice(at, at + length)
        match chance.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[part] = chance.randbytes(len(changed[part]))
            case 2:
                del changed[part]
            case 3:
                changed[at:at] = chance.randbytes(length)
            case 4:
                source = chance.randrange(len(changed) + 1)
                changed[part] = changed[source : source + length]
            case 5:
                changed[part] = bytes([chance.choice([0, 1, 0x7F, 0x80, 0xFF])]) * len(changed[part])
    return bytes(changed)


def file_without_digest(chance: random.Random, base: Base) -> bytes:
    """A damaged file, or one that never was a model."""
    data = container.append_footer(base.program)
    match chance.randrange(4):
        case 0:
            return data[: chance.randrange(len(data))]
        case 1:  # damage in the footer
            return data[:-FOOTER] + mutate_bytes(chance, data[-FOOTER:])
        case 2:
            return chance.randbytes(chance.choice([0, 1, 63, 64, 65, 200])) + chance.choice([b"", data[-FOOTER:]])
        case _:
            return mutate_bytes(chance, data)


def file_with_other_footer(chance: random.Random, base: Base) -> bytes:
    """Fields of the footer changed, with a digest that fits."""
    fields = [container.MAGIC, container.FORMAT_VERSION, 0, len(base.program)]
    which = chance.randrange(1, 4)
    size = 64 if which == 3 else 32
    fields[which] = chance.choice([0, 1, 2, 2**size - 1, 2 ** (size - 1), chance.getrandbits(size)])
    head = struct.pack("<8sIIQ", *fields)
    return base.program + head + hashlib.sha256(base.program + head).digest() + container.MAGIC


def file_with_other_metadata(chance: random.Random, base: Base) -> bytes:
    """The metadata inside the program replaced by as many other bytes, with a digest that fits."""
    old = base.text.encode()
    if chance.random() < 0.4:
        at = chance.randrange(len(old))
        new = old[:at] + chance.randbytes(chance.randint(1, 3)) + old[at:]
    else:
        new = metadata_text(chance, base).encode(errors="surrogatepass")
    return container.append_footer(base.program.replace(old, new[: len(old)].ljust(len(old)), 1))


def file_with_text(base: Base, text: str) -> bytes:
    """The metadata replaced by ``text``, cut or filled to the same length, with a digest that fits."""
    old, new = base.text.encode(), text.encode(errors="surrogatepass")
    return container.append_footer(base.program.replace(old, new[: len(old)].ljust(len(old)), 1))


def metadata_text(chance: random.Random, base: Base) -> str:
    """Text that is not, or not quite, the metadata of a model."""
    kind = chance.randrange(8)
    if kind == 0:
        return chance.choice(TEXTS)
    if kind == 1:
        return mutate_bytes(chance, base.text.encode()).decode(errors=chance.choice(["replace", "surrogateescape"]))
    fields = json.loads(base.text)
    for _ in range(chance.randint(1, 3)):
        mutate_json(chance, fields)
    return json.dumps(fields, ensure_ascii=chance.random() < 0.5)


def mutate_json(chance: random.Random, root: dict[str, Any]) -> None:
    """Replaces, removes or adds one entry somewhere below ``root``."""
    at: Any = root
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(at[key], (dict, list)) or chance.random() < 0.4:
            break
        at = at[key]
    match chance.randrange(8):
        case 0:
            del at[key]
        case 1:
            at[key] = json.loads("[" * 200 + "]" * 200)
        case 2 if isinstance(at[key], int):
            at[key] += chance.choice([-1, 1, 2**40])
        case _:
            at[key] = copy.deepcopy(chance.choice(HOSTILE))
