"""What the passes mean by binary: weights with one magnitude per filter, and activations that come from `binarize`."""

import torch
from torch import Tensor, fx

import bittern.ops  # noqa: F401  registers the operators
from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.threshold import find_threshold
from bittern.ops import layout

BINARIZE = torch.ops.bittern.binarize.default
PACK = torch.ops.bittern.pack.default
NEGATE = torch.ops.bittern.negate.default
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
    rule = find_threshold(graph, node, channel_dim)
    x = rule.source
    for user in x.users:
        if user.target is PACK and user.args[2] == channel_dim and same_constant(graph, user.args[1], rule.threshold):
            bits = user
            break
    else:
        # Right behind its input, so that every later reader of the same tensor can share it.
        position = _behind(x)
        constant = None if rule.threshold is None else graph.add_constant(rule.threshold, position)
        output = Provenance.of(node).outputs[0] if rule.negated is None else None
        origin = Provenance((*rule.sources, *Provenance.of(node).sources), Provenance.of(node).path, [output])
        bits = graph.call(position, PACK, (x, constant, channel_dim), origin)
    return bits if rule.negated is None else _negated(graph, bits, rule.negated, node)


def _negated(graph: Graph, bits: fx.Node, channels: Tensor, node: fx.Node) -> fx.Node:
    """``bits`` with the given ``channels`` (bool ``[C]``) negated, which makes them those of ``node``."""
    mask = layout.pack_bits(channels)
    for user in bits.users:
        if user.target is NEGATE and same_constant(graph, user.args[1], mask):
            return user
    position = _behind(bits)
    origin = Provenance(Provenance.of(node).sources, Provenance.of(node).path, Provenance.of(node).outputs)
    return graph.call(position, NEGATE, (bits, graph.add_constant(mask, position)), origin)


def _behind(node: fx.Node) -> fx.Node:
    position = node.next
    while position.op == "placeholder":
        position = position.next
    return position


def packed_max_pool(graph: Graph, pool: fx.Node, bits: fx.Node, result: fx.Node | None = None) -> fx.Node:
    """Max pooling ``pool`` on packed activations ``bits``, which gives the bits of ``result`` (or ``pool``)."""
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
    target, args = torch.ops.bittern.max_pool2d.default, (bits, kernel, stride, before_after, dilation)
    for user in bits.users:
        if user.target is target and user.args == args and user < pool:
            return user
    origin = Provenance(Provenance.of(pool).sources, Provenance.of(pool).path, Provenance.of(result or pool).outputs)
    return graph.call(pool, target, args, origin)


def same_constant(graph: Graph, constant: object, value: Tensor | None) -> bool:
    """Whether an operand holds ``value``, or is None as it is."""
    if constant is None or value is None:
        return constant is None and value is None
    other = graph.constant(constant)
    return other is not None and torch.equal(other, value)


def pair(value: int | list[int]) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values
