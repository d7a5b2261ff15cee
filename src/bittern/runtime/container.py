"""The file format: an ExecuTorch program, followed by a footer that detects damage.

ExecuTorch's loader trusts its input, and a damaged program can crash it; so the digest is checked before the loader
sees any byte. ExecuTorch ignores what follows a program: the file remains an ordinary ``.pte``.

The footer is 64 bytes, little-endian::

     0   8 bytes   magic b"BITTERN\\0"
     8   u32       version of this format
    12   u32       reserved, 0
    16   u64       length of the program in bytes
    24   32 bytes  SHA-256 of the program and of footer bytes 0 to 23
    56   8 bytes   magic again, which marks the end of a complete file
"""

import hashlib
import os
import struct
from pathlib import Path

from bittern.runtime.errors import ModelFileError

FORMAT_VERSION = 1
MAGIC = b"BITTERN\0"

_HEAD = struct.Struct("<8sIIQ")  # magic, version, reserved, program length
_FOOTER_SIZE = 64
_PROGRAM_MARK = b"ET12"  # file identifier of ExecuTorch's flatbuffer schema, at byte 4


def append_footer(program: bytes) -> bytes:
    """The content of a model file for ``program``, a serialized ExecuTorch program."""
    head = _HEAD.pack(MAGIC, FORMAT_VERSION, 0, len(program))
    return program + head + _digest(program, head) + MAGIC


def read_program(path: str | os.PathLike[str]) -> bytes:
    """The program in the model file at ``path``, after checking the file.

    Raises:
        ModelFileError: the file is not a model file, is damaged, or has a newer format.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a directory, not a model file")
    return parse(path.read_bytes(), name=str(path))


def parse(data: bytes, *, name: str) -> bytes:
    """The program in the content of a model file, called ``name`` in messages. See :func:`read_program`."""
    if not data:
        raise ModelFileError(f"{name} is empty")
    footer = data[-_FOOTER_SIZE:]
    if len(data) < _FOOTER_SIZE or footer[-len(MAGIC) :] != MAGIC or footer[: len(MAGIC)] != MAGIC:
        raise ModelFileError(f"{name} {_what_else(data)}")
    head = footer[: _HEAD.size]
    _, version, _, length = _HEAD.unpack(head)
    program = data[:-_FOOTER_SIZE]
    # The version is checked first: a newer format may digest other bytes.
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{name} is of format version {version}, this Bittern reads up to {FORMAT_VERSION}: upgrade Bittern"
        )
    if length != len(program) or footer[_HEAD.size : -len(MAGIC)] != _digest(program, head):
        raise ModelFileError(f"{name} is damaged: its SHA-256 does not match its contents. Copy or export it again")
    return program


def _digest(program: bytes, head: bytes) -> bytes:
    return hashlib.sha256(program + head).digest()


def _what_else(data: bytes) -> str:
    """What a file without a footer appears to be."""
    if data[4:8] == _PROGRAM_MARK or MAGIC in data[-_FOOTER_SIZE:]:
        return (
            "has no Bittern footer at its end: it is truncated, or an ExecuTorch program of another exporter. "
            "Export it again with bittern.export.to_pte"
        )
    return "is not a model file (.pte) of Bittern"
