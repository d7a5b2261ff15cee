"""What the passes mean by binary: weights with one magnitude per filter, and activations that come from `binarize`."""

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.signs import BINARIZE
from bittern.export.passes.threshold import find_threshold
from bittern.export.passes.views import MaxPool2d, Pack
from bittern.export.passes.views.packed import NEGATE, PACK
from bittern.ops import layout

REAL_VALUED = "real-valued"
"""The reason given for layers that have nothing binary about them."""

REAL_INPUT = "its weights are binary, but its input is not binarized"
WEIGHT_ONLY = "its input is not binarized: only its weights are packed"
"""Of a layer that `lower_weight_only` took."""


def why_not_binary_weight(weight: Tensor) -> str | None:
    """None if every filter ``weight[o]`` holds only ``+s(o)`` and ``-s(o)``, else why not."""
    magnitude = weight.flatten(1).abs()
    different = magnitude != magnitude[:, :1]
    if not bool(different.any()):
        return None
    filters = int(different.any(1).sum())
    return f"{filters} of its {len(weight)} filters take more values than +s and -s: binarize its weights"


def is_packable(node: object) -> bool:
    """Whether ``node`` holds only -1 and +1 and its bits can be packed: `binarize`, perhaps pooled."""
    if (pool := MaxPool2d.match(node)) is not None:
        return is_packable(pool.input)
    return isinstance(node, fx.Node) and node.target is BINARIZE


def why_not_binary(source: object, weight: Tensor | None) -> str | None:
    """None if a layer's input and weights are both binary, else why not; `REAL_VALUED` if neither is."""
    if weight is None:
        return "its weights are computed from the input"
    weights = why_not_binary_weight(weight)
    if is_packable(source):
        return weights and f"its input is binary, but {weights}"
    return REAL_VALUED if weights else REAL_INPUT


def packed(graph: Graph, node: fx.Node, channel_dim: int) -> fx.Node:
    """The packed form of a node for which :func:`is_packable` holds. A tensor is packed once for all its readers."""
    if (pool := MaxPool2d.match(node)) is not None:
        return packed_max_pool(graph, pool, packed(graph, pool.input, channel_dim), node)
    rule = find_threshold(graph, node, channel_dim)
    own = Provenance.of(node)
    output = own.outputs[0] if rule.negated is None else None
    provenance = Provenance((*rule.sources, *own.sources), own.path, [output])
    bits = pack(graph, rule.source, rule.threshold, channel_dim, node, _behind(rule.source), provenance)
    return bits if rule.negated is None else _negated(graph, bits, rule.negated, node)


def pack(
    graph: Graph,
    x: fx.Node,
    threshold: Tensor | None,
    channel_dim: int,
    reader: fx.Node,
    before: fx.Node,
    provenance: Provenance,
) -> fx.Node:
    """The bits of ``x`` for ``reader``: those that are there already, or new ones in front of ``before``."""
    for user in x.users:
        other = Pack.match(user)
        shared = other is not None and other.channel_dim == channel_dim and user < reader
        if other is not None and shared and _same_constant(graph, other.threshold, threshold):
            return user
    constant = None if threshold is None else graph.add_constant(threshold, before)
    return graph.call(before, PACK, (x, constant, channel_dim), provenance)


def _negated(graph: Graph, bits: fx.Node, channels: Tensor, node: fx.Node) -> fx.Node:
    """``bits`` with the given ``channels`` (bool ``[C]``) negated, which makes them those of ``node``."""
    mask = layout.pack_bits(channels)
    for user in bits.users:
        if user.target is NEGATE and _same_constant(graph, user.args[1], mask):
            return user
    position = _behind(bits)
    return graph.call(position, NEGATE, (bits, graph.add_constant(mask, position)), Provenance.of(node))


def _behind(node: fx.Node) -> fx.Node:
    """Where to insert what reads ``node``, so that every later reader of ``node`` can share it."""
    position = node.next
    while position.op == "placeholder":
        position = position.next
    return position


def packed_max_pool(graph: Graph, pool: MaxPool2d, bits: fx.Node, result: fx.Node) -> fx.Node:
    """``pool`` on packed activations ``bits``, which gives the bits of ``result``."""
    padding: list[int] = []
    for axis in (0, 1):
        size, out = shape(bits)[1 + axis], shape(pool.node)[2 + axis]
        # ceil_mode adds windows that start inside the image and end outside: padding on the far side.
        span = (out - 1) * pool.stride[axis] + pool.dilation[axis] * (pool.kernel_size[axis] - 1) + 1
        padding += [pool.padding[axis], max(pool.padding[axis], span - size - pool.padding[axis])]
    target = torch.ops.bittern.max_pool2d.default
    args = (bits, list(pool.kernel_size), list(pool.stride), padding, list(pool.dilation))
    for user in bits.users:
        if user.target is target and user.args == args and user < pool.node:
            return user
    own = Provenance.of(pool.node)
    provenance = Provenance(own.sources, own.path, Provenance.of(result).outputs)
    return graph.call(pool.node, target, args, provenance)


def _same_constant(graph: Graph, constant: object, value: Tensor | None) -> bool:
    """Whether an operand holds ``value``, or is None as it is."""
    if constant is None or value is None:
        return constant is None and value is None
    other = graph.constant(constant)
    return other is not None and torch.equal(other, value)
