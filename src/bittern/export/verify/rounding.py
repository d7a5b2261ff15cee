"""How far rounding errors may move the results of a network: it runs again with every number rounded otherwise."""

from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.capture import Captured
from bittern.export.verify.decisions import decides

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)
_STEP = 2.0**-20
"""Sixteen units in the last place, by which each number is moved."""
_RUNS = 3


class Interpreter(fx.Interpreter):
    """Runs a captured graph, whatever the order of memory."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        # Torch foresees another order of memory than it computes in where an image has one channel.
        return super().call_function(torch.ops.aten.reshape.default if target in _VIEWS else target, args, kwargs)


class _Rounded(Interpreter):
    """Moves inputs, constants and the result of every operator but those that decide, whose results are exact."""

    def __init__(self, module: fx.GraphModule, seed: int) -> None:
        super().__init__(module)
        self._random = torch.Generator().manual_seed(seed)

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "output" or not isinstance(result, Tensor) or not result.is_floating_point() or decides(n.target):
            return result
        return result * (1 + _STEP * torch.randn(result.shape, generator=self._random))


def rounding_error(captured: Captured, images: Tensor) -> float:
    """The furthest that a result moves when all numbers on the way to it are rounded otherwise, in several ways."""
    with torch.no_grad():
        expected = Interpreter(captured.graph.module).run(images)
        others = (_Rounded(captured.graph.module, seed).run(images) for seed in range(_RUNS))
        return max(float((other - expected).abs().max()) for other in others)
