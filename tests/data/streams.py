"""Streamed data sets of numbered images, for the tests of streaming."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from bittern.data import ImageSource, Split, open_dataset
from data.image_files import numbers

COUNT = 30
Batches = list[tuple[Tensor, Tensor]]


def opened(folder: Path, name: str = "images", split: str = "train", workers: int = 2) -> ImageSource:
    return open_dataset(name, folder, image_size=8, workers=workers).splits[split]


def seen(found: Iterator[tuple[Tensor, Tensor]] | Batches) -> list[list[int]]:
    """Numbers of the images of each batch, after checking the labels."""
    result = []
    for images, labels in found:
        assert labels.dtype == torch.int64
        result.append(numbers(images))
        assert labels.tolist() == [n % 3 for n in result[-1]]
    return result


def number_at(source: ImageSource, index: int) -> int:
    if isinstance(source, Split):
        return int(source.images[index, 0, 0, 0])
    return int(source._samples.name(index)[-9:-4])  # type: ignore[attr-defined]
