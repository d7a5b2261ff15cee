"""Integers in arithmetic with floats become floats, which spares the program a conversion in every run."""

import torch

from bittern.export.graph import Graph
from bittern.export.passes.views.aten import ARITHMETIC


def rewrite_scalars(graph: Graph) -> None:
    for node in graph.calls(*ARITHMETIC):
        if node.meta["val"].dtype == torch.float32:
            node.args = tuple(float(a) if isinstance(a, int) and not isinstance(a, bool) else a for a in node.args)
