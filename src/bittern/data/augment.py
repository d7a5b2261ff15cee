"""Augmentation of a whole batch at once, on the device where it is."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern._lookup import find

Augmentation = Callable[[Tensor], Tensor]
"""uint8 [N, C, H, W] -> uint8 of the same shape; draws from torch's global generator of the device."""


def crop_and_flip(images: Tensor, padding: int, flip: bool) -> Tensor:
    """A random H x W window of each image in a border of ``padding`` zeros, mirrored left to right half of the time."""
    n, channels, height, width = images.shape
    device = images.device
    # One draw for all: offsets of the window, and whether to mirror.
    draws = torch.rand(3, n, 1, device=device)
    top, left = (draws[:2] * (2 * padding + 1)).long()
    rows = top + torch.arange(height, device=device)
    columns = left + torch.arange(width, device=device)
    if flip:
        columns = torch.where(draws[2] < 0.5, columns.flip(1), columns)
    padded = F.pad(images, [padding] * 4).flatten(2)
    # A flat index per pixel: gathering along one dimension is many times faster than indexing with four tensors.
    index = rows.unsqueeze(2) * (width + 2 * padding) + columns.unsqueeze(1)
    return padded.gather(2, index.view(n, 1, -1).expand(n, channels, -1)).view_as(images)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": lambda images: images,
    "shift1": lambda images: crop_and_flip(images, 1, flip=False),
    "crop2-flip": lambda images: crop_and_flip(images, 2, flip=True),
    "crop4-flip": lambda images: crop_and_flip(images, 4, flip=True),
}
"""By name: ``shift1`` moves by up to a pixel; ``crop2-flip`` and ``crop4-flip`` by up to two or four, and mirror."""


def get_augmentation(name: str) -> Augmentation:
    """The augmentation called ``name``; ValueError with the known names and the nearest if there is none."""
    return find("augmentation", name, AUGMENTATIONS)
