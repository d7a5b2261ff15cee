"""Preprocessing of pixels and interleaved timing."""

from dataclasses import replace

import numpy as np
import pytest

from bittern.runtime import Preprocessing, Timing, interleaved, preprocess
from runtime.programs import METADATA

RULE = Preprocessing(1 / 255, (0.5, 0.25, 0.125), (0.5, 0.25, 2.0))
COLOUR = replace(METADATA, preprocessing=RULE)
GREY = replace(METADATA, input_shape=(1, 1, 8, 8), preprocessing=Preprocessing(0.0625, (0.5,), (0.25,)))


def test_pixels_are_scaled_and_normalised_per_channel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    x = preprocess(pixels, COLOUR)
    assert x.dtype == np.float32
    assert x.shape == (5, 3, 8, 8)
    expected = (pixels / 255 - np.array(RULE.mean)) / np.array(RULE.std)
    # Three roundings of numbers below 4: eps * 3 * 4.
    np.testing.assert_allclose(x, expected.transpose(0, 3, 1, 2), rtol=0, atol=3 * 4 * 2**-23)


def test_grey_pixels_may_lack_the_channel() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    np.testing.assert_array_equal(preprocess(pixels, GREY), preprocess(pixels[..., np.newaxis], GREY))


@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 3, 8, 8), (1, 8, 9, 3), (1, 8, 8, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixels must be of shape \[N, 8, 8, 3\], got"):
        preprocess(np.zeros(shape, np.uint8), COLOUR)


def test_floats_are_no_pixels() -> None:
    with pytest.raises(ValueError, match="pixels must be uint8, got float32"):
        preprocess(np.zeros((1, 8, 8, 3), np.float32), COLOUR)  # type: ignore[arg-type]


def test_a_model_without_preprocessing_says_so() -> None:
    with pytest.raises(ValueError, match="small was exported without preprocessing"):
        preprocess(np.zeros((1, 8, 8, 3), np.uint8), METADATA)


def test_functions_are_timed_in_turn() -> None:
    order: list[str] = []
    timings = interleaved(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=5, warmup=1, min_seconds=0
    )
    assert set(timings) == {"a", "b"}
    assert all(len(timing.seconds) == 5 and timing.median > 0 for timing in timings.values())
    assert order[-10:] == ["a", "b"] * 5


def test_median_and_spread() -> None:
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0))
    assert timing.median == 3.0
    assert timing.spread == pytest.approx((52.0 - 1.5) / 3.0)
    assert Timing((1.0,)).spread == 0.0


def test_nothing_to_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="no function to time"):
        interleaved({})
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        interleaved({"a": lambda: None}, rounds=0)
