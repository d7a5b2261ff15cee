"""Which nodes of a graph have equal values: the same operator on operands with equal values."""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph


class ValueNumbers:
    """Numbers the nodes of ``graph``: equal numbers mean equal values. Nodes that draw random numbers equal none."""

    def __init__(self, graph: Graph) -> None:
        self._of: dict[fx.Node, int] = {}
        self._known: dict[Any, int] = {}
        for node in graph.module.graph.nodes:
            self._of[node] = self._known.setdefault(self._key(node), len(self._known))

    def of(self, node: fx.Node) -> int:
        """A node added since then equals none."""
        return self._of.get(node, -1 - id(node))

    def _key(self, node: fx.Node) -> Any:
        random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        if node.op not in ("call_function", "get_attr") or random:
            return node
        if node.op == "get_attr":
            return node.target
        return node.target, self._frozen(node.args), self._frozen(node.kwargs)

    def _frozen(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return "node", self._of[value]
        if isinstance(value, (tuple, list)):
            return tuple(map(self._frozen, value))
        if isinstance(value, dict):
            return tuple((name, self._frozen(each)) for name, each in sorted(value.items()))
        return type(value), repr(value)  # 1, 1.0 and True differ, and so do 0.0 and -0.0
