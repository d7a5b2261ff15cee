"""Reads image files as the pixels that a model takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bittern.runtime import Metadata

_MODES = {1: "L", 3: "RGB"}
"""Channels of the model -> Pillow's mode."""


def read_pixels(paths: Sequence[Path], metadata: Metadata) -> npt.NDArray[np.uint8]:
    """uint8 [N, H, W, C]: each image turned upright, on white where it is transparent, stretched to H x W.

    Raises:
        ValueError: a file is missing or not an image, or the model takes neither grey nor RGB images.
    """
    if len(metadata.input_shape) != 4 or metadata.input_shape[1] not in _MODES:
        raise ValueError(f"{metadata.model} takes inputs of shape {list(metadata.input_shape)}, not images")
    _, channels, height, width = metadata.input_shape
    return np.stack([_read(path, _MODES[channels], (width, height)) for path in paths]).reshape(
        len(paths), height, width, channels
    )


def _read(path: Path, mode: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageOps

    if not path.is_file():
        raise ValueError(f"image {path} {'is a folder' if path.is_dir() else 'does not exist'}")
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):
                # Pillow would clip 16-bit grey at 255.
                image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.asarray(image.convert(mode).resize(size, Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {path} cannot be read: {error}") from error
