"""Every image becomes the pixels that the network's source would have made of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from bittern._image_geometry import MIDDLE_SQUARE, STRETCH, TENSORFLOW, TORCHVISION, ImageGeometry
from bittern._preprocessing import IMAGENET_PIXELS
from bittern.importers import SOURCES

FIXTURES = Path(__file__).parent / "importers" / "fixtures"
GEOMETRIES = [
    STRETCH,
    MIDDLE_SQUARE,
    TENSORFLOW,
    TORCHVISION,
    ImageGeometry("stretch", 1.0, "bicubic", antialias=False),
    ImageGeometry("resize-crop", 0.5, "bilinear", antialias=False),
    ImageGeometry("crop-resize", 0.9),
]


@pytest.fixture(scope="module")
def photos() -> dict[str, Image.Image]:
    """640 x 427 pixels, and the same turned by a quarter."""
    photo = Image.fromarray(load_sample_image("china.jpg"))
    return {"landscape": photo, "portrait": photo.transpose(Image.Transpose.ROTATE_90)}


@pytest.mark.parametrize("which", ["landscape", "portrait"])
@pytest.mark.parametrize(
    ("source", "geometry", "rounding"),
    # Larq Zoo feeds bicubic values as they come, fractions, negative ones and those above 255 included.
    [("larq", TENSORFLOW, 0.5001), ("torchvision", TORCHVISION, 1e-4)],
)
def test_a_photo_gives_what_the_code_of_the_source_gave(
    source: str, geometry: ImageGeometry, rounding: float, which: str, photos: dict[str, Image.Image]
) -> None:
    rule = IMAGENET_PIXELS
    with np.load(FIXTURES / f"photo-{source}.npz") as values:  # generate/photo_pixels.py
        expected = (values[which] * np.array(rule.std) + np.array(rule.mean)) * 255
    actual = np.asarray(geometry.resize(photos[which], (224, 224)))[::8, ::8]
    assert np.abs(actual - expected.clip(0, 255)).max() <= rounding


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("high", "wide"), [(5, 4), (9, 7), (16, 13)])
def test_interpolation_without_antialiasing_is_tensorflow_s(interpolation: Any, high: int, wide: int) -> None:
    with np.load(FIXTURES / "resize-tensorflow.npz") as values:  # generate/photo_pixels.py
        image, expected = Image.fromarray(values["pixels"]), values[f"{interpolation}-{high}x{wide}"]
    actual = np.asarray(ImageGeometry("stretch", 1.0, interpolation, antialias=False).resize(image, (wide, high)))
    assert np.abs(actual - expected.clip(0, 255)).max() <= 0.5001


def test_every_importer_states_the_geometry_of_its_source() -> None:
    found = {(row.name, row.pixels.geometry) for row in SOURCES}
    assert {geometry for name, geometry in found if name == "Larq Zoo"} == {TENSORFLOW}
    assert {geometry for name, geometry in found if "ReActNet" in name} == {TORCHVISION}
    assert all(geometry is not None for _, geometry in found)


def test_a_box_of_whole_pixels_is_the_floor_of_the_share_and_lies_half_a_pixel_low() -> None:
    # Larq Zoo: floor(224 / 256 * 427) = 373; ((640 - 373) + 1) // 2 = 134, ((427 - 373) + 1) // 2 = 27.
    assert TENSORFLOW.box((640, 427), (224, 224)) == (134, 27, 134 + 373, 27 + 373)


@given(st.sampled_from(GEOMETRIES), *[st.integers(1, 300)] * 2, *[st.integers(1, 40)] * 2)
def test_any_image_becomes_any_size_from_a_box_inside(
    geometry: ImageGeometry, w: int, h: int, wide: int, high: int
) -> None:
    left, top, right, bottom = geometry.box((w, h), (wide, high))
    assert 0 <= left < right <= w + 1e-9
    assert 0 <= top < bottom <= h + 1e-9
    for mode in ("RGB", "L"):
        assert geometry.resize(Image.new(mode, (w, h), "white"), (wide, high)).size == (wide, high)


@given(st.sampled_from(GEOMETRIES[1:4]), st.integers(20, 300), st.integers(20, 300))
def test_shapes_are_kept(geometry: ImageGeometry, w: int, h: int) -> None:
    left, top, right, bottom = geometry.box((w, h), (28, 28))
    assert (right - left) / (bottom - top) == pytest.approx(1, abs=0.06)  # sides in whole pixels
    assert max(right - left, bottom - top) == pytest.approx(geometry.crop * min(w, h), rel=0.04, abs=1.5)


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (3, 40_000)])
def test_very_long_images_need_no_more_memory_than_others(size: tuple[int, int]) -> None:
    # Resized until their shorter side is 256, they would have up to 4 billion pixels.
    assert TORCHVISION.resize(Image.new("RGB", size, "red"), (224, 224)).getpixel((100, 100)) == (255, 0, 0)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_geometry_survives_json_and_has_words(geometry: ImageGeometry) -> None:
    assert ImageGeometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry
    assert "224 x 200" in geometry.describe((224, 200))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fit": "crop"}, "geometry: fit must be one of stretch, resize-crop, crop-resize, got 'crop'"),
        ({"crop": 0}, "geometry: crop must be from 0.1 to 1, got 0"),
        ({"crop": 1e-300}, "geometry: crop must be from 0.1 to 1, got 1e-300"),
        ({"crop": 1.01}, "geometry: crop must be from 0.1 to 1, got 1.01"),
        ({"crop": 1e999}, "geometry: crop must be finite"),
        ({"interpolation": "lanczos"}, "geometry: interpolation must be one of bilinear, bicubic, got 'lanczos'"),
        ({"interpolation": 3}, "geometry: interpolation must be a string, is 3"),
        ({"antialias": "yes"}, "geometry: antialias must be true or false, is 'yes'"),
        ({"fit": "stretch"}, "geometry: crop must be 1 where the whole image is stretched, got 0.875"),
    ],
)
def test_what_is_no_geometry_is_refused_with_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageGeometry.from_json({**TORCHVISION.to_json(), **change})
