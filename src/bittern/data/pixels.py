"""What augmentations share: checks before, rounding after."""

import torch
from torch import Tensor


def like(images: Tensor, result: Tensor) -> Tensor:
    """``result`` clamped to 0..255 and in the dtype of ``images``, rounded if that is uint8."""
    result = result.clamp(0, 255)
    return (result.round() if images.dtype == torch.uint8 else result).to(images.dtype)


def check_rgb(images: Tensor, what: str) -> None:
    """ValueError unless the images have three channels."""
    if images.shape[1] != 3:
        raise ValueError(f"{what} changes colours: it needs 3 channels (RGB), got {images.shape[1]}")
