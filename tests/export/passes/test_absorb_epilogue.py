from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from torch import Tensor, nn

from bittern.ops import binarize

CHANNELS = 20


class Behind(nn.Module):
    """A packed convolution and what comes behind it: ``tail(dot, x)``."""

    def __init__(self, tail: Callable[[Tensor, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.weight = nn.Parameter(quarters(CHANNELS, CHANNELS, 3, 3))
        self.tail = tail
        self.parts = nn.ModuleDict(modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(F.conv2d(binarize(x), binarize(self.weight), padding=1), x)


def deploy(tail: Callable[[Tensor, Tensor], Tensor]) -> Deployed:
    return Deployed(Behind(tail), quarters(2, CHANNELS, 6, 5))


def fields(deployed: Deployed) -> set[str]:
    (conv,) = deployed.graph.calls(torch.ops.bittern.conv2d.default)
    return set(conv.kwargs)


SCALE, SHIFT, SLOPE = powers_of_two(1, CHANNELS, 1, 1), quarters(1, CHANNELS, 1, 1), powers_of_two(CHANNELS, seed=3)
NORM = exact_batch_norm(CHANNELS).eval().requires_grad_(False)

ABSORBED: list[tuple[Callable[[Tensor, Tensor], Tensor], set[str]]] = [
    (lambda y, x: F.relu(y), {"dot_min"}),
    (lambda y, x: F.relu6(y), {"dot_min", "dot_max"}),
    (lambda y, x: F.hardtanh(y), {"dot_min", "dot_max"}),
    (lambda y, x: y.clamp(max=3), {"dot_max"}),
    (lambda y, x: NORM(y), {"mul", "add"}),
    (lambda y, x: y * SCALE, {"mul"}),
    (lambda y, x: y / SCALE, {"mul"}),
    (lambda y, x: 3 - y * 0.5, {"mul", "add"}),
    (lambda y, x: y - SHIFT, {"add"}),
    (lambda y, x: SHIFT - y, {"mul", "add"}),
    (lambda y, x: NORM(y * SCALE + SHIFT), {"mul", "add"}),
    (lambda y, x: F.relu(NORM(y)), {"mul", "add", "act_min"}),
    (lambda y, x: F.relu(NORM(F.hardtanh(y, -9, 9))), {"dot_min", "dot_max", "mul", "add", "act_min"}),
    (lambda y, x: F.prelu(NORM(y), SLOPE), {"mul", "add", "act_slope"}),
    (lambda y, x: F.prelu(y, torch.tensor([0.25])), {"act_slope"}),
    (lambda y, x: F.leaky_relu(y, 0.5), {"act_slope"}),
    (lambda y, x: y + x, {"residual"}),
    (lambda y, x: x + NORM(y), {"mul", "add", "residual"}),
    (lambda y, x: F.prelu(NORM(y) + x, SLOPE), {"mul", "add", "residual", "shift_slope"}),
    (
        lambda y, x: F.prelu(NORM(y) + x + SHIFT, SLOPE) - SHIFT,
        {"mul", "add", "residual", "shift_in", "shift_slope", "shift_out"},
    ),
    (lambda y, x: F.prelu(F.prelu(y, SLOPE) + SHIFT, SLOPE), {"act_slope", "shift_in", "shift_slope"}),
]


@pytest.mark.parametrize(("tail", "expected"), ABSORBED)
def test_a_step_that_fits_becomes_part_of_the_layer(
    tail: Callable[[Tensor, Tensor], Tensor], expected: set[str]
) -> None:
    deployed = deploy(tail)
    assert deployed.operators == ["pack", "conv2d"]
    assert fields(deployed) == expected
    deployed.check_equal()


ROW = quarters(5)

LEFT: list[tuple[Callable[[Tensor, Tensor], Tensor], list[str]]] = [
    (lambda y, x: (y + x) * SCALE, ["aten::mul"]),
    (lambda y, x: F.relu(y + x), ["aten::relu"]),
    (lambda y, x: y * x, ["aten::mul"]),
    (lambda y, x: y + x[:, :1], ["aten::slice", "aten::add"]),
    (lambda y, x: y + y, ["aten::add"]),
    (lambda y, x: F.relu(y) * y, ["aten::relu", "aten::mul"]),
    (lambda y, x: y + ROW, ["aten::add"]),
    (lambda y, x: torch.sigmoid(y), ["aten::sigmoid"]),
    (lambda y, x: torch.add(y, x, alpha=2), ["aten::mul"]),
    (lambda y, x: 2 / y, ["aten::reciprocal", "aten::mul"]),
]


@pytest.mark.parametrize(("tail", "left"), LEFT)
def test_a_step_that_does_not_fit_stays(tail: Callable[[Tensor, Tensor], Tensor], left: list[str]) -> None:
    deployed = deploy(tail)
    names = [name for name in deployed.operators if name not in ("pack", "conv2d")]
    assert names == left
    deployed.check_equal()


def test_two_layers_that_are_added_share_one_epilogue() -> None:
    def both(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return F.conv2d(binarize(x), binarize(a)) + F.conv2d(binarize(x), binarize(b))

    deployed = Deployed(Apply(both, a=quarters(8, 5, 3, 3), b=quarters(8, 5, 3, 3, seed=1)), quarters(2, 5, 8, 8))
    assert deployed.operators == ["pack", "conv2d", "conv2d"]
    deployed.check_equal()
