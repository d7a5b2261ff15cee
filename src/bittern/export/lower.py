"""From the deployed graph to an ExecuTorch program: XNNPACK takes the float parts, Bittern's operators stay."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.capture import channels_last, dynamic_shapes, tracing_example
from bittern.export.errors import ExportError
from bittern.export.graph import Graph, Provenance, operator_name
from bittern.export.quiet import third_party_quiet
from bittern.export.refusals import first_line
from bittern.runtime.metadata import METADATA_METHOD

Operators = list[tuple[str, Provenance]]
"""Bittern's operators in the order in which a program calls them."""

INT8 = "int8"
"""The kernel of a node that XNNPACK computes on 8-bit integers."""


CACHE_LINE = 64
"""Bytes. Tensors of a program begin at multiples of it."""


@dataclass(frozen=True)
class Lowered:
    """A serialized ExecuTorch program and what runs where in it.

    ``placements``: for every node of the training graph that is left, where it runs ("bittern", "xnnpack", "fallback"
    or "view") and the operator or delegate that does its work, or `INT8`.
    """

    program: bytes
    placements: dict[str, tuple[str, str]]
    operators: Operators


def lower(
    graph: Graph, example: Tensor, metadata: Callable[[Operators], dict[str, Any]], max_batch: int | None = None
) -> Lowered:
    """Lowers a deployed graph for inputs shaped like ``example``. The same input gives the same bytes.

    ``metadata`` is asked once the order of the operators is known; its result becomes the constant method
    `bittern_metadata`, a JSON string. ``max_batch``: as in `capture`.

    Raises:
        ExportError: if ExecuTorch is not installed or refuses the program.
    """
    with third_party_quiet(), _any_batch():
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import (
                EdgeCompileConfig,
                EdgeProgramManager,
                ExecutorchBackendConfig,
                to_edge_transform_and_lower,
            )

            from bittern.export.in_place import InPlaceResiduals
        except ImportError as error:
            raise ExportError(f"the exporter needs ExecuTorch: pip install 'bittern[export]' ({error})") from error
        config = EdgeCompileConfig(_check_ir_validity=False)
        trace = channels_last(tracing_example(example, max_batch))
        try:
            program = torch.export.export(graph.module, (trace,), dynamic_shapes=dynamic_shapes(max_batch))
            edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], compile_config=config)
            exported = edge.exported_program()
            placements, operators = _where(exported.graph_module)
            constants = {METADATA_METHOD: json.dumps(metadata(operators), sort_keys=True)}
            # Images are read where the caller has them, not copied into the program's memory first.
            memory = InPlaceResiduals(alloc_graph_input=False, alignment=CACHE_LINE)
            planning = ExecutorchBackendConfig(memory_planning_pass=memory, constant_tensor_alignment=CACHE_LINE)
            buffer = EdgeProgramManager(exported, constants, config).to_executorch(planning).buffer
        except Exception as error:
            raise ExportError(
                f"ExecuTorch cannot lower the model: {first_line(error)}{_blame(graph, error)}"
            ) from error
    return Lowered(bytes(buffer), placements, operators)


@contextmanager
def _any_batch() -> Iterator[None]:
    """Keeps torch from narrowing a dynamic batch to less than 16.

    To follow a convolution's shape it chooses the library that would compute it. MKL-DNN and NNPACK ask whether the
    batch is 16 or more, and the answer, for the two images of the trace, would hold for the program.
    """
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
        yield


def _blame(graph: Graph, error: Exception) -> str:
    """Names the module whose operator ``error`` speaks of, if it speaks of one."""
    nodes = [node for node in graph.calls() if "::" in operator_name(node)]
    for name in (operator_name, lambda node: node.name):
        for node in nodes:
            # A node called `add` is neither in "additional" nor in "aten.add".
            if re.search(rf"(?<![\w.:]){re.escape(name(node))}\b", str(error)):
                return f" ({operator_name(node)} in {Provenance.of(node).path or 'the model itself'})"
    return ""


def _where(module: fx.GraphModule) -> tuple[dict[str, tuple[str, str]], Operators]:
    from executorch.exir.lowered_backend_module import get_lowered_submodules

    placements: dict[str, tuple[str, str]] = {}
    operators: Operators = []
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        name = operator_name(node)
        origin = Provenance.of(node)
        if name.startswith("bittern::"):
            short = name.removeprefix("bittern::")
            operators.append((short, origin))
            placements |= dict.fromkeys(origin.sources, ("bittern", short))
        elif "::" in name:
            where = "view" if name == "aten::view_copy" else "fallback"
            placements |= {source: (where, name) for source in origin.sources if source not in placements}
    for _, delegate, _ in get_lowered_submodules(module):
        for node in delegate.original_module.graph.nodes:
            if node.op == "call_function":
                kernel = INT8 if _is_int8(node) else delegate.backend_id
                for source in Provenance.of(node).sources:
                    placements.setdefault(source, ("xnnpack", kernel))
    return placements, operators


def _is_int8(node: fx.Node) -> bool:
    """Whether a delegate's node reads integers, itself or through the layer that it is the activation of."""
    from executorch.backends.xnnpack.utils.quant_utils import is_dequant, is_tagged_as_implicit_q_dq

    sources = node.all_input_nodes
    if not sources:
        return False
    first = sources[0]
    if is_dequant(first):
        return bool(is_tagged_as_implicit_q_dq(first))
    users = list(first.users)
    activation = bool(users == [node] and any(is_tagged_as_implicit_q_dq(user) for user in node.users))
    return activation and _is_int8(first)
