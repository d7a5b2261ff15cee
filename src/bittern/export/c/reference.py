"""The specification of a network in C: the deployed graph, every operator as the references compute it."""

from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.c.operators import OPERATORS
from bittern.export.deployed import Deployed
from bittern.export.graph import arguments, operator_name

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)


class Reference(fx.Interpreter):
    """Runs a deployed graph with the arithmetic of the C kernels, and keeps all values.

    ``values``: name of a node -> the tensors that it gives.
    """

    def __init__(self, deployed: Deployed) -> None:
        super().__init__(deployed.graph.module)
        self.values: dict[str, tuple[Tensor, ...]] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The network's outputs."""
        with torch.no_grad():
            result = self.run(*inputs)
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    def run_node(self, n: fx.Node) -> Any:
        row = OPERATORS.get(operator_name(n)) if n.op == "call_function" else None
        if row is not None and row.reference is not None:
            values = {name: fx.map_arg(value, lambda each: self.env[each]) for name, value in arguments(n).items()}
            result: Any = row.reference(n, values)
        elif n.target in _VIEWS:
            args = fx.map_arg(n.args, lambda each: self.env[each])
            result = torch.ops.aten.reshape.default(*args)
        else:
            result = super().run_node(n)
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        if n.op == "call_function":
            self.values[n.name] = tuple(outputs)
        return result
