"""Residuals in place: the float output of a layer takes the memory of its residual, which nobody reads afterwards.

Bittern's operators read each value of a residual once, on the thread that then writes the same value of the output. So
a stage of a residual network lives in one buffer instead of two, and half as many bytes pass through the caches. This
holds for no other argument: a layer whose residual is also its input keeps its output apart.
"""

import operator
from typing import Any

import torch
from executorch.exir import memory
from executorch.exir.passes import MemoryPlanningPass
from executorch.exir.tensor import TensorSpec
from torch import fx
from torch.export.graph_signature import ExportGraphSignature
from torch.utils._pytree import tree_leaves

from bittern.export.executorch.memory_order import name_orders
from bittern.export.graph import arguments

_SAME_MEMORY = (memory.view, operator.getitem)


class InPlaceResiduals(MemoryPlanningPass):  # type: ignore[misc]
    """ExecuTorch's memory planning, with such outputs based on the storage of their residuals.

    Orders of memory get their names here, as nothing may change between planning and the bytes.
    """

    def run(self, graph_module: fx.GraphModule, graph_signature: ExportGraphSignature | None = None) -> Any:
        name_orders(graph_module)
        nodes = [node for node in graph_module.graph.nodes if node.target not in _SAME_MEMORY]
        last_reader = {id(_storage(read)): node for node in nodes for read in node.all_input_nodes}
        for node in nodes:
            residual, output = _residual(node), _float_output(node)
            if residual is None or output is None:
                continue
            before = _storage(residual)
            read = [x for x in tree_leaves((node.args, node.kwargs)) if isinstance(x, fx.Node)]  # not each node once
            uses = sum(_storage(x) is before for x in read)
            if before is not None and last_reader[id(before)] is node and uses == 1:
                output.inplace_base = before
        return super().run(graph_module, graph_signature)


def _residual(node: fx.Node) -> fx.Node | None:
    """The residual of a Bittern operator, if the program computes it."""
    if getattr(node.target, "namespace", "") != "bittern":
        return None
    residual = arguments(node).get("residual")
    return residual if isinstance(residual, fx.Node) and _owner(residual).op == "call_function" else None


def _float_output(node: fx.Node) -> TensorSpec | None:
    specs = node.meta.get("spec")
    first = specs[0] if isinstance(specs, (list, tuple)) else specs
    return first if isinstance(first, TensorSpec) and first.dtype == torch.float32 else None


def _owner(node: fx.Node) -> fx.Node:
    """The node in whose memory the value of ``node`` stands."""
    while node.target is memory.view:
        node = node.args[0]  # type: ignore[assignment]
    return node


def _storage(node: fx.Node) -> TensorSpec | None:
    spec = _owner(node).meta.get("spec")
    return spec if isinstance(spec, TensorSpec) else None
