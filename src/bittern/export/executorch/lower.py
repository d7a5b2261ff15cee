"""From the deployed graph to an ExecuTorch program: XNNPACK takes the float parts, Bittern's operators stay."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from bittern.export.capture import dynamic_shapes
from bittern.export.deployed import Deployed, operator_entry
from bittern.export.errors import ExportError
from bittern.export.executorch.memory_order import order_fallbacks, order_operands, remove_idle_copies
from bittern.export.graph import Graph, Provenance, operator_name
from bittern.export.quiet import third_party_quiet
from bittern.export.refusals import first_line
from bittern.runtime import container
from bittern.runtime.metadata import METADATA_METHOD, Metadata, Operator

INT8 = "int8"
"""The kernel of a node that XNNPACK computes on 8-bit integers."""

CACHE_LINE = 64
"""Bytes. Tensors of a program begin at multiples of it."""


@dataclass(frozen=True)
class Lowered:
    """An ExecuTorch program before memory is planned, and what runs where in it.

    Args:
        deployed: the graph that it was made from.
        program: an `ExportedProgram` in ExecuTorch's edge dialect.
        placements: for every node of the training graph that is left, where it runs ("bittern", "xnnpack", "fallback"
            or "view") and the operator or delegate that does its work, or `INT8`.
        operators: the calls of Bittern's operators, in the order of execution.
    """

    deployed: Deployed
    program: Any
    placements: Mapping[str, tuple[str, str]]
    operators: tuple[Operator, ...]


def lower(deployed: Deployed) -> Lowered:
    """Lowers a deployed graph. The same graph gives the same program.

    Raises:
        ExportError: if ExecuTorch is not installed or refuses the program.
    """
    captured = deployed.captured
    with _lowering(deployed):
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        graph = deployed.graph.copy()
        order_operands(graph)
        shapes = dynamic_shapes(captured.max_batch)
        program = torch.export.export(graph.module, (captured.trace,), dynamic_shapes=shapes)
        edge = to_edge_transform_and_lower(
            program, [remove_idle_copies], partitioner=[XnnpackPartitioner()], compile_config=_config()
        )
        if order_fallbacks(edge.exported_program().graph_module):
            edge = edge.to_backend(XnnpackPartitioner())
        exported = edge.exported_program()
        placements, operators = _where(exported.graph_module)
    return Lowered(deployed, exported, placements, operators)


def write(lowered: Lowered, card: Metadata) -> bytes:
    """The bytes of a model file: memory planned, and ``card`` as the constant method `bittern_metadata`.

    Raises:
        ExportError: if ExecuTorch refuses the program.
    """
    with _lowering(lowered.deployed):
        from executorch.exir import EdgeProgramManager, ExecutorchBackendConfig

        from bittern.export.executorch.in_place import InPlaceResiduals

        constants = {METADATA_METHOD: json.dumps(card.to_json(), sort_keys=True)}
        # Images are read where the caller has them, not copied into the program's memory first.
        memory = InPlaceResiduals(alloc_graph_input=False, alignment=CACHE_LINE)
        planning = ExecutorchBackendConfig(memory_planning_pass=memory, constant_tensor_alignment=CACHE_LINE)
        program = EdgeProgramManager(lowered.program, constants, _config()).to_executorch(planning)
        return container.append_footer(bytes(program.buffer))


def _config() -> Any:
    from executorch.exir import EdgeCompileConfig

    return EdgeCompileConfig(_check_ir_validity=False)


@contextmanager
def _lowering(deployed: Deployed) -> Iterator[None]:
    """Turns whatever goes wrong in ExecuTorch into an ExportError that names the operator."""
    with third_party_quiet(), _any_batch():
        try:
            import executorch.exir  # noqa: F401
        except ImportError as error:
            raise ExportError(
                f"the exporter needs ExecuTorch: pip install '.[export]' in Bittern's folder ({error})"
            ) from error
        try:
            yield
        except Exception as error:
            blame = _blame(deployed.graph, error)
            raise ExportError(f"ExecuTorch cannot lower the model: {first_line(error)}{blame}") from error


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


def _where(module: fx.GraphModule) -> tuple[dict[str, tuple[str, str]], tuple[Operator, ...]]:
    from executorch.exir.lowered_backend_module import get_lowered_submodules

    placements: dict[str, tuple[str, str]] = {}
    operators: list[Operator] = []
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        name = operator_name(node)
        provenance = Provenance.of(node)
        if name.startswith("bittern::"):
            short = name.removeprefix("bittern::")
            operators.append(operator_entry(name, provenance))
            placements |= dict.fromkeys(provenance.sources, ("bittern", short))
        elif "::" in name:
            where = "view" if name == "aten::view_copy" else "fallback"
            for source in provenance.sources:
                if placements.get(source, ("view", ""))[0] == "view":  # of an operator's parts the slowest counts
                    placements[source] = (where, name)
    for _, delegate, _ in get_lowered_submodules(module):
        for node in delegate.original_module.graph.nodes:
            if node.op == "call_function":
                kernel = INT8 if _is_int8(node) else delegate.backend_id
                for source in Provenance.of(node).sources:
                    placements.setdefault(source, ("xnnpack", kernel))
    return placements, tuple(operators)


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
