"""A model file is read whole or refused with a reason."""

import hashlib
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bittern.runtime import ModelFileError, container, load

PROGRAM = b"\x1c\x00\x00\x00ET12" + bytes(range(256)) * 40


def test_the_program_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(container.append_footer(PROGRAM))
    assert container.read_program(path) == PROGRAM
    assert container.read_program(str(path)) == PROGRAM


def test_the_footer_is_as_specified() -> None:
    data = container.append_footer(PROGRAM)
    footer = data[len(PROGRAM) :]
    head = struct.pack("<8sIIQ", b"BITTERN\0", 1, 0, len(PROGRAM))
    assert data[: len(PROGRAM)] == PROGRAM
    assert footer == head + hashlib.sha256(PROGRAM + head).digest() + b"BITTERN\0"
    assert len(footer) == 64


@pytest.mark.parametrize("part", range(20))
def test_a_truncated_file_is_refused(model: Path, tmp_path: Path, part: int) -> None:
    data = model.read_bytes()
    cut = tmp_path / "cut.pte"
    cut.write_bytes(data[: len(data) * part // 20])
    with pytest.raises(ModelFileError, match=r"cut\.pte"):
        load(cut)


def test_files_cut_within_the_footer_are_refused(model: Path, tmp_path: Path) -> None:
    data = model.read_bytes()
    cut = tmp_path / "cut.pte"
    for missing in range(1, 65):
        cut.write_bytes(data[:-missing])
        with pytest.raises(ModelFileError, match="truncated"):
            container.read_program(cut)


def test_no_single_wrong_byte_is_overlooked(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data, damaged = model.read_bytes(), tmp_path / "damaged.pte"
    places = [*rng.integers(0, len(data), 436), *range(len(data) - 64, len(data))]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= int(rng.integers(1, 256))
        damaged.write_bytes(changed)
        with pytest.raises(ModelFileError):
            load(damaged)


def test_bytes_after_the_footer_are_refused(model: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.pte"
    longer.write_bytes(model.read_bytes() + b"\n")
    with pytest.raises(ModelFileError):
        load(longer)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    head = struct.pack("<8sIIQ", b"BITTERN\0", 2, 0, len(PROGRAM))
    path = tmp_path / "new.pte"
    path.write_bytes(PROGRAM + head + b"another digest of another thing." + b"BITTERN\0")
    with pytest.raises(ModelFileError, match="format version 2, this Bittern reads up to 1: upgrade Bittern"):
        load(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"x", "is not a model file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "is not a model file"),
        (PROGRAM, "no Bittern footer at its end: it is truncated, or an ExecuTorch program of another exporter"),
        (container.append_footer(PROGRAM)[-64:], "is damaged"),
    ],
)
def test_other_files_are_refused_with_their_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "other.pte"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=reason):
        load(path)


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is a directory"):
        load(tmp_path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.pte")


def test_a_huge_file_without_a_footer_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse.pte"
    path.touch()
    os.truncate(path, 10**11)
    with pytest.raises(ModelFileError, match="is not a model file"):
        load(path)


def test_a_huge_file_with_a_footer_that_does_not_fit_takes_no_memory(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "sparse.pte"
    with path.open("wb") as file:
        file.seek(10**11)
        file.write(model.read_bytes()[-64:])
    with pytest.raises(ModelFileError, match="its length is not the one that it was written with"):
        load(path)


def test_a_program_larger_than_memory_is_refused(tmp_path: Path) -> None:
    path, size = tmp_path / "sparse.pte", 10**13
    with path.open("wb") as file:
        try:
            file.seek(size)
            head = struct.pack("<8sIIQ", container.MAGIC, 1, 0, size)
            file.write(head + bytes(32) + container.MAGIC)
        except OSError:
            pytest.skip("this file system has no files of 10 TB; try another --basetemp")
    with pytest.raises(ModelFileError, match=f"does not fit into memory: its program has {size} bytes"):
        load(path)


def test_a_file_takes_its_size_in_memory_once(tmp_path: Path) -> None:
    path, size = tmp_path / "large.pte", 50_000_000
    path.write_bytes(container.append_footer(bytes(size)))
    tracemalloc.start()
    try:
        container.read_program(path)
        assert tracemalloc.get_traced_memory()[1] < 1.01 * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_are_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "model.pte")
    with pytest.raises(OSError, match=r"this is a (pipe|device); give an ordinary file"):
        load(tmp_path / "model.pte")


def test_metadata_that_is_not_text_is_refused(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metadata.pte"
    path.write_bytes(container.append_footer(program.replace(b'"model": "small"', b'"model": "sm\xff\xfel"')))
    with pytest.raises(ModelFileError, match=r"metadata\.pte: the metadata is not text"):
        load(path)
