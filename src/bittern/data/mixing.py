"""Mixing pairs of training images and their targets, a whole batch at once, on its device.

``images`` are floating-point [N, C, H, W], preprocessed; ``targets`` are floating-point [N, classes], one-hot or soft
(``F.one_hot(labels, classes).float()``). Random draws come from torch's global generator of the device: the share
l ~ Beta(alpha, alpha), once for the batch, then a permutation that pairs the images.
"""

import torch
from torch import Tensor

from bittern.data.erase import box_mask


def mixup(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """``l x_i + (1 - l) x_j`` and ``l y_i + (1 - l) y_j`` (Zhang et al. 2017, arXiv:1710.09412)."""
    share, partners = _draw(images, targets, alpha)
    return _blend(images, partners, share), _blend(targets, partners, share)


def cutmix(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """A box of x_j in x_i, and ``l y_i + (1 - l) y_j`` with 1 - l the box's share of the pixels.

    The box has H sqrt(1 - l) x W sqrt(1 - l) pixels, rounded down, around a random pixel, and is clipped at the border;
    l is then the share of pixels that remain (Yun et al. 2019, arXiv:1905.04899).
    """
    share, partners = _draw(images, targets, alpha)
    size = torch.tensor(images.shape[2:], device=images.device)
    sides = (size * (1 - share).sqrt()).floor()
    first = (torch.rand(2, device=images.device) * size).floor() - (sides / 2).floor()
    (top, left), (bottom, right) = first, first + sides
    inside = box_mask(images, top, left, bottom, right)
    kept = 1 - inside.float().mean()
    return torch.where(inside, images[partners], images), _blend(targets, partners, kept)


def _draw(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0, got {alpha}; for unmixed images, do not call this")
    for what, tensor in (("images", images), ("targets", targets)):
        if not tensor.is_floating_point():
            raise ValueError(f"{what} must be floating-point to be mixed, got {tensor.dtype}")
    if targets.dim() != 2 or len(targets) != len(images):
        raise ValueError(f"targets must be [{len(images)}, classes] for {len(images)} images, got {[*targets.shape]}")
    both = torch.full((2,), float(alpha), device=images.device)
    share = torch.distributions.Beta(both[0], both[1], validate_args=False).sample()
    return share, torch.randperm(len(images), device=images.device)


def _blend(values: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    share = share.to(values.dtype)
    return share * values + (1 - share) * values[partners]
