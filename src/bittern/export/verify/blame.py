"""Which operator of a program is at fault: the first one up to which the program fails or computes something else."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, fx
from torch.fx.graph import CodeGen

from bittern import runtime
from bittern.export.capture import channels_last
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.graph import Graph, Provenance, operator_name
from bittern.export.products import tensor_shape
from bittern.export.signature import tensors_of
from bittern.export.verify.inputs import tensors
from bittern.runtime.signature import SINGLE_OUTPUT, TensorSpec

_FAULT = 1e-2
"""Of the length of a result: how far the engine's may be from PyTorch's where single bits may have turned."""
_LARGEST = 500
"""Nodes of a program in which the operator is looked for: each try lowers a part of it."""

Build = Callable[[Deployed], bytes]
"""From a deployed graph to a file."""


def first_fault(deployed: Deployed, build: Build, inputs: Sequence[np.ndarray]) -> str | None:
    """The operator with its module, such as ``aten::topk in blocks.1``; None where no part of the program fails.

    Args:
        inputs: one batch.
    """
    nodes = [node for node in deployed.graph.calls() if _is_result(node, deployed)]
    if deployed.int8 or not nodes or len(nodes) > _LARGEST or not _fails(deployed, nodes[-1], build, inputs):
        return None
    low, high = -1, len(nodes) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if _fails(deployed, nodes[middle], build, inputs):
            high = middle
        else:
            low = middle
    return described(deployed, nodes[high])


def described(deployed: Deployed, node: fx.Node) -> str:
    """The operator that the user wrote, of which ``node`` was made, and its module."""
    if node.target is operator.getitem:
        return described(deployed, node.all_input_nodes[0])
    provenance = Provenance.of(node)
    operators = {each.name: each.operator for each in deployed.captured.nodes}
    name = next((operators[source] for source in provenance.sources if source in operators), operator_name(node))
    return f"{name} in {provenance.path or 'the model itself'}"


def _is_result(node: fx.Node, deployed: Deployed) -> bool:
    """Whether a program may end with ``node``: floats, one row for each image."""
    value = node.meta["val"]
    if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.dim() == 0:
        return False
    batch = deployed.captured.batch
    return tensor_shape(value, batch)[0] == batch and node.op == "call_function"


def _fails(deployed: Deployed, last: fx.Node, build: Build, inputs: Sequence[np.ndarray]) -> bool:
    """Whether the program up to ``last`` cannot be built or run, or computes something else."""
    part = _up_to(deployed, last.name)
    with torch.no_grad():
        (expected,) = (x.numpy() for x in tensors_of(part.graph.module(*map(channels_last, tensors(inputs)))))
    try:
        data = build(part)
        with TemporaryDirectory() as folder:
            path = Path(folder, "part.pte")
            path.write_bytes(data)
            actual = runtime.run_in_process(path, inputs).logits
    except (ExportError, RuntimeError):
        return True
    with np.errstate(all="ignore"):
        return not bool(np.linalg.norm(actual - expected) <= _FAULT * np.linalg.norm(expected))


def _up_to(deployed: Deployed, name: str) -> Deployed:
    graph: Graph = deployed.graph.copy()
    (last,) = (node for node in graph.module.graph.nodes if node.name == name)
    graph.module.graph.output_node().args = ((last,),)
    graph.module.graph.set_codegen(CodeGen())  # the graph's own expects as many outputs as there were
    graph.clean()
    output = TensorSpec(SINGLE_OUTPUT, tensor_shape(last.meta["val"], deployed.captured.batch))
    return replace(deployed, graph=graph, signature=replace(deployed.signature, outputs=(output,), structure=0))
