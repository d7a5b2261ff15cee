"""From the pixels of an image file to the network's input."""

import numpy as np
import numpy.typing as npt

from bittern.runtime.metadata import Metadata


def preprocess(pixels: npt.NDArray[np.uint8], metadata: Metadata) -> npt.NDArray[np.float32]:
    """The input for ``pixels`` as the model's metadata says: ``(pixels * scale - mean) / std``, in float32.

    Args:
        pixels: uint8 ``[N, H, W, C]``, RGB or grey (C = 1, or left out: ``[N, H, W]``), of the model's size.
        metadata: of a model with preprocessing.

    Returns:
        float32 ``[N, C, H, W]``, with the channels innermost in memory, as networks are exported.

    Raises:
        ValueError: another dtype or shape, or a model that says nothing about pixels.
    """
    rule = metadata.preprocessing
    if rule is None:
        raise ValueError(f"{metadata.model} was exported without preprocessing: make its float32 input yourself")
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8, got {pixels.dtype}")
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    channels, height, width = metadata.input_shape[1:]
    if pixels.ndim != 4 or pixels.shape[1:] != (height, width, channels):
        raise ValueError(f"pixels must be of shape [N, {height}, {width}, {channels}], got {list(pixels.shape)}")
    values: npt.NDArray[np.float32] = pixels.astype(np.float32) * np.float32(rule.scale)
    values -= np.asarray(rule.mean, np.float32)
    values /= np.asarray(rule.std, np.float32)
    return values.transpose(0, 3, 1, 2)
