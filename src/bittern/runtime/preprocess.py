"""From image files to the pixels, and from pixels to the input, of a model."""

import os
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bittern._image_geometry import STRETCH, ImageGeometry
from bittern._preprocessing import Preprocessing
from bittern.runtime.metadata import Metadata

_MODES = {1: "L", 3: "RGB"}
"""Channels of the model -> Pillow's mode."""


def read_pixels(paths: Sequence[str | os.PathLike[str]], metadata: Metadata) -> npt.NDArray[np.uint8]:
    """Image files as the pixels that a model takes, by the geometry in its metadata; needs Pillow.

    Each image is turned upright and, where it is transparent, put on white.

    Returns:
        uint8 ``[N, H, W, C]``, for `preprocess`.

    Raises:
        ValueError: a file is missing or not an image, or the model takes neither grey nor RGB images.

    Warns:
        UserWarning: the metadata has no geometry, and an image is not of the model's shape: it is stretched.
    """
    from bittern._image_files import ImageError, convert, open_image, read_image_file

    _, channels, height, width = _image_shape(metadata)
    geometry, pixels = None, np.empty((len(paths), height, width, channels), np.uint8)
    for i, path in enumerate(paths):
        try:
            with open_image(read_image_file(path)) as file:
                image = convert(file, _MODES[channels])
        except FileNotFoundError:
            raise ValueError(f"image {path} does not exist") from None
        except (OSError, ImageError) as error:
            raise ValueError(f"image {path} cannot be read: {error}") from error
        if image.size != (width, height):
            geometry = geometry or geometry_of(metadata)
            image = geometry.resize(image, (width, height))
        pixels[i] = np.asarray(image).reshape(height, width, channels)
    return pixels


def geometry_of(metadata: Metadata) -> ImageGeometry:
    """How images of any size become the model's pixels.

    Warns:
        UserWarning: the metadata does not say; images are stretched.
    """
    geometry = metadata.preprocessing.geometry if metadata.preprocessing is not None else None
    if geometry is None:
        _, _, height, width = _image_shape(metadata)
        warnings.warn(
            f"{metadata.model} does not say how an image becomes its {width} x {height} pixels: it is stretched; if it "
            "was trained otherwise, export it again with a geometry in its preprocessing",
            stacklevel=2,
        )
    return geometry or STRETCH


def _image_shape(metadata: Metadata) -> tuple[int, ...]:
    if len(metadata.input_shape) != 4 or metadata.input_shape[1] not in _MODES:
        raise ValueError(f"{metadata.model} takes inputs of shape {list(metadata.input_shape)}, not images")
    return metadata.input_shape


def rule_of(metadata: Metadata) -> Preprocessing:
    """The preprocessing in ``metadata``; ValueError if there is none."""
    if metadata.preprocessing is None:
        raise ValueError(f"{metadata.model} was exported without preprocessing: compute its float32 input yourself")
    return metadata.preprocessing


def preprocess(pixels: npt.NDArray[np.uint8], metadata: Metadata) -> npt.NDArray[np.float32]:
    """A model's input for ``pixels``, by the preprocessing in its metadata: ``(pixels * scale - mean) / std``.

    Args:
        pixels: uint8 ``[N, H, W, C]``, RGB or grey (C = 1, or left out: ``[N, H, W]``), of the model's size;
            `read_pixels` makes them of image files of any size.
        metadata: of a model with preprocessing.

    Returns:
        float32 ``[N, C, H, W]``, with the channels innermost in memory, as exported networks read them.

    Raises:
        ValueError: another dtype or shape, or a model without preprocessing.
    """
    rule = rule_of(metadata)
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8, got {pixels.dtype}")
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    channels, height, width = metadata.input_shape[1:]
    if pixels.ndim != 4 or pixels.shape[1:] != (height, width, channels):
        raise ValueError(f"pixels must be of shape [N, {height}, {width}, {channels}], got {list(pixels.shape)}")
    return rule.of_array(pixels)
