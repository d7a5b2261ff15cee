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

from bittern._files import open_file
from bittern.runtime.errors import ModelFileError

FORMAT_VERSION = 1
MAGIC = b"BITTERN\0"

_HEAD = struct.Struct("<8sIIQ")  # magic, version, reserved, program length
_FOOTER_SIZE = 64
_AGAIN = "Copy or export it again"
_PROGRAM_MARK = b"ET12"  # file identifier of ExecuTorch's flatbuffer schema, at byte 4


def append_footer(program: bytes) -> bytes:
    """The content of a model file for ``program``, a serialized ExecuTorch program."""
    head = _HEAD.pack(MAGIC, FORMAT_VERSION, 0, len(program))
    return program + head + _digest(program, head) + MAGIC


def read_program(path: str | os.PathLike[str]) -> bytes:
    """The program in the model file at ``path``, after checking the file.

    The footer is read first: memory is taken only for what may be a model file, once.

    Raises:
        ModelFileError: the file is not a model file, is damaged, has a newer format, or does not fit into memory.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a directory, not a model file")
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _FOOTER_SIZE))
        footer = file.read(_FOOTER_SIZE)
        file.seek(0)
        head = file.read(8)
        length = _program_length(head, footer, size, str(path))
        file.seek(0)
        try:
            program = file.read(length)
        except MemoryError:
            raise ModelFileError(f"{path} does not fit into memory: its program has {length} bytes") from None
    return _checked(program, footer, str(path))


def parse(data: bytes, *, name: str) -> bytes:
    """The program in the content of a model file, called ``name`` in messages. See :func:`read_program`."""
    footer = data[-_FOOTER_SIZE:]
    return _checked(data[: _program_length(data[:8], footer, len(data), name)], footer, name)


def _program_length(head: bytes, footer: bytes, size: int, name: str) -> int:
    """As the footer of a file of ``size`` bytes that begins with ``head`` says; ModelFileError unless it may be so."""
    if not size:
        raise ModelFileError(f"{name} is empty")
    if len(footer) < _FOOTER_SIZE or footer[-len(MAGIC) :] != MAGIC or footer[: len(MAGIC)] != MAGIC:
        raise ModelFileError(f"{name} {_what_else(head, footer)}")
    _, version, _, length = _HEAD.unpack(footer[: _HEAD.size])
    # The version is checked first: a newer format may digest other bytes.
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{name} is of format version {version}, this Bittern reads up to {FORMAT_VERSION}: upgrade Bittern"
        )
    if length != size - _FOOTER_SIZE:
        raise ModelFileError(f"{name} is damaged: its length is not the one that it was written with. {_AGAIN}")
    return int(length)


def _checked(program: bytes, footer: bytes, name: str) -> bytes:
    if footer[_HEAD.size : -len(MAGIC)] != _digest(program, footer[: _HEAD.size]):
        raise ModelFileError(f"{name} is damaged: its SHA-256 does not match its contents. {_AGAIN}")
    return program


def _digest(program: bytes, head: bytes) -> bytes:
    digest = hashlib.sha256(program)  # not of their sum, which would be a copy
    digest.update(head)
    return digest.digest()


def _what_else(head: bytes, footer: bytes) -> str:
    """What a file without a footer appears to be."""
    if head[4:8] == _PROGRAM_MARK or MAGIC in footer:
        return (
            "has no Bittern footer at its end: it is truncated, or an ExecuTorch program of another exporter. "
            "Export it again with bittern.export.to_pte"
        )
    return "is not a model file (.pte) of Bittern"
