"""What a data set is: a row that describes it, and splits of 8-bit images with labels."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bittern._preprocessing import Preprocessing
from bittern.data.order import batches, evenly
from bittern.data.samples import Listing, Progress

SPLITS = ("train", "test")


class ImageSource(ABC):
    """The images and labels of one split, in memory (`Split`) or streamed (`Stream`)."""

    @abstractmethod
    def __len__(self) -> int:
        """Images of the split."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256, in hex, of the labels in their order, and of the images' names where they have some."""

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(name, reason) of every file or image that this process could not read so far, each once."""
        return []

    @property
    def waited(self) -> float:
        """Seconds that the consumer of ``epoch`` has waited for its batches so far."""
        return 0.0

    def epoch(
        self,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        start: int = 0,
        shuffle: bool = True,
        drop_last: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of ``rank``: images uint8 [B, C, H, W] and labels int64 [B], on the device of the source.

        Global batch b has the images at [b B W, (b + 1) B W) of an order that depends on ``seed`` alone; rank r takes
        those from b B W + r B on. Arguments are checked at the call, before the first batch is asked for.

        Args:
            batch_size: B, images per batch and rank.
            world: W, the number of ranks.
            start: batches of this rank to leave out at the front, without reading their images.
            shuffle: else the order is that of the split.
            drop_last: every batch of every rank is full, and all ranks have equally many: the remaining images of the
                epoch are left out, and an image that cannot be read is replaced by another. Without it each image
                comes once or, if it cannot be read, not at all; the last batches are smaller or missing.

        Raises:
            DataError: fewer images than one global batch (``drop_last``), or most images cannot be read.
            ValueError: another argument is out of range.
        """
        chosen = batches(
            len(self),
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world=world,
            start=start,
            shuffle=shuffle,
            drop_last=drop_last,
        )
        return self._read(chosen, seed, refill=drop_last)

    @abstractmethod
    def _read(self, chosen: Sequence[Tensor], seed: int, *, refill: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels of each batch of indices; ``refill`` replaces images that cannot be read."""

    @abstractmethod
    def take(self, count: int) -> "Split":
        """At most ``count`` images, evenly spread over the split, in memory."""


@dataclass(frozen=True)
class Split(ImageSource):
    """An `ImageSource` in memory: ``images`` uint8 [N, C, H, W] and ``labels`` int64 [N], on any device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.labels.cpu().numpy().tobytes()).hexdigest()

    def _read(self, chosen: Sequence[Tensor], seed: int, *, refill: bool) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in chosen:
            i = indices.to(self.labels.device)
            # Much faster than advanced indexing on a CPU.
            yield self.images.index_select(0, i), self.labels.index_select(0, i)

    def to(self, device: torch.device | str) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))

    def take(self, count: int) -> "Split":
        chosen = evenly(len(self), count)
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class DatasetInfo:
    """One row of the registry; ``load`` or ``index`` reads it.

    ``input_shape`` is (C, H, W). For a streamed set the shape is the default of `open_dataset`, which alone knows the
    class names: here they are empty.

    Args:
        load: (folder, splits, progress) -> these splits, decoded; it checks every file before it decodes any.
        index: (folder, splits, progress) -> where the encoded images of a streamed set are.
        keeps_index: the result of ``index`` is stored beside the images, so that the next call is quick.
    """

    name: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    needs_folder: bool
    description: str
    source: str
    load: Callable[[Path | None, tuple[str, ...], Progress | None], dict[str, Split]] | None = None
    index: Callable[[Path, tuple[str, ...], Progress | None], Listing] | None = None
    keeps_index: bool = False

    @property
    def streamed(self) -> bool:
        """Whether images are read and decoded during use."""
        return self.index is not None


@dataclass(frozen=True)
class Dataset:
    """An opened data set: ``info`` with the class names and the shape of its images, and its splits by name."""

    info: DatasetInfo
    splits: Mapping[str, ImageSource]
