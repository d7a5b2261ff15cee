"""What a data set is: a row that describes it, and splits of 8-bit images with labels."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bittern.data.order import batches, evenly
from bittern.data.samples import Listing, Progress

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its pixels: ``x = (pixels * scale - mean) / std``, in float32.

    ``pixels`` are 0..255, RGB or grey; ``mean`` and ``std`` have one value per channel.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, C, H, W]."""
        mean, std = (torch.tensor(v, device=pixels.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return pixels.float().mul_(self.scale).sub_(mean).div_(std)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Preprocessing":
        return Preprocessing(float(value["scale"]), tuple(map(float, value["mean"])), tuple(map(float, value["std"])))


class Source(Protocol):
    """One split, in memory (`Split`) or streamed (`Stream`)."""

    def __len__(self) -> int:
        """Images of the split."""

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the labels in their order, and of the images' names where they have some."""

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(name, reason) of every file or image that this process could not read so far, each once."""

    @property
    def waited(self) -> float:
        """Seconds that the consumer of ``epoch`` has waited for its batches so far."""

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

        Global batch b has the images at [b B W, (b + 1) B W) of an order that depends on ``seed`` alone; of them rank
        r has those from b B W + r B on. Arguments are checked at the call, before the first batch is asked for.

        Args:
            batch_size: B, images per batch and rank.
            world: W, the number of ranks.
            start: batches of this rank that are left out at the front; their images are not read.
            shuffle: else the order is that of the split.
            drop_last: every batch of every rank is full, and all ranks have equally many: the rest of the epoch's
                images is left out, and an image that cannot be read gives its place to another. Without it each image
                comes once or, if it cannot be read, not at all; the last batches are smaller or missing.

        Raises:
            DataError: fewer images than one global batch (``drop_last``), or most images cannot be read.
        """

    def take(self, count: int) -> "Split":
        """At most ``count`` images, evenly spread over the split, in memory."""


@dataclass(frozen=True)
class Split:
    """A `Source` in memory: ``images`` uint8 [N, C, H, W] and ``labels`` int64 [N], on any device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.labels.cpu().numpy().tobytes()).hexdigest()

    @property
    def skipped(self) -> list[tuple[str, str]]:
        return []

    @property
    def waited(self) -> float:
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
        on_device = (indices.to(self.labels.device) for indices in chosen)
        # On a CPU many times as fast as advanced indexing.
        return ((self.images.index_select(0, i), self.labels.index_select(0, i)) for i in on_device)

    def to(self, device: torch.device | str) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))

    def take(self, count: int) -> "Split":
        chosen = evenly(len(self), count)
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class DatasetInfo:
    """One row of the registry; ``load`` or ``index`` reads it.

    ``input_shape`` is (C, H, W). Of a streamed set only `open_dataset` knows the class names: here they are empty, and
    the shape is the one that it takes where none is asked for.

    Args:
        load: (folder, splits, progress) -> the splits asked for, decoded; it checks every file before it decodes any.
        index: (folder, splits, progress) -> where the encoded images of a streamed set are.
        keeps_index: what ``index`` finds is kept beside the images, so that it is quick the next time.
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
        """Images are read and decoded while they are used."""
        return self.index is not None


@dataclass(frozen=True)
class Dataset:
    """An opened data set: ``info`` with its class names and the shape that its images have, and its splits by name."""

    info: DatasetInfo
    splits: Mapping[str, Source]
