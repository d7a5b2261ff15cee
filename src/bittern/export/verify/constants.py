"""Are the constants of a file's operators those that the exporter makes of the trained model?

Where float layers round to 8 bits or to steps, the values behind them say little about the weights.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, fx

from bittern.export.deployed import Deployed
from bittern.export.graph import Provenance, arguments, operator_name
from bittern.export.verify.differences import difference
from bittern.export.verify.result import MARGIN
from bittern.runtime.metadata import Operator

if TYPE_CHECKING:
    from bittern.runtime import OperatorCall


def other_constants(
    deployed: Deployed, operators: Sequence[Operator], calls: "Sequence[OperatorCall]"
) -> list[tuple[str, ...]]:
    """For each call of a file, the names of its constant tensors that the ``deployed`` graph does not have.

    Bits and integers must be equal, floats to within rounding errors, as another machine may have computed them.
    """
    nodes: dict[tuple[object, ...], list[fx.Node]] = defaultdict(list)
    for node in deployed.graph.calls():
        provenance = Provenance.of(node)
        nodes[operator_name(node), provenance.path, provenance.outputs].append(node)
    result = []
    for operator, call in zip(operators, calls, strict=True):
        found = nodes[f"bittern::{operator.op}", operator.path, operator.outputs]
        schema = getattr(torch.ops.bittern, operator.op).default._schema.arguments
        named = arguments(found.pop(0)) if found else {}
        result.append(
            tuple(
                argument.name
                for i, (argument, value) in enumerate(zip(schema, call.inputs, strict=True))
                if i not in operator.activations and not _same(value, deployed.graph.constant(named.get(argument.name)))
            )
        )
    return result


def _same(value: object, constant: Tensor | None) -> bool:
    if not isinstance(value, np.ndarray) or constant is None:
        return not isinstance(value, np.ndarray) and constant is None
    actual = torch.from_numpy(value)
    if actual.shape != constant.shape or actual.dtype != constant.dtype:
        return False
    return difference(actual, constant)[1] <= MARGIN if actual.is_floating_point() else torch.equal(actual, constant)
