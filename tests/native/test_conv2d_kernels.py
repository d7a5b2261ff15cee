"""Every kernel of conv2d, conv2d_lookup and conv2d_pairs, run by name, keeps the contract of conv2d.h.

The operators' tests cover shapes and epilogues; these cover what no operator asks for: ranges of pixels, other strides
in memory, untouched neighbours of the output.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from native.reference import Conv, conv2d, pack, pack_weight, random_signs, words
from native.sanitized import Native

FILLER = 0x5A5A5A5A


def skip_unless_for(native: Native, kernel: str, channels: int) -> None:
    """Sizes alone do not matter here: a kernel is only slow on small layers."""
    large = {"pixels": 1000, "filters": 1000, "words": 100}
    if rule := native.conv2d_why_not(kernel, **large, pixel_words=words(channels)):
        pytest.skip(f"{kernel} does not take {rule}")


class Problem:
    """A convolution without padding on maps [images, 6, 9] and its kernel arguments."""

    def __init__(self, channels: int, filters: int, kernel: int = 3, stride: int = 1, images: int = 2) -> None:
        rng = np.random.default_rng(channels + filters)
        height, width, depth = 6, 9, words(channels)
        x = random_signs(rng, images, height, width, channels)
        weight = random_signs(rng, filters, kernel, kernel, channels)
        conv = Conv(channels, filters, (kernel, kernel), (stride, stride))
        self.dot = conv2d(x, weight, conv).reshape(-1, filters)
        self.out_height, self.out_width = conv.out_size(height, width)
        self.filters = filters
        row = width * depth
        self.arguments: dict[str, Any] = {
            "input": pack(x < 0).view(np.uint32).reshape(-1),
            "image_stride": height * row,
            "row_stride": stride * row,
            "pixel_stride": stride * depth,
            "out_height": self.out_height,
            "out_width": self.out_width,
            "run_offsets": np.arange(kernel, dtype=np.int64) * row,
            "run_words": kernel * depth,
            "weight": pack_weight(weight).view(np.uint32).reshape(-1),
            "filters": filters,
            "valid_bits": kernel * kernel * channels,
            "channels": filters,
            "pixel_words": depth,
            "images": images,
        }

    @property
    def pixels(self) -> int:
        return self.dot.shape[0]

    def values(self, channels: int | None = None) -> NDArray[np.float32]:
        return np.full(self.pixels * (channels or self.filters), np.nan, np.float32)

    def bits(self, channels: int | None = None) -> NDArray[np.uint32]:
        return np.full(self.pixels * words(channels or self.filters), FILLER, np.uint32)


@pytest.mark.parametrize("filters", [1, 15, 16, 17, 32, 48, 64, 80, 100, 260])
@pytest.mark.parametrize("channels", [1, 32, 33, 96, 128, 190, 256, 500, 1024])
def test_dot_products(any_native: Native, conv2d_kernel: str, channels: int, filters: int) -> None:
    skip_unless_for(any_native, conv2d_kernel, channels)
    problem = Problem(channels, filters)
    arguments = {**problem.arguments, "values": problem.values()}
    values, bits, _ = any_native.conv2d(conv2d_kernel, arguments, 0, problem.pixels)
    np.testing.assert_array_equal(values.reshape(problem.dot.shape), problem.dot)
    assert bits is None


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("images", [1, 3])
def test_windows_of_any_stride(any_native: Native, conv2d_kernel: str, stride: int, images: int) -> None:
    problem = Problem(64, 64, stride=stride, images=images)
    values, _, _ = any_native.conv2d(
        conv2d_kernel, {**problem.arguments, "values": problem.values()}, 0, problem.pixels
    )
    np.testing.assert_array_equal(values.reshape(problem.dot.shape), problem.dot)


@pytest.mark.parametrize("filters", [20, 80])
def test_thresholds_on_dot_products(any_native: Native, conv2d_kernel: str, filters: int) -> None:
    problem = Problem(64, filters)
    threshold = np.random.default_rng(1).integers(-30, 30, filters, dtype=np.int32)
    arguments = {**problem.arguments, "bits": problem.bits(), "bit_threshold": threshold}
    _, bits, _ = any_native.conv2d(conv2d_kernel, arguments, 0, problem.pixels)
    halves = -(-filters // 16)
    written = bits.view(np.uint16).reshape(problem.pixels, -1)[:, :halves]
    expected = pack(problem.dot < threshold).view(np.uint16).reshape(problem.pixels, -1)[:, :halves]
    np.testing.assert_array_equal(written, expected)


def test_a_pair_of_words_counts_every_combination_of_its_bits(any_native: Native, conv2d_kernel: str) -> None:
    """16 pixels and filters of two channels in different words: the identity of conv2d_pairs.h."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    x, weight = np.ones((1, 1, 4, 64)), np.ones((4, 1, 1, 64))
    x[0, 0, :, [5, 37]] = signs.T
    weight[:, 0, 0, [5, 37]] = signs
    arguments = {
        "input": pack(x < 0).view(np.uint32).reshape(-1),
        "image_stride": 8,
        "row_stride": 8,
        "pixel_stride": 2,
        "out_height": 1,
        "out_width": 4,
        "run_offsets": np.zeros(1, np.int64),
        "run_words": 2,
        "weight": pack_weight(weight).view(np.uint32).reshape(-1),
        "filters": 4,
        "valid_bits": 64,
        "channels": 4,
        "pixel_words": 2,
        "values": np.full(16, np.nan, np.float32),
    }
    values, _, _ = any_native.conv2d(conv2d_kernel, arguments, 0, 4)
    np.testing.assert_array_equal(values.reshape(4, 4), 62 + signs @ signs.T)


@pytest.mark.parametrize("begin", [0, 1, 3, 17])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 30])
def test_only_the_pixels_asked_for_are_written(any_native: Native, conv2d_kernel: str, begin: int, count: int) -> None:
    problem, part = Problem(40, 50, stride=1), slice(begin, begin + count)
    arguments = {**problem.arguments, "values": problem.values(), "bits": problem.bits()}
    values, bits, _ = any_native.conv2d(conv2d_kernel, arguments, begin, begin + count)
    expected = np.full(problem.dot.shape, np.nan, np.float32)
    expected[part] = problem.dot[part]
    np.testing.assert_array_equal(values.reshape(expected.shape), expected)
    untouched = np.delete(bits.reshape(problem.pixels, -1), np.arange(begin, begin + count), axis=0)
    assert (untouched == FILLER).all()
    np.testing.assert_array_equal(bits.reshape(problem.pixels, -1)[part], pack(problem.dot[part] < 0).view(np.uint32))


@pytest.mark.parametrize("first_channel", [0, 16, 32])
def test_whole_halves_of_words_are_written(any_native: Native, conv2d_kernel: str, first_channel: int) -> None:
    problem, channels = Problem(40, 48), 96
    arguments = {
        **problem.arguments,
        "channels": channels,
        "first_channel": first_channel,
        "bits": problem.bits(channels),
    }
    _, bits, _ = any_native.conv2d(conv2d_kernel, arguments, 0, problem.pixels)
    halves = bits.view(np.uint16).reshape(problem.pixels, -1)
    own = slice(first_channel // 16, first_channel // 16 + 3)
    np.testing.assert_array_equal(halves[:, own], pack(problem.dot < 0).view(np.uint16)[:, :3])
    assert (np.delete(halves, np.arange(own.start, own.stop), axis=1) == FILLER & 0xFFFF).all()


@pytest.mark.parametrize("first_channel", [1, 15, 17, 20, 31])
def test_bits_between_halves_are_merged(any_native: Native, conv2d_kernel: str, first_channel: int) -> None:
    problem, channels = Problem(40, 37), 80
    merged = np.zeros((problem.pixels, channels), bool)
    merged[:, :first_channel] = True
    before = pack(merged).view(np.uint32).reshape(-1)
    arguments = {**problem.arguments, "channels": channels, "first_channel": first_channel, "bits": before}
    _, bits, _ = any_native.conv2d(conv2d_kernel, arguments, 0, problem.pixels)
    merged[:, first_channel : first_channel + 37] = problem.dot < 0
    np.testing.assert_array_equal(bits.reshape(problem.pixels, -1), pack(merged).view(np.uint32))


def test_taps_may_lie_anywhere(any_native: Native, conv2d_kernel: str) -> None:
    problem = Problem(33, 20)
    arguments = problem.arguments
    row, depth = arguments["row_stride"], arguments["pixel_stride"]
    arguments["run_offsets"] = np.array([i * row + j * depth for i in range(3) for j in range(3)], np.int64)
    arguments |= {"run_words": depth, "values": problem.values()}
    values, _, _ = any_native.conv2d(conv2d_kernel, arguments, 0, problem.pixels)
    np.testing.assert_array_equal(values.reshape(problem.dot.shape), problem.dot)


@pytest.mark.parametrize("whole", [(0, 0), (1, 6), (2, 7)])
def test_border_classes_correct_the_count(any_native: Native, conv2d_kernel: str, whole: tuple[int, int]) -> None:
    problem = Problem(40, 50)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, problem.out_height, dtype=np.int32)
    columns = rng.integers(0, 3, problem.out_width, dtype=np.int32)
    columns[slice(*whole)] = 0
    counts = rng.integers(0, 50, (6, 64), dtype=np.uint32)
    valid = rng.integers(0, 360, 6, dtype=np.int32)
    valid[0], counts[0] = 360, 0
    arguments = {
        **problem.arguments,
        "values": problem.values(),
        "row_class": rows,
        "column_class": columns,
        "column_classes": 3,
        "border_valid_bits": valid,
        "border_counts": counts.reshape(-1),
        "first_whole": whole[0],
        "last_whole": whole[1],
    }
    values, _, _ = any_native.conv2d(conv2d_kernel, arguments, 0, problem.pixels)
    classes = np.tile((rows[:, None] * 3 + columns).reshape(-1), 2)
    # dot = 360 - 2 count, so count = (360 - dot) / 2
    expected = valid[classes][:, None] - 2 * ((360 - problem.dot) // 2 - counts[classes, :50].astype(np.int64))
    np.testing.assert_array_equal(values.reshape(expected.shape), expected)


@pytest.mark.parametrize("tap_words", [1, 2, 40])
def test_tap_counts(any_native: Native, conv2d_kernel: str, tap_words: int) -> None:
    if conv2d_kernel.startswith(("lookup_", "pairs_")):
        pytest.skip("only direct kernels have this function")
    blocks, taps = 3, 9
    shape = (blocks, taps, tap_words, 16)
    weight = np.random.default_rng(0).integers(0, 2**32, shape, dtype=np.uint32)
    weight[0] = 0xFFFFFFFF
    before = np.full(taps * blocks * 16, FILLER, np.uint32)
    counts = any_native.tap_counts(conv2d_kernel, weight.reshape(-1), blocks, taps, tap_words, before)
    expected = np.bitwise_count(weight).astype(np.int64).sum(axis=2).transpose(1, 0, 2)
    np.testing.assert_array_equal(counts.reshape(expected.shape), expected)
