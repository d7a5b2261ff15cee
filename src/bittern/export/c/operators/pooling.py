"""Pooling of floats, and what goes along one axis: mean and softmax."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from bittern.export.c import memory
from bittern.export.c.lowering import Lowering, images
from bittern.export.c.operators.functions import exponential
from bittern.export.c.operators.row import Row
from bittern.export.c.operators.window import window
from bittern.export.c.program import Struct
from bittern.export.graph import arguments, shape
from bittern.export.passes.views.aten import MaxPool2d, Pair, pair


def _max_pool(lowering: Lowering, node: fx.Node) -> None:
    pool = MaxPool2d.match(node)
    assert pool is not None
    _pool(lowering, node, "bittern_max_pool2d", (pool.kernel_size, pool.stride, pool.padding, pool.dilation), {})


def _avg_pool(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    kernel, stride, padding, divisor = _avg_pool_arguments(node)
    outside = named["ceil_mode"] and (any(padding) or _overhangs(node, kernel, stride))
    if outside and named["count_include_pad"] and named["divisor_override"] is None:
        lowering.refuse(node, "rounds its size up and counts padding, which no C kernel does: set ceil_mode=False")
    _pool(lowering, node, "bittern_avg_pool2d", (kernel, stride, padding, (1, 1)), {"divisor": divisor})


def _pool(
    lowering: Lowering, node: fx.Node, name: str, places: tuple[Pair, Pair, Pair, Pair], more: dict[str, int]
) -> None:
    source = node.all_input_nodes[0]
    n, channels, height, width = images(source, lowering)
    kernel, stride, padding, dilation = places
    place = window(n, (height, width), shape(node)[2:], kernel, stride, dilation, padding)
    layer = Struct(f"{name}_t", {"window": place, "channels": channels, **more})
    result = lowering.result(node)
    lowering.call(node, f"{name}_f32", layer, (lowering.read(source), result), (result,))
    lowering.bind(node, result)


def _avg_pool_arguments(node: fx.Node) -> tuple[Pair, Pair, Pair, int]:
    """Kernel, stride, padding, and what sums are divided by: 0 for the number of taps inside the image."""
    named = arguments(node)
    kernel, padding = pair(named["kernel_size"]), pair(named["padding"])
    stride = pair(named["stride"]) if named["stride"] else kernel
    divisor = named["divisor_override"] or (kernel[0] * kernel[1] if named["count_include_pad"] else 0)
    return kernel, stride, padding, divisor


def _overhangs(node: fx.Node, kernel: Pair, stride: Pair) -> bool:
    """Whether a window goes beyond the image."""
    sizes, outs = shape(node.all_input_nodes[0])[2:], shape(node)[2:]
    return any((out - 1) * s + k > size for size, out, k, s in zip(sizes, outs, kernel, stride, strict=True))


def _avg_pool_reference(node: fx.Node, values: dict[str, Any]) -> Tensor:
    kernel, stride, padding, divisor = _avg_pool_arguments(node)
    x = values["self"]
    height, width = shape(node)[2:]
    over = [(out - 1) * s + k for out, s, k in zip((height, width), stride, kernel, strict=True)]
    border = (padding[1], max(0, over[1] - x.shape[3]), padding[0], max(0, over[0] - x.shape[2]))
    x, inside = F.pad(x, border), F.pad(torch.ones_like(x), border)
    total, taps = torch.zeros(shape(node)), torch.zeros(shape(node))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + (height - 1) * stride[0] + 1, stride[0])
            columns = slice(j, j + (width - 1) * stride[1] + 1, stride[1])
            total, taps = total + x[:, :, rows, columns], taps + inside[:, :, rows, columns]
    return total / (taps if divisor == 0 else divisor)


def _axis(lowering: Lowering, node: fx.Node, dims: list[int]) -> Struct:
    """The dimensions ``dims`` of what ``node`` reads as one axis in memory."""
    source = node.all_input_nodes[0]
    size = shape(source)
    order = [dim for dim in memory.order(size, torch.float32) if size[dim] > 1]
    places = [order.index(dim) for dim in dims if size[dim] > 1]
    first, last = (min(places), max(places)) if places else (0, -1)
    if last - first + 1 != len(places):
        lowering.refuse(node, f"goes along dimensions {dims} of {list(size)}, which do not lie side by side in memory")
    outer, count, inner = (
        torch.Size([size[dim] for dim in part]).numel()
        for part in (order[:first], order[first : last + 1], order[last + 1 :])
    )
    return Struct("bittern_axis_t", {"outer": outer, "count": count, "inner": inner})


def _dims(node: fx.Node) -> list[int]:
    named = arguments(node)
    rank = len(shape(node.all_input_nodes[0]))
    dims = named["dim"]
    every = list(range(rank)) if dims is None or dims == [] else dims
    return [dim % rank for dim in ([every] if isinstance(every, int) else every)]


def _mean(lowering: Lowering, node: fx.Node) -> None:
    source, result = lowering.read(node.all_input_nodes[0]), lowering.result(node)
    layer = _axis(lowering, node, _dims(node))
    lowering.call(node, "bittern_mean", layer, (source, result), (result,))
    size, dims = shape(node.all_input_nodes[0]), _dims(node)
    kept = tuple(1 if dim in dims else n for dim, n in enumerate(size))
    # What is left lies in the order of the input, which is that of the result unless an image loses a dimension.
    left = [
        s for dim, s in enumerate(memory.strides(kept, torch.float32)) if arguments(node)["keepdim"] or dim not in dims
    ]
    if not memory.same(shape(node), tuple(left), memory.strides(shape(node), torch.float32)):
        ordered = lowering.result(node, suffix="_ordered")
        lowering.copy(node, result, ordered, shape(node), tuple(left), memory.strides(shape(node), torch.float32))
        result = ordered
    lowering.bind(node, result)


def _mean_reference(node: fx.Node, values: dict[str, Any]) -> Tensor:
    x, dims = values["self"], _dims(node)
    walk = [dim for dim in memory.order(x.shape, x.dtype) if dim in dims]
    parts = x.permute(*walk, *(dim for dim in range(x.dim()) if dim not in dims)).flatten(0, len(walk) - 1)
    total = torch.zeros(parts.shape[1:])
    for part in parts:
        total = total + part
    return (total / len(parts)).reshape(shape(node))


def _softmax(lowering: Lowering, node: fx.Node) -> None:
    source, result = lowering.read(node.all_input_nodes[0]), lowering.result(node)
    layer = _axis(lowering, node, _dims(node))
    lowering.call(node, "bittern_softmax", layer, (source, result), (result,), shared=[(source, result)])
    lowering.bind(node, result)


def _softmax_reference(node: fx.Node, values: dict[str, Any]) -> Tensor:
    x, (dim,) = values["self"], _dims(node)
    exponentials = exponential(x - x.amax(dim, keepdim=True))
    total = torch.zeros_like(x.select(dim, 0))
    for part in exponentials.unbind(dim):
        total = total + part
    return exponentials / total.unsqueeze(dim)


ROWS = {
    "aten::max_pool2d": Row(_max_pool),
    "aten::avg_pool2d": Row(_avg_pool, _avg_pool_reference),
    "aten::mean": Row(_mean, _mean_reference),
    "aten::softmax": Row(_softmax, _softmax_reference),
    "aten::_softmax": Row(_softmax, _softmax_reference),
}
