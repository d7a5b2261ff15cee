"""From the pixels of an image file to a model's input."""

import numpy as np
import numpy.typing as npt

from bittern.runtime.metadata import Metadata


def preprocess(pixels: npt.NDArray[np.uint8], metadata: Metadata) -> npt.NDArray[np.float32]:
    """A model's input for ``pixels``, by the preprocessing in its metadata: ``(pixels * scale - mean) / std``.

    Args:
        pixels: uint8 ``[N, H, W, C]``, RGB or grey (C = 1, or left out: ``[N, H, W]``), of the model's size.
        metadata: of a model with preprocessing.

    Returns:
        float32 ``[N, C, H, W]``, with the channels innermost in memory, as exported networks read them.

    Raises:
        ValueError: another dtype or shape, or a model without preprocessing.
    """
    rule = metadata.preprocessing
    if rule is None:
        raise ValueError(f"{metadata.model} was exported without preprocessing: compute its float32 input yourself")
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8, got {pixels.dtype}")
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    channels, height, width = metadata.input_shape[1:]
    if pixels.ndim != 4 or pixels.shape[1:] != (height, width, channels):
        raise ValueError(f"pixels must be of shape [N, {height}, {width}, {channels}], got {list(pixels.shape)}")
    return rule.of_array(pixels)
