"""Signs in every spelling become `binarize`, where it gives the same values.

    where(x >= 0, 1, -1)  ->  binarize(x)                  2 * (x > 0) - 1  ->  binarize(x - smallest float above 0)
    heaviside(x, 1)       ->  binarize(x) * 0.5 + 0.5      where(x >= t, a, -a)  ->  binarize(x - t) * a

`views/steps.py` says which two values a node takes, and what it is at 0. Where 0 is a third value, as in `torch.sign`,
it is taken for positive if it occurs for no input or almost none (`zeros.py`); else the layer stays in float.
NaN, which some spellings turn into -1, gives +1. Signs that go to no layer stay as they are.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, operator_name, shape
from bittern.export.passes.signs import BINARIZE, MAX_POOLS, MOVES, SMALLEST, positive_part
from bittern.export.passes.views.aten import ARITHMETIC, CONVOLUTIONS, LINEAR, PADS
from bittern.export.passes.views.steps import CutValue, Sign, StepFunctions
from bittern.export.passes.zeros import never_negative, why_not_rare

aten = torch.ops.aten

RARE_ZERO = "0, which it keeps, is taken for positive: it comes for no input or almost none"
WAY_OUT = "write torch.where(x >= 0, 1.0, -1.0) or bittern.ops.binarize(x), which are 1 at 0"

_READERS = (*CONVOLUTIONS, LINEAR, aten.conv1d.default, aten.conv1d.padding)
_Made = dict[tuple[CutValue, float, bool], fx.Node]


def recognise_signs(graph: Graph) -> None:
    steps = StepFunctions(graph)
    found: list[Sign] = []
    inner: set[fx.Node] = set()
    for node in reversed(graph.calls()):
        if inner.issuperset(node.users) and node in inner:
            continue
        if (sign := steps.sign(node)) is not None and reaches_layer(graph, node):
            inner.update(sign.nodes)
            if sign.respelled:
                found.append(sign)
    made: _Made = {}
    for sign in reversed(found):
        if (reason := why_not(sign, graph)) is not None:
            graph.near_signs.update(dict.fromkeys(Provenance.of(sign.node).sources, reason))
        else:
            _rewrite(graph, sign, made)
    for node in graph.calls(BINARIZE):
        positive = None if positive_part(node) is not None else never_negative(node.all_input_nodes[0])
        if positive is not None:
            graph.warn(node, _constant_signs(positive))


def why_not(sign: Sign, graph: Graph) -> str | None:
    """None if `binarize` can give the values of ``sign``, else why not."""
    source = sign.source
    operands = [source.x] if source.y is None else [source.x, source.y]
    if not _gives_shape([_shape(graph, x) for x in operands], shape(sign.node)):
        return f"{operator_name(sign.node)} joins it with a tensor of another shape"
    if sign.at_cut in (sign.low, sign.high) or (_is_never_negative(sign) and sign.at_cut is not None):
        return None
    at = "keeps the sign of 0" if sign.at_cut is None else f"gives {sign.at_cut:.4g} at {sign.cut:.4g}"
    reason = "two values may be equal" if source.y is not None else why_not_rare(graph, source.x)
    return reason and f"{operator_name(sign.operator)} {at}, a third value, and {reason}: {WAY_OUT}"


def reaches_layer(graph: Graph, node: fx.Node) -> bool:
    """Whether a layer reads ``node``, perhaps moved, padded, pooled, or scaled and shifted by constants."""
    waiting, seen = [node], {node}
    while waiting:
        x = waiting.pop()
        for user in x.users:
            if user.target in _READERS and user.args[0] is x:
                return True
            constants = all(each is x or graph.constant(each) is not None for each in user.all_input_nodes)
            scaled = user.target in (*ARITHMETIC, aten.neg.default) and constants
            if user not in seen and (scaled or user.target in (*MOVES, *MAX_POOLS, *PADS)):
                seen.add(user)
                waiting.append(user)
    return False


def _is_never_negative(sign: Sign) -> bool:
    return sign.cut == 0 and sign.source.y is None and never_negative(sign.source.x) is not None


def _rewrite(graph: Graph, sign: Sign, made: _Made) -> None:
    node, own, low = sign.node, Provenance.of(sign.node), sign.low
    if _is_never_negative(sign) and sign.at_cut not in (None, sign.high):
        assert sign.at_cut is not None
        low = sign.at_cut  # nothing lies below 0, so the value at 0 is the lower one
    above = sign.at_cut == low
    if sign.at_cut not in (low, sign.high):
        graph.note(sign.operator, RARE_ZERO)
    key = (sign.source, sign.cut, above)
    half, middle = (sign.high - low) / 2, (sign.high + low) / 2
    plain = (half, middle) == (1.0, 0.0)
    if key not in made:
        sources = [source for each in sign.nodes for source in Provenance.of(each).sources]
        provenance = Provenance(sources, own.path, own.outputs if plain else [None])
        made[key] = graph.call(node, BINARIZE, (_shifted(graph, sign, above),), provenance)
    result = made[key]
    if half != 1.0:
        result = graph.call(node, aten.mul.Tensor, (result, half), own if middle == 0.0 else own.intermediate())
    if middle != 0.0:
        result = graph.call(node, aten.add.Tensor, (result, middle), own)
    graph.replace(node, result)


def _shifted(graph: Graph, sign: Sign, above: bool) -> fx.Node:
    """What is negative where ``sign`` is low; ``above``: also at the cut."""
    node, source, auxiliary = sign.node, sign.source, Provenance.of(sign.node).auxiliary()
    x = source.x
    if source.y is not None:
        operands = [_operand(graph, each, node) for each in (source.x, source.y)]
        x = graph.call(node, aten.sub.Tensor, operands, auxiliary)
    cut = torch.tensor(sign.cut)
    subtrahend = SMALLEST if above and sign.cut == 0 else float(torch.nextafter(cut, cut + torch.inf) if above else cut)
    return x if subtrahend == 0 else graph.call(node, aten.sub.Tensor, (x, subtrahend), auxiliary)


def _operand(graph: Graph, x: fx.Node, before: fx.Node) -> fx.Node:
    constant = graph.constant(x)
    return x if constant is None else graph.add_constant(constant, before)


def _shape(graph: Graph, x: fx.Node) -> tuple[int, ...]:
    constant = graph.constant(x)
    return shape(x) if constant is None else tuple(constant.shape)


def _gives_shape(shapes: list[tuple[int, ...]], result: tuple[int, ...]) -> bool:
    """Whether operands of these ``shapes``, which may hold symbols, broadcast to ``result``."""
    if result not in shapes:
        return False
    padded = [(1,) * (len(result) - len(each)) + each for each in shapes]
    return all(size in (1, whole) for each in padded for size, whole in zip(each, result, strict=True))


def _constant_signs(positive: fx.Node) -> str:
    path = Provenance.of(positive).path
    where = f" in {path}" if path else ""
    return (
        f"every sign is +1: {operator_name(positive)}{where} gives no negative values; "
        "binarize its input instead, or shift it first (docs/binary.md)"
    )
