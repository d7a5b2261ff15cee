"""Colour changes of a whole batch at once; arguments, results and draws are as in `bittern.data.geometry`."""

import torch
from torch import Tensor

from bittern.data.pixels import check_rgb, like

_EIGENVALUES = (0.2175 * 255, 0.0188 * 255, 0.0045 * 255)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Of the covariance of RGB over ImageNet's pixels, 0..255; each column is a vector."""
_LUMA = (0.299, 0.587, 0.114)
"""Grey of RGB (ITU-R BT.601)."""


def lighting(images: Tensor, deviation: float) -> Tensor:
    """``x + sum_k a_k l_k p_k`` with a_k ~ N(0, ``deviation``) once per image; l_k, p_k of ImageNet's covariance.

    Krizhevsky et al. 2012 (AlexNet), section 4.1. Some published code adds noise for pixels in 0..1 to pixels in
    0..255, which has almost no effect; here both are 0..255.
    """
    check_rgb(images, "lighting")
    values, vectors = (torch.tensor(v, device=images.device) for v in (_EIGENVALUES, _EIGENVECTORS))
    strength = torch.randn(len(images), 1, 3, device=images.device) * deviation
    shift = (strength * values * vectors).sum(2)
    return like(images, images.float() + shift[:, :, None, None])


def jitter(images: Tensor, strength: float) -> Tensor:
    """Brightness, then contrast, then saturation times factors uniform in 1 +- ``strength``, drawn for each image.

    ``x b``; ``(x - m) c + m`` with m the mean grey of the image; ``(x - g) s + g`` with g the grey of the pixel.
    """
    check_rgb(images, "jitter")
    brightness, contrast, saturation = 1 + strength * (
        2 * torch.rand(3, len(images), 1, 1, 1, device=images.device) - 1
    )
    pixels = images.float() * brightness
    mean = _grey(pixels).mean((2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * contrast
    grey = _grey(pixels)
    return like(images, grey + (pixels - grey) * saturation)


def _grey(pixels: Tensor) -> Tensor:
    return (pixels * torch.tensor(_LUMA, device=pixels.device).view(3, 1, 1)).sum(1, keepdim=True)
