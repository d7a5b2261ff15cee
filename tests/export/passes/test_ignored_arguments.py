"""Arguments that XNNPACK's conversion ignores: the exported program computes with them all the same."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed
from torch import Tensor

from bittern import runtime
from bittern.export import to_pte


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


SQUARE, ROW, COLUMN, ONE, TABLE = random(6, 6), random(6, seed=1), random(2, 1, seed=2), random(1), random(2, 6, seed=3)
STACK, FILTERS = random(2, 5, 6, seed=4), random(5, 3, 3, 3, seed=5)


def conv(x: Tensor) -> Tensor:
    return F.conv2d(x, FILTERS, padding=1)


ROWS, IMAGES, TOKENS = (2, 6), (2, 3, 7, 5), (2, 5, 6)
CASES: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    **{
        f"resized by {factors}": (
            lambda x, factors=factors: F.interpolate(x, scale_factor=factors, mode="bilinear"),
            IMAGES,
        )
        for factors in (0.5, 1.5, 0.7, 2.3, (0.5, 2.0), (1.0, 0.9))
    },
    "resized behind a layer": (lambda x: F.relu(F.interpolate(conv(x), scale_factor=0.5, mode="bilinear")), IMAGES),
    "resized by a recomputed factor": (
        lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", recompute_scale_factor=True),
        IMAGES,
    ),
    "resized, corners aligned": (
        lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=True),
        IMAGES,
    ),
    "resized to a size": (lambda x: F.interpolate(x, size=(4, 9), mode="bilinear"), IMAGES),
    "addmm alpha": (lambda x: torch.addmm(ROW, x, SQUARE, alpha=2), ROWS),
    "addmm beta": (lambda x: torch.addmm(ROW, x, SQUARE, beta=0.5), ROWS),
    "addmm both": (lambda x: torch.addmm(ROW, x, SQUARE, beta=-1, alpha=3), ROWS),
    "addmm beta 0": (lambda x: torch.addmm(torch.full((6,), float("nan")), x, SQUARE, beta=0), ROWS),
    "addmm plain": (lambda x: torch.addmm(ROW, x, SQUARE), ROWS),
    "addmm number": (lambda x: torch.addmm(ONE, x, SQUARE), ROWS),
    "addmm column": (lambda x: torch.addmm(COLUMN, x, SQUARE), ROWS),
    "addmm table": (lambda x: torch.addmm(TABLE, x, SQUARE, alpha=2), ROWS),
    "addmm computed": (lambda x: torch.addmm(x, x, SQUARE, alpha=2, beta=3), ROWS),
    "addmm of a computed matrix": (lambda x: torch.addmm(x[:, :2], x, x.t(), alpha=2), ROWS),
    "baddbmm": (lambda x: torch.baddbmm(STACK, x, x.transpose(1, 2) @ x, alpha=0.1, beta=2), TOKENS),
    "add alpha": (lambda x: torch.add(x, F.relu(x), alpha=2), ROWS),
    "add a constant, alpha": (lambda x: torch.add(x, ROW, alpha=3), ROWS),
    "add a number, alpha": (lambda x: torch.add(x, 2, alpha=3), ROWS),
    "sub alpha": (lambda x: torch.sub(x, F.relu(x), alpha=-2), ROWS),
    "sub of images, alpha": (lambda x: F.relu(torch.sub(conv(x), conv(x).sigmoid(), alpha=2)), IMAGES),
    "rsub": (lambda x: torch.rsub(x, 1), ROWS),
    "rsub alpha": (lambda x: torch.rsub(x, 1, alpha=2), ROWS),
    "rsub of a tensor, alpha": (lambda x: torch.rsub(x, F.relu(x), alpha=3), ROWS),
    "addcmul": (lambda x: torch.addcmul(x, x, ROW, value=2), ROWS),
    "addcdiv": (lambda x: torch.addcdiv(x, x, ROW, value=2), ROWS),
    "lerp": (lambda x: torch.lerp(x, ROW, 0.3), ROWS),
    "gelu": (lambda x: F.gelu(x), ROWS),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), ROWS),
    "gelu tanh of images": (lambda x: F.gelu(conv(x), approximate="tanh"), IMAGES),
    "leaky relu": (lambda x: F.leaky_relu(x, 0.3), ROWS),
    "elu": (lambda x: F.elu(x, 0.5), ROWS),
    "celu": (lambda x: F.celu(x, 0.5), ROWS),
    "softplus": (lambda x: F.softplus(x, beta=3, threshold=2), ROWS),
    "hardtanh": (lambda x: F.hardtanh(x, -0.5, 0.25), ROWS),
    "hardtanh to 1": (lambda x: F.hardtanh(x, -0.5, 1.0), ROWS),
    "hardtanh from -1": (lambda x: F.hardtanh(x, -1.0, 0.25), ROWS),
    "clamp below": (lambda x: x.clamp(max=0.2), ROWS),
    "clamp above": (lambda x: x.clamp(min=0.2), ROWS),
    "clamp to a value": (lambda x: conv(x).clamp(0.5, 0.5), IMAGES),
    "clamp upside down": (lambda x: conv(x).clamp(0.5, -0.5), IMAGES),
    "two clamps": (lambda x: F.relu(F.hardtanh(conv(x), -0.5, 0.5)), IMAGES),
    "two clamps, turned": (lambda x: F.hardtanh(F.relu(conv(x)), -0.5, 0.5), IMAGES),
    "two clamps apart": (lambda x: F.hardtanh(F.hardtanh(conv(x), 0.1, 0.5), 0.6, 0.9), IMAGES),
    "three clamps": (lambda x: F.relu6(F.relu(F.hardtanh(conv(x) + conv(x), -0.5, 7))), IMAGES),
    "softmax": (lambda x: F.softmax(x, 1), ROWS),
    "power": (lambda x: x**2 + x**3 + x.abs() ** 0.5, ROWS),
    "rounded quotient": (lambda x: torch.div(x, 0.3, rounding_mode="floor"), ROWS),
    "max pool, ceil": (lambda x: F.max_pool2d(conv(x), 2, ceil_mode=True), IMAGES),
    "max pool, dilated": (lambda x: F.max_pool2d(conv(x), 2, 1, dilation=2), IMAGES),
    "max pool, padded": (lambda x: F.max_pool2d(conv(x), 3, 2, padding=1), IMAGES),
    "average, padded": (lambda x: F.avg_pool2d(conv(x), 3, 2, padding=1), IMAGES),
    "average, padding left out": (lambda x: F.avg_pool2d(conv(x), 3, 2, padding=1, count_include_pad=False), IMAGES),
    "average, other divisor": (lambda x: F.avg_pool2d(conv(x), 3, 2, divisor_override=2), IMAGES),
    "transposed, output padding": (
        lambda x: F.conv_transpose2d(conv(x), FILTERS, stride=2, padding=1, output_padding=1),
        IMAGES,
    ),
    "transposed, dilated": (lambda x: F.conv_transpose2d(conv(x), FILTERS, dilation=2), IMAGES),
    "a weight shared with a layer transposed": (
        lambda x: F.conv_transpose2d(F.relu(conv(x)), FILTERS, padding=1),
        IMAGES,
    ),
    "a weight shared with arithmetic": (lambda x: F.linear(x, SQUARE) * SQUARE[0] + SQUARE.sum(0), ROWS),
    "a weight shared with its transposed": (lambda x: F.linear(F.linear(x, SQUARE), SQUARE.t()) @ SQUARE, ROWS),
    "a weight shared with a depthwise layer": (
        lambda x: F.conv2d(conv(x), FILTERS[:, :1], groups=5) + F.conv2d(x[:, :1], FILTERS[:, :1]),
        IMAGES,
    ),
    "a layer twice": (lambda x: F.conv2d(conv(x)[:, :3], FILTERS, padding=1), IMAGES),
    "padded with a value": (lambda x: F.pad(conv(x), (1, 2, 0, 1), value=-3.5), IMAGES),
    "mean of squares": (lambda x: (conv(x) ** 2).mean((2, 3), keepdim=True), IMAGES),
}


def check(function: Callable[[Tensor], Tensor], x: Tensor, path: Path, max_batch: int | None = None) -> list[str]:
    """Exports, compares, and gives the operators that are fallbacks."""
    module = Apply(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export = to_pte(module, x, path, max_batch=max_batch, check=False)
    expected = module(x).numpy()
    result = runtime.load(path)(x.numpy())
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    return [row.operator for row in export.explanation.fallbacks]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_argument_counts_as_in_pytorch(case: str, tmp_path: Path) -> None:
    function, shape = CASES[case]
    check(function, random(*shape, seed=7), tmp_path / "m.pte")


IN_XNNPACK = [
    "resized by 0.5",
    "addmm both",
    "add alpha",
    "sub of images, alpha",
    "rsub alpha",
    "gelu tanh",
    "clamp to a value",
    "two clamps",
]


@pytest.mark.parametrize("case", IN_XNNPACK)
def test_what_is_rewritten_stays_in_xnnpack(case: str, tmp_path: Path) -> None:
    function, shape = CASES[case]
    assert check(function, random(*shape, seed=7), tmp_path / "m.pte") == []


@pytest.mark.parametrize("case", ["resized by 0.5", "resized to a size", "add alpha", "gelu tanh of images"])
def test_it_counts_for_every_batch(case: str, tmp_path: Path) -> None:
    function, shape = CASES[case]
    check(function, random(*shape, seed=7), tmp_path / "m.pte", max_batch=3)


def test_what_xnnpack_does_as_it_is_stays_as_it_is() -> None:
    """Exact factors, plain sums and lone clamps cost nothing more than before."""
    doubled = Deployed(Apply(lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear")), random(1, 3, 4, 6))
    assert len(doubled.operators) == 1
    assert "upsample" in doubled.operators[0]
    plain = Deployed(Apply(lambda x: F.gelu(F.relu(torch.addmm(ROW, x, SQUARE)) - x)), random(2, 6))
    assert plain.operators == ["aten::addmm", "aten::relu", "aten::sub", "aten::gelu"]


MASK, BIAS = torch.ones(4, 4, dtype=torch.bool).tril(), random(4, 4)
ATTENTION: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: F.scaled_dot_product_attention(x, x, x),
    "causal": lambda x: F.scaled_dot_product_attention(x, x * 2, x, is_causal=True),
    "masked": lambda x: F.scaled_dot_product_attention(x, x, x + 1, attn_mask=MASK),
    "biased": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=BIAS),
    "scaled": lambda x: F.scaled_dot_product_attention(x, x, x, scale=0.3),
    "of fewer keys": lambda x: F.scaled_dot_product_attention(x, x[..., :3, :], x[..., 1:, :]),
}


@pytest.mark.parametrize("heads", [0, 3])
@pytest.mark.parametrize("case", ATTENTION)
def test_attention_has_no_fallback(case: str, heads: int, tmp_path: Path) -> None:
    def network(x: Tensor) -> Tensor:
        y = x * 1.5
        return ATTENTION[case](y.reshape(-1, 4, heads, 2).transpose(1, 2) if heads else y).flatten(1)

    assert check(network, random(2, 4, 6), tmp_path / "m.pte") == []


def test_attention_that_leaves_nothing_of_a_row_is_left_as_it_is(tmp_path: Path) -> None:
    mask = MASK.clone()
    mask[2] = False
    fallbacks = check(
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=mask), random(2, 4, 6), tmp_path / "m"
    )
    assert "aten::scaled_dot_product_attention" in fallbacks
