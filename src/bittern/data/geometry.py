"""Shifts, flips, rotations and crops of a whole batch at once.

Each function takes images [N, C, H, W], uint8 or floating-point with pixels 0..255, and returns the same shape, dtype
and device. It draws from torch's global generator of the device.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern.data.pixels import like


def crop_and_flip(images: Tensor, padding: int, flip: bool) -> Tensor:
    """A random H x W window of each image inside a border of ``padding`` zeros, mirrored half of the time."""
    n, channels, height, width = images.shape
    device = images.device
    # One draw for everything: offsets of the window, and whether to mirror.
    draws = torch.rand(3, n, 1, device=device)
    top, left = (draws[:2] * (2 * padding + 1)).long()
    rows = top + torch.arange(height, device=device)
    columns = left + torch.arange(width, device=device)
    if flip:
        columns = torch.where(draws[2] < 0.5, columns.flip(1), columns)
    padded = F.pad(images, [padding] * 4).flatten(2)
    # One flat index per pixel: gathering along one dimension is much faster than indexing with four tensors.
    index = rows.unsqueeze(2) * (width + 2 * padding) + columns.unsqueeze(1)
    return padded.gather(2, index.view(n, 1, -1).expand(n, channels, -1)).view_as(images)


def flip(images: Tensor) -> Tensor:
    """Mirrored left to right half of the time."""
    return torch.where(torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5, images.flip(3), images)


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Rotated around the centre by an angle uniform in +-``degrees``; bilinear, zeros outside."""
    angle = (torch.rand(len(images), 1, 1, device=images.device) * 2 - 1) * math.radians(degrees)
    x, y = _coordinates(images)
    height, width = images.shape[2:]
    # Angles are measured in pixels, also if the image is not square.
    across = angle.cos() * x - angle.sin() * y * (height / width)
    down = angle.sin() * x * (width / height) + angle.cos() * y
    return _sample(images, across, down, "zeros")


def resized_crop(images: Tensor) -> Tensor:
    """A box of a random share (8 to 100 %) and ratio (3/4 to 4/3) of each image, resized to H x W; bilinear."""
    n = len(images)
    height, width = random_box_sides(images, (0.08, 1.0), (3 / 4, 4 / 3), otherwise=1.0)
    place = torch.rand(2, n, device=images.device) * 2 - 1
    x, y = _coordinates(images)
    across = ((1 - width) * place[0]).view(n, 1, 1) + width.view(n, 1, 1) * x
    down = ((1 - height) * place[1]).view(n, 1, 1) + height.view(n, 1, 1) * y
    return _sample(images, across, down, "border")


def random_box_sides(
    images: Tensor, area: tuple[float, float], ratio: tuple[float, float], otherwise: float
) -> tuple[Tensor, Tensor]:
    """Height and width [N], relative to the image, of boxes uniform in ``area`` and log-uniform in ``ratio``.

    ``area`` is a share of the image, ``ratio`` is width / height in pixels. The first of ten draws that fits is taken;
    if none does, both sides are ``otherwise``.
    """
    draws = torch.rand(2, 10, len(images), device=images.device)
    share = area[0] + (area[1] - area[0]) * draws[0]
    log_ratio = math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * draws[1]
    relative = log_ratio.exp() * (images.shape[2] / images.shape[3])
    sides = torch.stack([(share / relative).sqrt(), (share * relative).sqrt()])
    fits = (sides <= 1).all(0)
    first = fits.int().argmax(0, keepdim=True)
    height, width = torch.where(fits.any(0), sides.gather(1, first.expand(2, -1, -1)).squeeze(1), otherwise)
    return height, width


def _coordinates(images: Tensor) -> tuple[Tensor, Tensor]:
    """Centres of the pixels, x [1, 1, W] and y [1, H, 1], where -1 and 1 are the edges."""
    height, width = images.shape[2:]
    x = (torch.arange(width, device=images.device) * 2 + 1) / width - 1
    y = (torch.arange(height, device=images.device) * 2 + 1) / height - 1
    return x.view(1, 1, -1), y.view(1, -1, 1)


def _sample(images: Tensor, x: Tensor, y: Tensor, outside: str) -> Tensor:
    grid = torch.stack(torch.broadcast_tensors(x, y), -1)
    return like(images, F.grid_sample(images.float(), grid, padding_mode=outside, align_corners=False))
