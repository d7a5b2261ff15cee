"""From the deployed graph to calls of C kernels."""

import operator
import re
from dataclasses import replace
from typing import TypeVar

from torch import fx

from bittern.export.c import arena, memory
from bittern.export.c.lowering import Lowering
from bittern.export.c.operators import OPERATORS
from bittern.export.c.program import ARENA, INPUT, OUTPUT, Buffer, CNetwork, Port
from bittern.export.c.text import why_no_identifier
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.graph import input_nodes, operator_name, shape

_Operand = TypeVar("_Operand", Buffer, Buffer | None)
_TAKEN = ("arena", "output")
"""Names of other parameters of the network's function."""
_MAX_ELEMENTS = 2**29
"""Of one tensor: the kernels count its bytes in int32."""


def lower(deployed: Deployed, *, pixels: bool = False) -> CNetwork:
    """Lowers a deployed graph. The same graph gives the same calls.

    Args:
        pixels: the input comes as 8-bit pixels, from which floats are made in the arena.

    Raises:
        ExportError: an operator has no kernel; the message names it, its module, and a way out.
    """
    if deployed.captured.max_batch is not None:
        raise ExportError("a network in C computes a fixed number of images: leave max_batch out, and take --batch")
    if not deployed.signature.is_single:
        tensors = ", ".join(map(str, (*deployed.signature.inputs, *deployed.signature.outputs)))
        raise ExportError(
            f"a network in C takes one input of floats and gives one output, this one has {tensors}: export it as .pte"
        )
    graph = deployed.graph
    lowering = Lowering(graph)
    inputs: list[Port] = []
    for node in input_nodes(graph):
        value = node.meta["val"]
        name = _port_name(node.name, taken={port.name for port in inputs})
        buffer = Buffer(name, value.numel(), value.dtype, ARENA if pixels else INPUT)
        lowering.bind(node, buffer)
        inputs.append(Port(name, shape(node), buffer))
    for node in graph.calls():
        _lower(lowering, node)
    outputs = _outputs(lowering)
    offsets, size = arena.plan(lowering.calls, inputs, outputs)
    values = {
        node.name: lowering.buffers[node]
        for node in graph.calls()
        if node in lowering.buffers and _computes(node, lowering)
    }
    return CNetwork(tuple(lowering.calls), tuple(inputs), tuple(outputs), offsets, size, values)


def _port_name(name: str, taken: set[str]) -> str:
    """What an input is called in C. Torch numbers names that Python has already: `input_1`."""
    plain = re.sub(r"_\d+$", "", name)
    free = [each for each in (plain, name) if why_no_identifier(each) is None and each not in {*_TAKEN, *taken}]
    return free[0] if free else f"{name}_input"


def _computes(node: fx.Node, lowering: Lowering) -> bool:
    """Whether calls write what ``node`` gives: no view, and no part of a tuple."""
    return node.target is not operator.getitem and any(call.node == node.name for call in lowering.calls)


def _lower(lowering: Lowering, node: fx.Node) -> None:
    if node.target is operator.getitem:
        source, index = node.args
        assert isinstance(source, fx.Node)
        assert isinstance(index, int)
        lowering.bind(node, lowering.buffers[source][index])
        return
    row = OPERATORS.get(operator_name(node))
    if row is None:
        lowering.refuse(node, "has no kernel in C")
    assert row is not None
    value = node.meta["val"]
    for tensor in value if isinstance(value, (tuple, list)) else (value,):
        if tensor.numel() > _MAX_ELEMENTS:
            lowering.refuse(node, f"gives {tensor.numel()} elements, the C kernels count up to {_MAX_ELEMENTS}")
    row.lower(lowering, node)


def _outputs(lowering: Lowering) -> list[Port]:
    """The results of the graph, computed straight into the caller's memory, or copied there."""
    result = lowering.graph.module.graph.output_node()
    ports: list[Port] = []
    for node in result.all_input_nodes:
        buffer = lowering.read(node)
        name = "output" if len(result.all_input_nodes) == 1 else f"output_{len(ports)}"
        if any(port.buffer is buffer for port in ports) or buffer.kind != ARENA or _is_input(lowering, buffer):
            strides = memory.strides(shape(node), buffer.dtype)
            target = Buffer(name, buffer.count, buffer.dtype, OUTPUT)
            lowering.copy(node, buffer, target, shape(node), strides, strides)
        else:
            target = Buffer(name, buffer.count, buffer.dtype, OUTPUT)
            _rename(lowering, buffer, target)
        ports.append(Port(name, shape(node), target))
    return ports


def _is_input(lowering: Lowering, buffer: Buffer) -> bool:
    return any(lowering.buffers[node][0] is buffer for node in input_nodes(lowering.graph))


def _rename(lowering: Lowering, old: Buffer, new: Buffer) -> None:
    """Puts ``new`` in the place of ``old`` everywhere."""

    def swap(buffer: _Operand) -> _Operand:
        return new if buffer is old else buffer

    lowering.calls = [
        replace(
            call,
            operands=tuple(map(swap, call.operands)),
            writes=tuple(map(swap, call.writes)),
            shared=tuple((swap(read), swap(written)) for read, written in call.shared),
        )
        for call in lowering.calls
    ]
    lowering.buffers = {node: tuple(map(swap, buffers)) for node, buffers in lowering.buffers.items()}
