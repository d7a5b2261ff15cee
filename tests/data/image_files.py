"""Writes small image folders and tar shards. Each image has one colour, which encodes its number in any crop."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

CLASSES = ("ant", "bee", "cow")


def image(number: int, size: tuple[int, int] = (13, 9), encoding: str = "png") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256, 77)).save(file, encoding)
    return file.getvalue()


def numbers(images: Tensor) -> list[int]:
    """Of a batch of such images, uint8 [B, 3, H, W]."""
    assert images.dtype == torch.uint8
    assert (images == images[:, :, :1, :1]).all()
    red, green, blue = images[:, :, 0, 0].long().unbind(1)
    assert (blue == 77).all()
    return (red + 256 * green).tolist()


def write_folder(folder: Path, counts: Mapping[str, int]) -> None:
    """Images 0..count-1 of each split: number n in class n % 3, so that sorted paths have the order 0, 3, 6, ..., 1."""
    for split, count in counts.items():
        for number in range(count):
            path = folder / split / CLASSES[number % 3] / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image(number))


def write_shard(path: Path, members: Sequence[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> None:
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def members(first: int, count: int, encoding: str = "png") -> list[tuple[str, bytes]]:
    """Image and label (number % 3) of each number, and metadata that is ignored."""
    found = []
    for number in range(first, first + count):
        found += [
            (f"{number:05}.{encoding}", image(number, encoding=encoding)),
            (f"{number:05}.json", b"{}"),
            (f"{number:05}.cls", str(number % 3).encode()),
        ]
    return found


def write_shards(folder: Path, counts: Mapping[str, Sequence[int]]) -> None:
    """For each split a shard per count, with consecutive numbers."""
    folder.mkdir(exist_ok=True)
    for split, sizes in counts.items():
        for shard, size in enumerate(sizes):
            write_shard(folder / f"{split}-{shard:06}.tar", members(sum(sizes[:shard]), size))
