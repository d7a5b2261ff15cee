"""From encoded images to pixels, in this process."""

import io
import struct
import zlib
from dataclasses import astuple
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bittern._image_files import ImageError
from bittern._image_geometry import TORCHVISION
from bittern.data.decode import decode, random_resized_crop

MIDDLE = astuple(TORCHVISION)


def encoded(picture: Image.Image, encoding: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, encoding, **options)
    return file.getvalue()


def pixels(content: bytes, side: int, view: Any = MIDDLE) -> np.ndarray:
    return np.frombuffer(decode(content, side, view), np.uint8).reshape(side, side, 3)


def smooth(width: int, height: int) -> Image.Image:
    """Ramps and waves, which JPEG preserves well."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = np.stack([x, y, 0.5 + 0.5 * np.sin(6 * x + 4 * y)], 2)
    return Image.fromarray(np.rint(waves * 255).astype(np.uint8))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def test_evaluation_takes_the_middle_seven_eighths() -> None:
    picture = noise(80, 64)
    assert np.array_equal(pixels(encoded(picture, "png"), 56), np.asarray(picture)[4:60, 12:68])


@pytest.mark.parametrize("size", [(128, 192), (192, 128), (64, 96), (32, 32)])
def test_evaluation_is_a_resize_of_the_shorter_side_and_a_crop(size: tuple[int, int]) -> None:
    picture = noise(*size)
    factor = 64 / min(size)
    resized = picture.resize((round(size[0] * factor), round(size[1] * factor)), Image.Resampling.BILINEAR)
    left, top = (resized.width - 56) // 2, (resized.height - 56) // 2
    expected = np.asarray(resized)[top : top + 56, left : left + 56]
    assert np.array_equal(pixels(encoded(picture, "png"), 56), expected)


@pytest.mark.parametrize("size", [(200, 100), (37, 300), (1, 500), (1, 1), (300, 2)])
@pytest.mark.parametrize("view", [MIDDLE, "3/14"])
def test_any_shape_of_image_gives_the_square(size: tuple[int, int], view: Any) -> None:
    assert pixels(encoded(smooth(*size), "png"), 24, view).shape == (24, 24, 3)


def test_training_enlarges_the_box_of_the_key() -> None:
    picture = noise(70, 90)
    for number in range(20):
        box = random_resized_crop(70, 90, Random(f"0/{number}"))
        expected = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR, box=box))
        assert np.array_equal(pixels(encoded(picture, "png"), 32, f"0/{number}"), expected)


@pytest.mark.parametrize("size", [(1024, 768), (1001, 777)])
def test_a_jpeg_decoded_small_is_nearly_the_same(size: tuple[int, int]) -> None:
    picture = smooth(*size)
    for number in range(10):
        exact = pixels(encoded(picture, "png"), 48, str(number)).astype(int)
        reduced = pixels(encoded(picture, "jpeg", quality=95), 48, str(number)).astype(int)
        assert np.abs(exact - reduced).mean() < 0.6  # grey levels; a box that is half a pixel off differs by more


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers())
def test_random_boxes_lie_inside_with_allowed_ratio(width: int, height: int, key: int) -> None:
    left, top, right, bottom = random_resized_crop(width, height, Random(key))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    # Sides are rounded to pixels.
    across, down = right - left, bottom - top
    assert (across - 1) / (down + 1) <= 4 / 3
    assert (across + 1) / (down - 1 or 0.1) >= 3 / 4


def test_random_boxes_cover_area_ratio_and_place() -> None:
    boxes = np.array([random_resized_crop(500, 400, Random(key)) for key in range(2000)])
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, ratio = across * down / 200_000, across / down
    assert 0.079 < area.min() < 0.09
    assert 0.95 < area.max() <= 1
    assert 0.74 < ratio.min() < 0.76
    assert 1.31 < ratio.max() < 1.345
    assert boxes[:, :2].min() == 0
    assert boxes[:, 2].max() == 500
    assert boxes[:, 3].max() == 400


def test_an_image_too_narrow_for_any_box_gives_its_middle() -> None:
    assert random_resized_crop(4, 3000, Random(0)) == pytest.approx((0, 1500 - 8 / 3, 4, 1500 + 8 / 3))


def solid(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (20, 20), colour)


def palette(**options: Any) -> Image.Image:
    picture = solid("P", 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    picture.info.update(options)
    return picture


FORMS: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "grey jpeg": (encoded(solid("L", 120), "jpeg"), (120, 120, 120)),
    "grey png with alpha": (encoded(solid("LA", (120, 51)), "png"), (228, 228, 228)),
    "one bit": (encoded(solid("1", 1), "png"), (255, 255, 255)),
    "cmyk jpeg": (encoded(solid("CMYK", (0, 255, 0, 0)), "jpeg"), (255, 0, 255)),
    "cmyk tiff": (encoded(solid("CMYK", (0, 255, 0, 0)), "tiff"), (255, 0, 255)),
    "palette png": (encoded(palette(), "png"), (200, 100, 50)),
    "palette png with transparency": (encoded(palette(), "png", transparency=b"\xff\x33"), (244, 224, 214)),
    "palette gif": (encoded(palette(), "gif"), (200, 100, 50)),
    "rgba png": (encoded(solid("RGBA", (10, 20, 30, 0)), "png"), (255, 255, 255)),
    "rgb webp": (encoded(solid("RGB", (10, 20, 30)), "webp", lossless=True), (10, 20, 30)),
    "rgb bmp": (encoded(solid("RGB", (10, 20, 30)), "bmp"), (10, 20, 30)),
    "rgb ppm": (encoded(solid("RGB", (10, 20, 30)), "ppm"), (10, 20, 30)),
    "16-bit grey png": (encoded(solid("I;16", 0x8040), "png"), (0x80, 0x80, 0x80)),
    "mpo": (encoded(solid("L", 120), "mpo", save_all=True, append_images=[solid("L", 7)]), (120, 120, 120)),
}


@pytest.mark.parametrize("view", [MIDDLE, "0/0"])
@pytest.mark.parametrize(("content", "colour"), FORMS.values(), ids=FORMS)
def test_every_form_of_image_becomes_rgb(content: bytes, colour: tuple[int, int, int], view: Any) -> None:
    assert np.abs(pixels(content, 8, view).astype(int) - colour).max() <= 1


TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Orientation in EXIF -> how a camera held that way stores an upright scene."""


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("encoding", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("view", [MIDDLE, "1/3"])
def test_training_and_evaluation_see_every_image_upright(encoding: str, orientation: int, view: Any) -> None:
    upright, exif = smooth(400, 240), Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if encoding == "webp" else {"quality": 95} if encoding == "jpeg" else {}
    stored = encoded(upright.transpose(TURNED[orientation]), encoding, exif=exif, **options)
    expected = pixels(encoded(upright, "png"), 32, view).astype(int)
    assert np.abs(pixels(stored, 32, view) - expected).mean() < 2


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that declares this many pixels and holds none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "text": b"<html>404 Not Found</html>",
    "zeros": bytes(5000),
    "first bytes alone": encoded(smooth(64, 64), "jpeg")[:3],
    "jpeg cut in half": encoded(noise(64, 64), "jpeg")[:2000],
    "jpeg cut at its end": encoded(noise(64, 64), "jpeg")[:-40],
    "png cut in half": encoded(noise(64, 64), "png")[:6000],
    "webp cut in half": encoded(noise(64, 64), "webp")[:1000],
    "gif cut in half": encoded(noise(64, 64), "gif")[:1200],
    "png of no pixels": png_of_size(64, 64),
    "decompression bomb": png_of_size(60_000, 60_000),
    "small decompression bomb": png_of_size(10_000, 10_000),
    "no decompression bomb of pillow's": png_of_size(9_000, 9_950),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
}


@pytest.mark.parametrize("view", [MIDDLE, "0/0"])
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_image_is_one_error(content: bytes, view: Any) -> None:
    with pytest.raises(ImageError, match=r"."):
        decode(content, 32, view)
