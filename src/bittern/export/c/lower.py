"""From the deployed graph to calls of C kernels."""

import operator

from torch import fx

from bittern.export.c import arena, memory
from bittern.export.c.context import Context
from bittern.export.c.operators import OPERATORS
from bittern.export.c.program import ARENA, INPUT, OUTPUT, Buffer, CNetwork, Port
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.graph import input_nodes, operator_name, shape

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
    graph = deployed.graph
    context = Context(graph)
    inputs = []
    for node in input_nodes(graph):
        value = node.meta["val"]
        buffer = Buffer(node.name, value.numel(), value.dtype, ARENA if pixels else INPUT)
        context.bind(node, buffer)
        inputs.append(Port(node.name, shape(node), buffer))
    for node in graph.calls():
        _lower(context, node)
    outputs = _outputs(context)
    offsets, size = arena.plan(context.calls, inputs, outputs)
    values = {
        node.name: context.buffers[node]
        for node in graph.calls()
        if node in context.buffers and _computes(node, context)
    }
    return CNetwork(tuple(context.calls), tuple(inputs), tuple(outputs), offsets, size, values)


def _computes(node: fx.Node, context: Context) -> bool:
    """Whether calls write what ``node`` gives: no view, and no part of a tuple."""
    return node.target is not operator.getitem and any(call.node == node.name for call in context.calls)


def _lower(context: Context, node: fx.Node) -> None:
    if node.target is operator.getitem:
        source, index = node.args
        assert isinstance(source, fx.Node)
        assert isinstance(index, int)
        context.bind(node, context.buffers[source][index])
        return
    row = OPERATORS.get(operator_name(node))
    if row is None:
        context.refuse(node, "has no kernel in C")
    assert row is not None
    value = node.meta["val"]
    for tensor in value if isinstance(value, (tuple, list)) else (value,):
        if tensor.numel() > _MAX_ELEMENTS:
            context.refuse(node, f"gives {tensor.numel()} elements, the C kernels count up to {_MAX_ELEMENTS}")
    row.lower(context, node)


def _outputs(context: Context) -> list[Port]:
    """The results of the graph, computed straight into the caller's memory, or copied there."""
    result = context.graph.module.graph.output_node()
    ports: list[Port] = []
    for node in result.all_input_nodes:
        buffer = context.read(node)
        name = "output" if len(result.all_input_nodes) == 1 else f"output_{len(ports)}"
        if any(port.buffer is buffer for port in ports) or buffer.kind != ARENA or _is_input(context, buffer):
            strides = memory.strides(shape(node), buffer.dtype)
            target = Buffer(name, buffer.count, buffer.dtype, OUTPUT)
            context.copy(node, buffer, target, shape(node), strides, strides)
        else:
            target = Buffer(name, buffer.count, buffer.dtype, OUTPUT)
            _rename(context, buffer, target)
        ports.append(Port(name, shape(node), target))
    return ports


def _is_input(context: Context, buffer: Buffer) -> bool:
    return any(context.buffers[node][0] is buffer for node in input_nodes(context.graph))


def _rename(context: Context, old: Buffer, new: Buffer) -> None:
    """Puts ``new`` in the place of ``old`` everywhere."""
    from dataclasses import replace

    def swap(buffers: tuple[Buffer | None, ...]) -> tuple[Buffer | None, ...]:
        return tuple(new if each is old else each for each in buffers)

    def swap_all(buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
        return tuple(new if each is old else each for each in buffers)

    context.calls = [
        replace(
            call,
            operands=swap(call.operands),
            writes=swap_all(call.writes),
            scratch=swap_all(call.scratch),
            shared=tuple((swap_all((a, b))[0], swap_all((a, b))[1]) for a, b in call.shared),
        )
        for call in context.calls
    ]
    for node, buffers in context.buffers.items():
        context.buffers[node] = swap_all(buffers)
