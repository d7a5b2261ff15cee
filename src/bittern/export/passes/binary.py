"""What the passes mean by binary: weights with one magnitude per filter, and activations that come from `binarize`."""

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, operator_name, shape
from bittern.export.passes.signs import BINARIZE, MAX_POOLS, MOVES
from bittern.export.passes.threshold import find_threshold
from bittern.export.passes.views import MaxPool2d, Pack
from bittern.export.passes.views.aten import ARITHMETIC, PADS
from bittern.export.passes.views.packed import NEGATE, PACK
from bittern.ops import layout

aten = torch.ops.aten
_KEEP_TWO_VALUES = (*MOVES, *MAX_POOLS, *PADS, *ARITHMETIC, aten.neg.default)

REAL_VALUED = "real-valued"
"""The reason given for layers that have nothing binary about them."""

REAL_INPUT = "its weights are binary, but its input is not binarized"
WEIGHT_ONLY = "its input is not binarized: only its weights are packed"
"""Of a layer that `lower_weight_only` took."""


_UNITS = 4
"""Units in the last place by which weights of one magnitude may differ: what arithmetic around signs leaves behind."""


def why_not_binary_weight(weight: Tensor) -> str | None:
    """None if every filter ``weight[o]`` holds only ``+s(o)`` and ``-s(o)``, up to a few units in the last place."""
    sizes = weight.flatten(1).abs()
    if not bool((different := _differ(sizes)).any()):
        return None
    filters = f"{int(different.any(1).sum())} of its {len(weight)} filters"
    if holds_zeros(weight):
        return f"{filters} hold 0 beside +s and -s: torch.sign makes 0 of 0"
    if weight.shape[1] > 1 and not bool(_differ(sizes / sizes[:1].clamp_min(_TINY)).any()):
        return f"its weights have one magnitude for each input channel: scale the {len(weight)} output channels instead"
    return f"{filters} take more values than +s and -s: binarize its weights"


_TINY = torch.finfo(torch.float32).tiny


def holds_zeros(weight: Tensor) -> bool:
    """Whether some filter holds 0 beside +s and -s, and none holds other values."""
    sizes = weight.flatten(1).abs()
    zero = sizes == 0
    return bool(zero.any()) and not bool(_differ(torch.where(zero, sizes.amax(1, keepdim=True), sizes)).any())


def magnitudes(weight: Tensor) -> Tensor:
    """s of every filter for which :func:`why_not_binary_weight` gives None, ``[O]``."""
    low, high = weight.flatten(1).abs().aminmax(dim=1)
    return (low + high) / 2


def _differ(sizes: Tensor) -> Tensor:
    """Which of the numbers ``sizes [O, K]``, none below 0, differ from the first of their row."""
    return (sizes - sizes[:, :1]).abs() > _UNITS * torch.finfo(sizes.dtype).eps * sizes[:, :1]


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


def lost_signs(graph: Graph, x: fx.Node) -> str | None:
    """Why ``x``, which takes two values or nearly, holds no signs that the exporter knows; None for other tensors."""
    while True:
        for name in Provenance.of(x).sources:
            if name in graph.near_signs:
                return graph.near_signs[name]
        if _looks_binary(x):
            way_out = "write torch.where(x >= 0, 1.0, -1.0) or bittern.ops.binarize(x)"
            return f"{operator_name(x)} makes two values in a way that the exporter does not know: {way_out}"
        sources = [each for each in x.all_input_nodes if graph.constant(each) is None]
        if x.target not in _KEEP_TWO_VALUES or len(sources) != 1:
            return None
        x = sources[0]


def _looks_binary(x: fx.Node) -> bool:
    if x.target is aten._to_copy.default:
        return bool(x.all_input_nodes[0].meta["val"].dtype == torch.bool)
    quotient = x.target is aten.div.Tensor and any(each.target is aten.abs.default for each in x.all_input_nodes)
    return quotient or x.target in (aten.sign.default, aten.sgn.default, aten.heaviside.default, aten.copysign.Tensor)


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
