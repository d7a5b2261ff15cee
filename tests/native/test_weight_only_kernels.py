"""Every kernel of conv2d_weight_only, run by name, writes the pixels asked for and nothing else.

The operators' tests cover shapes and epilogues.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from native.reference import pack, pack_weight, random_signs, words
from native.sanitized import Native

FILLER = 0x5A5A5A5A


class Problem:
    """Rows of `features` values times `filters` filters, and the sums in the order of the contract."""

    def __init__(self, rows: int, features: int, filters: int) -> None:
        rng = np.random.default_rng(features + filters)
        x = rng.normal(0, 3, (rows, features)).astype(np.float32)
        weight = random_signs(rng, filters, 1, 1, features)
        self.sums = np.zeros((rows, filters), np.float32)
        for i in range(features):
            self.sums += x[:, i : i + 1] * weight[:, 0, 0, i].astype(np.float32)
        self.arguments: dict[str, Any] = {
            "input": x.view(np.uint32).reshape(-1),
            "image_stride": 0,
            "row_stride": 0,
            "pixel_stride": features,
            "out_height": 1,
            "out_width": rows,
            "run_offsets": np.zeros(1, np.int64),
            "run_words": features,
            "weight": pack_weight(weight).view(np.uint32).reshape(-1),
            "filters": filters,
            "channels": filters,
        }

    def values(self, channels: int | None = None) -> NDArray[np.float32]:
        return np.full(self.sums.shape[0] * (channels or self.sums.shape[1]), np.nan, np.float32)

    def bits(self, channels: int | None = None) -> NDArray[np.uint32]:
        return np.full(self.sums.shape[0] * words(channels or self.sums.shape[1]), FILLER, np.uint32)


@pytest.mark.parametrize("begin", [0, 1, 3, 17])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 30, 110])
def test_only_the_pixels_asked_for_are_written(
    any_native: Native, conv2d_weight_only_kernel: str, begin: int, count: int
) -> None:
    problem, part = Problem(130, 40, 50), slice(begin, begin + count)
    arguments = {**problem.arguments, "values": problem.values(), "bits": problem.bits()}
    values, bits, _ = any_native.conv2d_weight_only(conv2d_weight_only_kernel, arguments, 40, begin, begin + count)
    expected = np.full(problem.sums.shape, np.nan, np.float32)
    expected[part] = problem.sums[part]
    np.testing.assert_array_equal(values.reshape(expected.shape), expected)
    untouched = np.delete(bits.reshape(130, -1), np.arange(begin, begin + count), axis=0)
    assert (untouched == FILLER).all()
    np.testing.assert_array_equal(bits.reshape(130, -1)[part], pack(problem.sums[part] < 0).view(np.uint32))


@pytest.mark.parametrize("rows", [1, 2, 3, 40])
@pytest.mark.parametrize("first_channel", [0, 16, 32])
def test_whole_halves_of_words_are_written(
    any_native: Native, conv2d_weight_only_kernel: str, first_channel: int, rows: int
) -> None:
    problem, channels = Problem(rows, 33, 48), 96
    outputs = {"channels": channels, "first_channel": first_channel, "bits": problem.bits(channels)}
    _, bits, _ = any_native.conv2d_weight_only(conv2d_weight_only_kernel, {**problem.arguments, **outputs}, 33, 0, rows)
    halves = bits.view(np.uint16).reshape(rows, -1)
    own = slice(first_channel // 16, first_channel // 16 + 3)
    np.testing.assert_array_equal(halves[:, own], pack(problem.sums < 0).view(np.uint16)[:, :3])
    assert (np.delete(halves, np.arange(own.start, own.stop), axis=1) == FILLER & 0xFFFF).all()


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("channels", [1, 5, 33, 100])
def test_a_run_may_be_any_number_of_taps(
    any_native: Native, conv2d_weight_only_kernel: str, channels: int, rows: int
) -> None:
    """Three taps side by side in one run, against the same weights of one tap of all their channels."""
    rng = np.random.default_rng(channels)
    weight = random_signs(rng, 20, 1, 3, channels)
    problem = Problem(rows, 3 * channels, 20)
    x = problem.arguments["input"].view(np.float32).reshape(rows, -1)
    expected = np.zeros((rows, 20), np.float32)
    for i in range(3 * channels):
        expected += x[:, i : i + 1] * weight.reshape(20, -1)[:, i].astype(np.float32)
    packed = pack_weight(weight).view(np.uint32).reshape(-1)
    arguments = {**problem.arguments, "weight": packed, "values": problem.values()}
    values, _, _ = any_native.conv2d_weight_only(conv2d_weight_only_kernel, arguments, channels, 0, rows)
    np.testing.assert_array_equal(values.reshape(expected.shape), expected)
