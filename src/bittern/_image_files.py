"""Opening images that somebody else may have made: one list of formats and one set of limits for every reader.

It imports little beside Pillow, so that a process that only decodes images starts quickly (``bittern/data/decode.py``).
"""

import io
import os
import warnings

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from bittern._files import open_file

_LATE = (TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)  # else Pillow loads every plugin
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", *_LATE)
"""Names of Pillow's decoders. EPS is none of them: it would start Ghostscript."""
MAX_BYTES = 1 << 29
"""Of an encoded image."""
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Of a decoded image: Pillow's own bound against images that are small as files and fill the memory."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation in EXIF -> what turns the stored image upright."""
_SWAPPING = (5, 6, 7, 8)
_WIDE_GREY = ("I", "I;16", "I;16L", "I;16B")
_REASON_LENGTH = 200


class ImageError(ValueError):
    """An image cannot be read; the message says why, and begins so that it can follow the image's name."""


def read_image_file(path: str | os.PathLike[str]) -> bytes:
    """The encoded bytes of an ordinary file of at most `MAX_BYTES`.

    Raises:
        ImageError: it is larger.
        OSError: it is missing, cannot be read, or is a folder, pipe or device.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        check_bytes(size)
        return file.read(size)


def check_bytes(count: int) -> None:
    """ImageError if an encoded image of ``count`` bytes is too large to be read."""
    if count > MAX_BYTES:
        raise ImageError(f"is a file of {count:,} bytes, the limit is {MAX_BYTES:,}: make it smaller")


def open_image(encoded: bytes) -> Image.Image:
    """The image in ``encoded``, not yet decoded.

    Raises:
        ImageError: it is of none of `FORMATS`, or has more than `MAX_PIXELS` pixels.
    """
    check_bytes(len(encoded))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes, which are checked here, and damaged tags
            image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError("is not an image, or of an unknown format") from None
    except Exception as error:  # decoders raise whatever a damaged header makes them raise
        raise ImageError(reason_of(error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"has {image.width} x {image.height} pixels, the limit is {MAX_PIXELS:,}: make it smaller")
    return image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(Width, height) after `convert` has turned it upright. Formats but JPEG are decoded for it."""
    if image.format not in ("JPEG", "MPO"):  # TIFF's decoder turns by itself
        _load(image)
    return image.size[::-1] if _orientation(image) in _SWAPPING else image.size


def is_turned(image: Image.Image) -> bool:
    """Whether the stored width is the height of the upright image."""
    return _orientation(image) in _SWAPPING


def convert(image: Image.Image, mode: str) -> Image.Image:
    """``image`` decoded, turned upright as EXIF says, on white where it is transparent, in ``mode`` ("RGB" or "L").

    16-bit grey keeps its high bits, where Pillow alone would clip at 255.

    Raises:
        ImageError: its pixels cannot be decoded.
    """
    _load(image)
    try:
        if (turn := _TURNS.get(_orientation(image))) is not None:
            image = image.transpose(turn)
        if image.mode in _WIDE_GREY:
            image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert(mode)
    except Exception as error:
        raise ImageError(reason_of(error)) from error


def _load(image: Image.Image) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
    except Exception as error:
        raise ImageError(reason_of(error)) from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF data say nothing
        return 1


def reason_of(error: Exception) -> str:
    """Why an image could not be read, in one line."""
    if isinstance(error, ImageError):
        return str(error)
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:_REASON_LENGTH]
