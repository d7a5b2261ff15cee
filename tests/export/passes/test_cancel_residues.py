"""What straight-through estimators leave behind is cancelled; sums that mean something stay."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor

from bittern.ops import binarize

IMAGE = quarters(2, 6, 9, 7)
FILTERS = torch.randn(40, 6, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.3


def hard(w: Tensor) -> Tensor:
    return w.abs().mean((1, 2, 3), keepdim=True) * w.sign()


RESIDUES: dict[str, Callable[[Tensor], Tensor]] = {
    "a - c + c": lambda w: hard(w).detach() - w.clamp(-1, 1).detach() + w.clamp(-1, 1),
    "c + (a - c)": lambda w: w + (hard(w) - w).detach(),
    "(a - c) + c": lambda w: (hard(w) - torch.tanh(w)).detach() + torch.tanh(w),
    "a + c - c": lambda w: torch.tanh(w) + hard(w).detach() - torch.tanh(w).detach(),
    "a + (c - c)": lambda w: hard(w).detach() + (w - w.detach()),
    "-c + a + c": lambda w: -w.detach() + hard(w) + w,
}


@pytest.mark.parametrize("name", RESIDUES)
def test_weights_behind_a_straight_through_estimator_are_packed(name: str) -> None:
    deployed = Deployed(Apply(lambda x, w: F.conv2d(binarize(x), RESIDUES[name](w)), w=FILTERS), IMAGE)
    assert deployed.operators == ["pack", "conv2d"]
    with torch.no_grad():
        expected, result = deployed.module(IMAGE), deployed.graph.module(IMAGE)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


def test_the_residue_is_reported() -> None:
    deployed = Deployed(Apply(lambda x, w: F.conv2d(binarize(x), RESIDUES["a - c + c"](w)), w=FILTERS), IMAGE)
    assert any("a - c + c is taken as a" in note for note in deployed.graph.notes.values())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x + 12582912.0) - 12582912.0,  # rounds
        lambda x: (x + torch.full((2, 6, 9, 7), 12582912.0)) - torch.full((2, 6, 9, 7), 12582912.0),
        lambda x: x - x.clamp(-1, 1) + x.clamp(-1, 2),
        lambda x: (x - x.relu()) - x.relu(),
        lambda x: torch.add(x - x.relu(), x.relu(), alpha=2),
        lambda x: x - x.mean((1, 2, 3), keepdim=True) + x.mean((1, 2, 3), keepdim=True),
    ],
)
def test_other_sums_stay(function: Callable[[Tensor], Tensor]) -> None:
    deployed = Deployed(Apply(lambda x: function(x)), IMAGE)
    assert len([name for name in deployed.operators if name in ("aten::add", "aten::sub")]) == 2
    deployed.check_equal()


def test_two_summands_that_are_left_are_added() -> None:
    deployed = Deployed(Apply(lambda x: (x.relu() - x.tanh()) + (x.tanh() + x.abs())), IMAGE)
    assert sorted(deployed.operators) == ["aten::abs", "aten::add", "aten::relu"]
