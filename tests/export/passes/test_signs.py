"""What holds -1 and +1 alone."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, quarters
from torch import Tensor

from bittern.export.capture import capture
from bittern.export.passes.signs import holds_signs
from bittern.ops import binarize

SIGNS: list[Callable[[Tensor], Tensor]] = [
    binarize,
    lambda x: binarize(x).flatten(1),
    lambda x: F.pixel_shuffle(binarize(x), 2),
    lambda x: F.max_pool2d(binarize(x), 2)[:, 1:],
    lambda x: torch.cat([binarize(x), binarize(x - 1).transpose(2, 3)], 1),
]

OTHERS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x * 1.0,
    lambda x: binarize(x) * 0.5,
    lambda x: F.pad(binarize(x), (1, 1)),
    lambda x: F.avg_pool2d(binarize(x), 2),
    lambda x: torch.cat([binarize(x), x], 1),
]


@pytest.mark.parametrize(("function", "expected"), [*((f, True) for f in SIGNS), *((f, False) for f in OTHERS)])
def test_only_what_moves_joins_or_pools_signs_holds_them(function: Callable[[Tensor], Tensor], expected: bool) -> None:
    x = quarters(1, 4, 6, 6)
    graph = capture(Apply(function), x).graph
    assert holds_signs(graph.calls()[-1]) == expected
    assert bool((function(x).abs() == 1).all()) or not expected
