"""What a data set is: a row that describes it, and splits of 8-bit images with labels."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SPLITS = ("train", "test")

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)`` while something long goes on."""


class DataError(ValueError):
    """A data folder or file cannot be used; the message says which, why, and what was expected."""


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


@dataclass(frozen=True)
class Split:
    """``images`` uint8 [N, C, H, W] and ``labels`` int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DatasetInfo:
    """One row of the registry.

    ``input_shape`` is (C, H, W). ``load(folder, splits, progress)`` returns the splits asked for; it checks every file
    before it decodes any, and raises DataError.
    """

    name: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    needs_folder: bool
    load: Callable[[Path | None, tuple[str, ...], Progress | None], dict[str, Split]]
    description: str
    source: str
