"""From pixels to a network's input: one rule for training, files and the engine."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bittern._fields import Fields
from bittern._image_geometry import TORCHVISION, ImageGeometry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


@dataclass(frozen=True)
class Preprocessing:
    """``x = (pixels * scale - mean) / std``, each operation rounded to float32.

    ``pixels`` are 0..255, RGB or grey; ``mean`` and ``std`` have one value for each channel, or one for all.
    ``geometry``: how an image of another size becomes the pixels; None if nobody said, as in files of earlier versions:
    it is stretched.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    geometry: ImageGeometry | None = None

    def __call__(self, pixels: "Tensor") -> "Tensor":
        """uint8 [N, C, H, W] -> float32 [N, C, H, W], on the device of ``pixels``."""
        import torch

        mean, std = (torch.tensor(v, device=pixels.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return pixels.float().mul_(self.scale).sub_(mean).div_(std)

    def of_array(self, pixels: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.float32]":
        """uint8 [N, H, W, C] -> float32 [N, C, H, W] with the channels innermost in memory; the values of a call."""
        import numpy as np

        values: npt.NDArray[np.float32] = pixels.astype(np.float32) * np.float32(self.scale)
        values -= np.asarray(self.mean, np.float32)
        values /= np.asarray(self.std, np.float32)
        return values.transpose(0, 3, 1, 2)

    def why_not(self, input_shape: Sequence[int]) -> str | None:
        """None if this makes a network's input of ``input_shape`` from pixels, else why not."""
        if len(input_shape) != 4:
            return f"it is for images [N, C, H, W], the input is {list(input_shape)}"
        channels = input_shape[1]
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, channels):
            return f"{len(self.mean)} means and {len(self.std)} stds: give 1 of each, or {channels}, one per channel"
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))) or min(self.std) <= 0:
            return f"scale, mean and std must be finite and std positive: {self.scale}, {self.mean}, {self.std}"
        return None

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; `from_json` reads it back."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @staticmethod
    def from_json(value: object, name: str = "preprocessing") -> "Preprocessing":
        """Reads what `to_json` gave; ValueError for anything else, in which the value is called ``name``."""
        fields, geometry = Fields(value, name), None
        if fields.has("geometry"):
            geometry = ImageGeometry.from_json(fields.value("geometry"), f"{name}: geometry")
        return Preprocessing(fields.number("scale"), fields.numbers("mean"), fields.numbers("std"), geometry)


IMAGENET_PIXELS = Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), TORCHVISION)
"""The usual preprocessing of ImageNet's images: that of torchvision's references."""
