"""What the passes mean by binary: weights with one magnitude per filter, and activations that come from `binarize`."""

import operator

import torch
from torch import Tensor, fx

import bittern.ops  # noqa: F401  registers the operators
from bittern.export.graph import Graph, Origin, arguments, shape

BINARIZE = torch.ops.bittern.binarize.default
PACK = torch.ops.bittern.pack.default
MAX_POOL = torch.ops.aten.max_pool2d.default

REAL_VALUED = "real-valued"
"""The reason given for layers that have nothing binary about them."""

REAL_INPUT = "its weights are binary, but its input is not binarized"
WEIGHT_ONLY = "its input is not binarized: only its weights are packed"
"""Of a layer that `lower_weight_only` took."""


def why_not_binary_weight(weight: Tensor) -> str | None:
    """None if every filter ``weight[o]`` holds only ``+s(o)`` and ``-s(o)``, else why not."""
    magnitude = weight.flatten(1).abs()
    if not bool((magnitude == magnitude[:, :1]).all()):
        filters = int((magnitude != magnitude[:, :1]).any(1).sum())
        return f"{filters} of its {len(weight)} filters take more values than +s and -s: binarize its weights"
    return None


def is_packable(node: object) -> bool:
    """Whether ``node`` holds only -1 and +1 and can be had as packed bits."""
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return False
    return node.target is BINARIZE or (node.target is MAX_POOL and is_packable(node.args[0]))


def why_not_binary(source: object, weight: Tensor | None) -> str | None:
    """None if a layer's input and weights are both binary, else why not; `REAL_VALUED` if neither is."""
    if weight is None:
        return "its weights are computed from the input"
    weights = why_not_binary_weight(weight)
    if is_packable(source):
        return weights and f"its input is binary, but {weights}"
    return REAL_VALUED if weights else REAL_INPUT


def packed(graph: Graph, node: fx.Node, channel_dim: int) -> fx.Node:
    """The packed form of a node for which :func:`is_packable` holds. One tensor is packed once."""
    if node.target is MAX_POOL:
        return packed_max_pool(graph, node, packed(graph, node.args[0], channel_dim))  # type: ignore[arg-type]
    x, threshold = _split_threshold(graph, node.args[0], channel_dim)  # type: ignore[arg-type]
    for user in x.users:
        if user.target is PACK and user.args[2] == channel_dim and _same(graph, user.args[1], threshold):
            return user
    # Right behind its input, so that every later reader of the same tensor can share it.
    position = x.next
    while position.op == "placeholder":
        position = position.next
    constant = None if threshold is None else graph.add_constant(threshold, position)
    sources = () if threshold is None else Origin.of(node.args[0]).sources  # type: ignore[arg-type]
    origin = Origin((*sources, *Origin.of(node).sources), Origin.of(node).path, [node.name])
    return graph.call(position, PACK, (x, constant, channel_dim), origin)


def packed_max_pool(graph: Graph, pool: fx.Node, bits: fx.Node, output: str | None = None) -> fx.Node:
    """Max pooling ``pool`` on packed activations ``bits``; ``output``: the training node that the result equals."""
    named = arguments(pool)
    kernel = pair(named["kernel_size"])
    stride = pair(named["stride"]) if named["stride"] else kernel
    padding, dilation = pair(named["padding"]), pair(named["dilation"])
    before_after: list[int] = []
    for axis in (0, 1):
        size, out = shape(bits)[1 + axis], shape(pool)[2 + axis]
        # ceil_mode adds windows that start inside the image and end outside: padding on the far side.
        span = (out - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        before_after += [padding[axis], max(padding[axis], span - size - padding[axis])]
    origin = Origin(Origin.of(pool).sources, Origin.of(pool).path, [output or pool.name])
    args = (bits, kernel, stride, before_after, dilation)
    return graph.call(pool, torch.ops.bittern.max_pool2d.default, args, origin)


def per_channel(graph: Graph, value: object, like: fx.Node, channel_dim: int) -> Tensor | None:
    """A constant that is one number per channel of ``like`` as float64 ``[C]``; None for anything else."""
    target = [1] * len(shape(like))
    target[channel_dim] = shape(like)[channel_dim]
    if isinstance(value, (int, float)):
        return torch.full((target[channel_dim],), float(value), dtype=torch.float64)
    constant = graph.constant(value)
    if constant is None or not constant.is_floating_point():
        return None
    try:
        fits = list(torch.broadcast_shapes(constant.shape, target)) == target
    except RuntimeError:
        return None
    return constant.double().expand(target).flatten() if fits else None


def _split_threshold(graph: Graph, x: fx.Node, channel_dim: int) -> tuple[fx.Node, Tensor | None]:
    """``x = y + c`` or ``y - c`` with c per channel as (y, -c or c): ``fl(y + c) < 0`` exactly where ``y < -c``.

    Exact, because the rounded sum of two floats is negative, zero or positive as the true sum is.
    """
    signs = {torch.ops.aten.add.Tensor: -1.0, torch.ops.aten.sub.Tensor: 1.0}
    if x.op != "call_function" or x.target not in signs or x.kwargs.get("alpha", 1) != 1:
        return x, None
    left, right = x.args[:2]
    if x.target is torch.ops.aten.add.Tensor and graph.constant(left) is not None:
        left, right = right, left
    if not isinstance(left, fx.Node) or shape(left) != shape(x):
        return x, None
    value = per_channel(graph, right, x, channel_dim)
    return (x, None) if value is None else (left, (signs[x.target] * value).float())


def _same(graph: Graph, constant: object, value: Tensor | None) -> bool:
    if constant is None or value is None:
        return constant is None and value is None
    other = graph.constant(constant)
    return other is not None and torch.equal(other, value)


def pair(value: int | list[int]) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values


def item(node: fx.Node, index: int) -> fx.Node | None:
    """The ``getitem`` node that reads output ``index`` of ``node``, if there is one."""
    return next((user for user in node.users if user.target is operator.getitem and user.args[1] == index), None)
