"""The references of conv2d_weight_only and linear_weight_only against loops over single numbers."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import bittern.ops  # noqa: F401  registers the operators
from bittern.ops import layout

ops = torch.ops.bittern


def sum_in_order(x: np.ndarray, w: np.ndarray) -> np.float32:
    """float32 after each addition, in the order of the values."""
    total = np.float32(0)
    with np.errstate(all="ignore"):
        for value, sign in zip(x.reshape(-1), w.reshape(-1), strict=True):
            total = np.float32(total + value * sign)
    return total


def operands(*shapes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(shape, generator=generator) for shape in shapes)
    return x * 100, torch.where(w < 0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
        ((3, 2), (1, 1), (1, 1, 0, 1), (1, 1)),
        ((2, 3), (2, 3), (2, 0, 1, 3), (2, 1)),
    ],
)
def test_each_output_is_the_sum_over_taps_then_channels(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> None:
    x, w = operands((2, 5, 6, 7), (3, 5, *kernel))
    numbers = [list(pair) for pair in (kernel, stride, padding, dilation)]
    result = ops.conv2d_weight_only(x, layout.pack_weight(w), 5, 3, *numbers, 1, 0)
    assert result.is_contiguous(memory_format=torch.channels_last)
    top, bottom, left, right = padding
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)))
    for n, o, i, j in product(*map(range, result.shape)):
        rows = i * stride[0] + np.arange(kernel[0]) * dilation[0]
        columns = j * stride[1] + np.arange(kernel[1]) * dilation[1]
        window = padded[n][:, rows][:, :, columns].transpose(1, 2, 0)  # [kh, kw, C]
        assert result[n, o, i, j] == sum_in_order(window, w[o].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("rows", [(1,), (2, 3)])
def test_a_row_of_a_linear_layer_is_summed_in_order(rows: tuple[int, ...]) -> None:
    x, w = operands((*rows, 40), (5, 40))
    result = ops.linear_weight_only(x, layout.pack_weight(w), 40, 5)
    assert tuple(result.shape) == (*rows, 5)
    for row, sums in zip(x.reshape(-1, 40), result.reshape(-1, 5), strict=True):
        assert all(sums[o] == sum_in_order(row.numpy(), w[o].numpy()) for o in range(5))


def test_a_padded_sum_is_that_of_the_taps_inside_and_never_minus_zero() -> None:
    x = torch.full((1, 2, 1, 1), -0.0)
    w = layout.pack_weight(torch.ones(1, 2, 3, 3))
    result = ops.conv2d_weight_only(x, w, 2, 1, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1, 0)
    assert result.item() == 0
    assert not torch.signbit(result).item()


def test_not_a_number_and_infinity_reach_the_sums_that_read_them() -> None:
    x = torch.tensor([[1.0, float("nan")], [float("inf"), 2.0], [3.0, 4.0]])
    result = ops.linear_weight_only(x, layout.pack_weight(torch.tensor([[-1.0, 1.0]])), 2, 1)
    assert torch.isnan(result[0]).all()
    assert result[1:].flatten().tolist() == [-float("inf"), 1.0]


@pytest.mark.parametrize("forms", ["conv2d_weight_only", "linear_weight_only"])
def test_the_forms_hold_the_epilogues_value_and_its_bits(forms: str) -> None:
    if forms == "conv2d_weight_only":
        x, w = operands((2, 5, 6, 7), (40, 5, 3, 3))
        arguments: list[Any] = [5, 40, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1, 0]
    else:
        x, w = operands((3, 50), (40, 50))
        arguments = [50, 40]
    packed, scale, threshold = layout.pack_weight(w), torch.linspace(-2, 2, 40), torch.linspace(-50, 50, 40)
    call = (x, packed, *arguments)
    plain = getattr(ops, forms)(*call)
    dim = 1 if x.dim() == 4 else -1
    shape = [40 if d == dim % x.dim() else 1 for d in range(x.dim())]
    v = plain * scale.reshape(shape)
    bits = layout.pack_bits((v < threshold.reshape(shape)).movedim(dim, -1))
    assert torch.equal(getattr(ops, forms)(*call, mul=scale), v)
    assert torch.equal(getattr(ops, f"{forms}_packed")(*call, mul=scale, threshold=threshold), bits)
    both = getattr(ops, f"{forms}_float_packed")(*call, mul=scale, threshold=threshold)
    assert torch.equal(both[0], v)
    assert torch.equal(both[1], bits)
