"""Boxes painted over in a whole batch at once; arguments, results and draws are as in `bittern.data.geometry`.

The paint is the mean colour of the image, which preprocessing maps close to the papers' 0.
"""

import torch
from torch import Tensor

from bittern.data.geometry import random_box_sides
from bittern.data.pixels import like


def cutout(images: Tensor, side: int) -> Tensor:
    """Paints a square of ``side`` pixels around a random pixel, clipped at the border.

    DeVries et al. 2017, arXiv:1708.04552.
    """
    n, _, height, width = images.shape
    draws = torch.rand(2, n, device=images.device)
    top, left = (draws[0] * height).floor() - side // 2, (draws[1] * width).floor() - side // 2
    return _paint(images, top, left, top + side, left + side)


def random_erase(images: Tensor, share: float = 0.5) -> Tensor:
    """Paints, in a ``share`` of the images, a box of 2 to 33 % of the image and ratio 0.3 to 3.3, wholly inside.

    Zhong et al. 2017, arXiv:1708.04896.
    """
    n, _, height, width = images.shape
    tall, wide = random_box_sides(images, (0.02, 0.33), (0.3, 3.3), otherwise=0.0)
    draws = torch.rand(3, n, device=images.device)
    tall, wide = (tall * height).round() * (draws[2] < share), (wide * width).round()
    top, left = (draws[0] * (height - tall + 1)).floor(), (draws[1] * (width - wide + 1)).floor()
    return _paint(images, top, left, top + tall, left + wide)


def _paint(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    inside = box_mask(images, top, left, bottom, right)
    return torch.where(inside, like(images, images.float().mean((2, 3), keepdim=True)), images)


def box_mask(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """bool [N, 1, H, W]: rows ``top`` <= y < ``bottom`` and columns ``left`` <= x < ``right``, each [N] or [1]."""
    y = torch.arange(images.shape[2], device=images.device).view(1, -1, 1)
    x = torch.arange(images.shape[3], device=images.device).view(1, 1, -1)
    top, left, bottom, right = (side.view(-1, 1, 1) for side in (top, left, bottom, right))
    return ((y >= top) & (y < bottom) & (x >= left) & (x < right)).unsqueeze(1)
