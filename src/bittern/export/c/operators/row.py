"""What the C back end knows of an operator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from bittern.export.c.lowering import Lowering


@dataclass(frozen=True)
class Row:
    """``lower`` adds the calls of a node. ``reference`` is what they compute, in PyTorch: every float rounded as the
    kernel rounds it. It gets the node and its arguments by name; None: the operator itself is exact to the last bit.
    """

    lower: Callable[[Lowering, fx.Node], None]
    reference: Callable[[fx.Node, dict[str, Any]], Tensor] | None = None
