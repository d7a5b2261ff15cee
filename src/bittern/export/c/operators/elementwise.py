"""Arithmetic of two tensors, one repeated where it has fewer elements, and functions of single numbers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.c import memory
from bittern.export.c.lowering import Lowering
from bittern.export.c.operators.functions import exponential, sigmoid, square_root
from bittern.export.c.operators.row import Row
from bittern.export.c.program import CONSTANT, Buffer, Struct
from bittern.export.graph import arguments, shape
from bittern.export.passes.views.aten import Clamp

_DIMS = 4
_BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")


def _binary(function: str) -> Callable[[Lowering, fx.Node], None]:
    def lower(lowering: Lowering, node: fx.Node) -> None:
        named = arguments(node)
        if named.get("alpha", 1) != 1 or named.get("rounding_mode") is not None:
            lowering.refuse(node, "has an alpha or a rounding mode, which the C kernels lack")
        _broadcast(lowering, node, function, named["self"], named["other"])

    return lower


def _prelu(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    slope = named["weight"] if "weight" in named else named["negative_slope"]
    _broadcast(lowering, node, "bittern_prelu", named["self"], slope, channel=1)


def _broadcast(lowering: Lowering, node: fx.Node, function: str, a: Any, b: Any, channel: int | None = None) -> None:
    """``channel``: the dimension of the result that a vector ``b`` belongs to; None: as PyTorch aligns it."""
    size = shape(node)
    order = memory.order(size, torch.float32)
    result = lowering.result(node)
    operands: list[Buffer] = []
    walks: list[tuple[int, ...]] = []
    for operand in (a, b):
        buffer, own = _operand(lowering, node, operand)
        if operand is b and channel is not None and len(own) == 1 and len(size) > 1:
            own = (*own, *(1 for _ in size[channel + 1 :]))
        # A constant that is repeated has rank 4 only where its elements lie as those of an image do.
        strides = memory.broadcast(size, own, buffer.dtype)
        operands.append(buffer)
        walks.append(tuple(strides[dim] for dim in order))
    sizes, (a_strides, b_strides) = memory.collapse([size[dim] for dim in order], *walks)
    if len(sizes) > _DIMS:
        lowering.refuse(node, f"repeats its operands along {len(sizes)} dimensions, the C kernels along {_DIMS}")
    fields = {
        "sizes": memory.padded(sizes, _DIMS, 1),
        "a_strides": memory.padded(a_strides, _DIMS, 0),
        "b_strides": memory.padded(b_strides, _DIMS, 0),
    }
    dense = [_dense(sizes, strides) for strides in (a_strides, b_strides)]
    shared = [(buffer, result) for buffer, whole in zip(operands, dense, strict=True) if whole]
    layer = Struct("bittern_broadcast_t", fields)
    lowering.call(node, function, layer, (*operands, result), (result,), shared=shared)
    lowering.bind(node, result)


def _dense(sizes: list[int], strides: list[int]) -> bool:
    """Whether an operand is walked as the result is: element by element."""
    return all(s == torch.Size(sizes[i + 1 :]).numel() for i, s in enumerate(strides))


def _operand(lowering: Lowering, node: fx.Node, operand: Any) -> tuple[Buffer, tuple[int, ...]]:
    """The buffer of a tensor or number, and its shape."""
    if isinstance(operand, fx.Node):
        return lowering.read(operand), shape(operand)
    number = torch.tensor([operand], dtype=torch.float32)
    return Buffer(f"{node.name}_number", 1, torch.float32, CONSTANT, number), ()


def _clamp(lowering: Lowering, node: fx.Node) -> None:
    clamp = Clamp.match(node)
    assert clamp is not None
    ends = (-torch.inf if clamp.low is None else clamp.low, torch.inf if clamp.high is None else clamp.high)
    _map_call(lowering, node, "bittern_clamp", torch.tensor(ends, dtype=torch.float32))


def _map(function: str) -> Callable[[Lowering, fx.Node], None]:
    return lambda lowering, node: _map_call(lowering, node, function)


def _map_call(lowering: Lowering, node: fx.Node, function: str, range_: Tensor | None = None) -> None:
    source, result = lowering.read(node.all_input_nodes[0]), lowering.result(node)
    fields: dict[str, Any] = {"count": result.count}
    if range_ is not None:
        fields["range"] = range_
    layer = Struct("bittern_map_t", fields)
    lowering.call(node, function, layer, (source, result), (result,), shared=[(source, result)])
    lowering.bind(node, result)


def _of_one(function: Callable[[Tensor], Tensor]) -> Callable[[fx.Node, dict[str, Any]], Tensor]:
    return lambda node, values: function(values["self"])


ROWS = {
    **{f"aten::{name}": Row(_binary(f"bittern_{name}")) for name in _BINARY},
    **{f"aten::{name}": Row(_prelu) for name in ("prelu", "_prelu_kernel", "leaky_relu")},
    **{f"aten::{name}": Row(_clamp) for name in ("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max")},
    "bittern::binarize": Row(_map("bittern_binarize")),
    "aten::abs": Row(_map("bittern_abs")),
    "aten::neg": Row(_map("bittern_neg")),
    "aten::exp": Row(_map("bittern_exp"), _of_one(exponential)),
    "aten::sigmoid": Row(_map("bittern_sigmoid"), _of_one(sigmoid)),
    "aten::sqrt": Row(_map("bittern_sqrt"), _of_one(square_root)),
    "aten::rsqrt": Row(_map("bittern_rsqrt"), _of_one(lambda x: 1.0 / square_root(x))),
}
