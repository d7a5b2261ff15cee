"""The images that `bittern export --int8` calibrates on."""

from pathlib import Path
from typing import TYPE_CHECKING

from bittern.cli._datasets import Consumer, sample
from bittern.cli._deploy import SEED, Network

if TYPE_CHECKING:
    from torch import Tensor


def calibration_images(network: Network, data: Path | None, count: int) -> "tuple[Tensor, str]":
    """At most ``count`` preprocessed images for ``network``, float32 [N, C, H, W], and their source.

    Training images of the run's data set, read from ``data`` if it needs a folder; otherwise image files in ``data``
    and below it; otherwise, for random weights, noise.

    Raises:
        ValueError: there are none.
    """
    from bittern._image_geometry import MIDDLE_SQUARE
    from bittern.data import Preprocessing

    channels = network.input_shape[0]
    # Random weights come with no preprocessing: pixels in [-1, 1].
    rule = network.preprocessing or Preprocessing(1 / 255, (0.5,) * channels, (0.5,) * channels, MIDDLE_SQUARE)
    found = sample(Consumer(network.name, network.input_shape, rule, network.dataset), data, "train", count)
    if found is not None:
        return found
    if network.trained:
        raise ValueError(
            f"--int8 needs images for its scales, and {network.name} has no data set: name a folder by --data DIR"
        )
    import torch

    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(count, *network.input_shape, generator=generator), "noise images"
